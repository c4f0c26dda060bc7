"""A recorded call, in C's own terms; and what is wrong with a log that cannot be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec


class BadLog(Exception):
    """What was given is no log, or none that can be read; the text is one line that says what to do."""


class Entry(msgspec.Struct, omit_defaults=True):
    """An attribute in a template: its CKA_ number; how long its value is, or the room for it; whether pValue is NULL.

    `value` is that of a CK_BBOOL or a CK_ULONG; of other attributes none is kept.
    """

    type: int
    length: int | None = None
    null: bool | None = None
    value: bool | int | None = None


@dataclass(slots=True)
class Step:
    """A call and what came of it, as docs/trace.schema.json has it; what a log does not tell is not there.

    `arguments` and `outputs` go by the names of the parameters. A pointer is None where it is NULL, and True where it
    is not and nothing is told of what it points to. `line` is where the log tells of it. `concurrent` says that another
    call of the same process was under way meanwhile, so that nobody knows which came first.
    """

    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    returned: int | None = None
    process: int = 0
    thread: int = 0
    line: int = 0
    concurrent: bool = False
