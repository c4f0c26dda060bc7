"""A real module made ready for testing, and what provisioning one takes: new tokens, and a way back to them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_IMODE, S_ISDIR
from typing import Final

from ...model.call import Args, Call
from ...model.state import Pin
from ...model.vocabulary import CKR, CKU
from ..base import Binding, ModuleUnusable
from ..isolated import Happen, ask_once
from ..journal import note
from ..measure import Measured, MeasuredSlot, measure
from ..raw import Raw
from ..wire import Provision

PROVISIONING_SECONDS: Final = 60.0
"""How long initialising all tokens may take."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module that is ready, with what to do about its tokens.

    `environment` is what the process that loads the library needs beside its own, `namespaces` are the files of those
    that it joins. `owned` says that the tokens are
    ours and may be initialised, emptied and locked. `restore` puts the tokens back as they were when the module was
    made ready, while the library is finalised; it says False where it cannot. `discard` removes all that was made.
    `events` are those of the model that can be made to happen to the first token; `restore` undoes them.
    """

    name: str
    library: str
    environment: Mapping[str, str]
    binding: Binding
    owned: bool
    restore: Callable[[], bool | None]
    discard: Callable[[], None]
    namespaces: tuple[str, ...] = ()
    events: Mapping[str, Happen] = field(default_factory=dict)


def snapshot(root: Path) -> Callable[[], None]:
    """Remember a directory tree; calling the result puts it back, and touches only what differs."""
    kept = _contents(root)

    def restore() -> None:
        now = _contents(root)
        for path in sorted(now.keys() - kept.keys(), reverse=True):
            path.rmdir() if now[path][1] is None else path.unlink()
        for path, (mode, data) in kept.items():
            if now.get(path) != (mode, data):
                if data is not None:
                    path.write_bytes(data)
                elif path not in now:
                    path.mkdir()
                path.chmod(mode)

    return restore


def pins(slot: MeasuredSlot, so: bytes | None, user: bytes, other: bytes, wrong: bytes) -> dict[str, bytes]:
    """The PINs of a token by the names of `Pin`, with one too short and one too long where the token has limits."""
    known = {Pin.USER: user, Pin.OTHER: other, Pin.WRONG: wrong} | ({} if so is None else {Pin.SO: so})
    if slot.min_pin > 0:
        known[Pin.SHORT] = b"1" * (slot.min_pin - 1)
    if 0 < slot.max_pin <= _LONGEST_PIN:
        known[Pin.LONG] = b"1" * (slot.max_pin + 1)
    return {pin.name: value for pin, value in known.items()}


_LONGEST_PIN = 65536
"""A limit above this one is taken for none."""


def initialize_tokens(
    library: str,
    environment: Mapping[str, str],
    labels: Sequence[str],
    so: bytes,
    user: bytes,
    init_reserved: str | None = None,
) -> Measured:
    """Initialise tokens in a module's free slots, one a label, in a child process; what the module then says of itself.

    Raises:
        ModuleUnusable: if the library is unusable, runs out of free slots, or refuses a step.
    """
    order = Provision(library, tuple(labels), {Pin.SO.name: so, Pin.USER.name: user}, init_reserved)
    measured: Measured = ask_once(Measured, order, environment, PROVISIONING_SECONDS, secrets=(so, user))
    return measured


def initialize_here(
    library: str, labels: Sequence[str], pins: Mapping[str, bytes], init_reserved: str | None
) -> Measured:
    """As `initialize_tokens`, in this process; PINs by the names of `Pin`."""
    for label in labels:
        _initialize_token(library, label, pins, init_reserved)
    return measure(library, init_reserved)


NEW_TOKEN = (
    Call("C_InitToken", Args(pin=Pin.SO)),
    Call("C_OpenSession"),
    Call("C_Login", Args(user=CKU.SO, pin=Pin.SO)),
    Call("C_InitPIN", Args(new_pin=Pin.USER)),
    Call("C_Finalize"),
)
"""What makes the first slot of a binding hold a new token with its PINs, after C_Initialize; all must succeed."""


def _initialize_token(library: str, label: str, given: Mapping[str, bytes], init_reserved: str | None) -> None:
    free = next((s for s in measure(library, init_reserved).slots if s.token_present and not s.initialized), None)
    if free is None:
        raise ModuleUnusable(f"{library}: no slot is free for the token {label}; remove a token")
    binding = Binding((free.id,), (label,), given, init_reserved=init_reserved)
    with Raw(library, binding) as raw:
        for call in (binding.initialize, *NEW_TOKEN):
            note(call.function)
            seen = raw.call(call)
            if seen.text != str(CKR.OK):
                text = f"{library}: initialising token {label}: {call.function} gives {seen.text}"
                raise ModuleUnusable(f"{text}; check how the module is set up")


def _contents(root: Path) -> dict[Path, tuple[int, bytes | None]]:
    """Mode and bytes of everything below a directory, None for the bytes of a directory; parents come first."""
    found: dict[Path, tuple[int, bytes | None]] = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        found[path] = S_IMODE(mode), None if S_ISDIR(mode) else path.read_bytes()
    return found
