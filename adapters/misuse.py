"""What the application sees a module do wrong beside its answers: with mutex callbacks, and with output buffers.

It is of the process, which is one application, and outlives every adapter: a module may still call what it was given.
"""

from typing import Final

SEEN: Final[list[str]] = []
"""What was seen since somebody took it. It stays the same list."""


def take() -> tuple[str, ...]:
    """What was seen since the last call of this function."""
    taken = tuple(SEEN)
    SEEN.clear()
    return taken
