"""All functions of the interface, as they are called for real."""

from collections.abc import Mapping
from typing import Final

from ...model.interface import SIGNATURES
from . import keys, messages, objects, operations, sessions
from .concrete import Concrete, of_session

_OF_SESSION_ALONE: Final = {
    name: Concrete(of_session) for name, x in SIGNATURES.items() if x.takes_session and len(x.parameters) == 1
}
"""What there is to know of functions that take a session and nothing else stands in their declarations."""

CALLS: Final[Mapping[str, Concrete]] = {
    **_OF_SESSION_ALONE,
    **sessions.CALLS,
    **objects.CALLS,
    **operations.CALLS,
    **keys.CALLS,
    **messages.CALLS,
}
