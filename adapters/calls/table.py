"""All functions of the interface, as they are called for real."""

from collections.abc import Mapping
from typing import Final

from . import keys, objects, operations, sessions
from .concrete import Concrete

CALLS: Final[Mapping[str, Concrete]] = {**sessions.CALLS, **objects.CALLS, **operations.CALLS, **keys.CALLS}
