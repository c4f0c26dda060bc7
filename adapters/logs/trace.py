"""Our own form of recorded calls, p11conform.trace/1: a line of JSON a call; docs/trace.schema.json describes it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from .step import BadLog, Entry, Step

SCHEMA: Final = "p11conform.trace/1"

_Plain = bool | int | str | None
_Argument = bool | int | str | dict[str, _Plain] | list[int | Entry] | None


class _Line(msgspec.Struct):
    """A line of a trace: a call, or with `schema` the head."""

    function: str | None = None
    arguments: dict[str, _Argument] = {}
    outputs: dict[str, _Argument] = {}
    returned: int | None = None
    process: int = 0
    thread: int = 0
    concurrent: bool = False
    schema: str | None = None


_DECODER: Final = msgspec.json.Decoder(_Line)


def recognises(head: str) -> bool:
    """Whether a file that begins so is such a trace."""
    first = head.lstrip().split("\n", 1)[0]
    return first.startswith("{") and ('"schema"' in first or '"function"' in first)


def read(lines: Iterable[str]) -> Iterator[Step]:
    """The calls of a trace.

    Raises:
        BadLog: for a line that is not as the schema has it; the last one may be cut short.
    """
    bad: int | None = None
    for n, line in enumerate(lines, 1):
        if bad is not None:
            raise BadLog(f"line {bad} is no line of {SCHEMA}; see docs/trace.schema.json")
        if not line.strip():
            continue
        try:
            found = _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            bad = n
            continue
        if found.schema is not None and found.schema != SCHEMA:
            raise BadLog(f"line {n}: the trace is written in {found.schema!r}, and {SCHEMA} is read here")
        if found.function is not None:
            yield _step(found, n)
        elif found.schema is None:
            bad = n
    if bad == 1:
        raise BadLog(f"line 1 is no line of {SCHEMA}; see docs/trace.schema.json")


def _step(found: _Line, n: int) -> Step:
    return Step(
        found.function or "",
        found.arguments,
        found.outputs,
        found.returned,
        found.process,
        found.thread,
        n,
        found.concurrent,
    )


def step_of(given: Mapping[str, Any], n: int = 0) -> Step:
    """A line of a trace that was decoded already.

    Raises:
        BadLog: if it is not as the schema has it.
    """
    try:
        found = msgspec.convert(dict(given), _Line)
    except msgspec.ValidationError as error:
        raise BadLog(f"call {n} is none of {SCHEMA}: {error}") from None
    if found.function is None:
        raise BadLog(f"call {n} is none of {SCHEMA}: it names no function")
    return _step(found, n)


def line(step: Step) -> str:
    """A call as a line of a trace; what a log does not tell is left out."""
    told: dict[str, Any] = {"function": step.function}
    told |= {name: getattr(step, name) for name in ("arguments", "outputs") if getattr(step, name)}
    told |= {} if step.returned is None else {"returned": step.returned}
    told |= {name: getattr(step, name) for name in ("process", "thread", "concurrent") if getattr(step, name)}
    return msgspec.json.encode(told).decode()
