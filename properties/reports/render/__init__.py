"""Forms of a report, one file each, named as the file is: a format is added by its file alone.

`render(report)` there gives the text of a report that `results.report_json` made, `SUFFIX` is how a file of it ends.
"""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Protocol, cast


class Format(Protocol):
    """What a file of this directory has."""

    SUFFIX: str

    def render(self, report: Mapping[str, Any]) -> str:
        """The whole report in that form.

        Raises:
            Unreadable: if the report is of a shape, or of a table of rules, that is not today's.
        """


def names() -> tuple[str, ...]:
    """The formats that there are."""
    return tuple(sorted(found.name for found in iter_modules(__path__)))


def named(name: str) -> Format:
    """A format by its name."""
    return cast("Format", import_module(f"{__name__}.{name}"))
