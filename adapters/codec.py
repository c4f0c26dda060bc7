"""The messages between an isolated adapter and its child: JSON, as vendor code runs in the child and is not trusted."""

import json
from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import Any, NamedTuple

from ..model.call import ARGUMENT_NAMES, Args, Call, Ending, Observation, arguments, read_call
from .base import Binding

_DEFAULTS = Args()


class Kind(Enum):
    """The adapter that a child runs."""

    RAW = "raw"
    PYKCS11 = "pykcs11"


class Command(IntEnum):
    """What the parent asks. CALLS is answered once for each call, as soon as it has returned.

    WORK is for the program of the child to understand, and to answer as often as it likes.
    """

    LOAD = 0
    SUPPORTS = 1
    CALLS = 2
    RESET = 3
    MEASURE = 4
    LOGIN = 5
    WORK = 6
    CENSUS = 7


class Outcome(IntEnum):
    """How the child took a command: done, module unusable, or the tester itself at fault.

    With ASKS it has not yet done, but waits for one message, the reply to its value.
    """

    DONE = 0
    UNUSABLE = 1
    FAULT = 2
    ASKS = 3


class Answer(NamedTuple):
    """What the child answers: a value where DONE or where it ASKS, else one line of text."""

    outcome: Outcome
    value: Any = None


def pack(message: Any) -> bytes:
    """A message as it goes through the pipe."""
    return json.dumps(message, separators=(",", ":")).encode()


def unpack(data: bytes) -> Any:
    """A message as it came through the pipe.

    Raises:
        ValueError: if it is not JSON.
    """
    return json.loads(data)


def from_call(call: Call) -> list[Any]:
    """A call as JSON: its name and the arguments that are not the default."""
    names = tuple(name for name in ARGUMENT_NAMES if getattr(call.args, name) != getattr(_DEFAULTS, name))
    return [call.function, arguments(call, names)]


def to_call(given: list[Any]) -> Call:
    """The call that `from_call` wrote."""
    return read_call(given[0], given[1])


def from_observation(seen: Observation) -> list[Any]:
    """An observation as JSON."""
    return [seen.code, seen.outputs, seen.ending.value, seen.detail, seen.misuse]


def to_observation(given: list[Any]) -> Observation:
    """The observation that `from_observation` wrote."""
    code, outputs, ending, detail, misuse = given
    return Observation(code, tuple(map(tuple, outputs)), Ending(ending), detail, tuple(misuse))


def from_binding(binding: Binding) -> dict[str, Any]:
    """A binding as JSON, with its PINs: for the pipe only."""
    return {
        "slots": binding.slots,
        "labels": binding.labels,
        "pins": {name: pin.hex() for name, pin in binding.pins.items()},
        "init_reserved": binding.init_reserved,
        "sessions": binding.sessions,
        "objects": binding.objects,
    }


def to_binding(given: Mapping[str, Any]) -> Binding:
    """The binding that `from_binding` wrote."""
    return Binding(
        slots=tuple(given["slots"]),
        labels=tuple(given["labels"]),
        pins={name: bytes.fromhex(pin) for name, pin in given["pins"].items()},
        init_reserved=given["init_reserved"],
        sessions=given["sessions"],
        objects=given["objects"],
    )
