"""Findings that are known and let pass: each with a reason, and the last day on which that holds."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from .phrases import by_severity, few
from .results import Unreadable, content

LARGEST: Final = 1_000_000
"""Bytes of a file that is read."""

_ID: Final = re.compile(r"[FR]-[0-9a-f]{8}")
_FIELDS: Final = frozenset({"id", "reason", "until"})


@dataclass(frozen=True, slots=True)
class Waiver:
    """A finding, or advice, that is let pass until a day, that one included; `reason` says why."""

    id: str
    reason: str
    until: date


@dataclass(frozen=True, slots=True)
class Weighed:
    """What waivers come to for a report: those that hold, those whose day is past, those that nothing was found for."""

    holding: tuple[Waiver, ...]
    expired: tuple[Waiver, ...]
    unused: tuple[Waiver, ...]

    @property
    def ids(self) -> frozenset[str]:
        """What is let pass."""
        return frozenset(waiver.id for waiver in self.holding)

    def lines(self) -> Iterator[str]:
        """The same for people."""
        yield from (f"waived until {x.until}: {x.id}: {x.reason}" for x in self.holding)
        yield from (f"waiver expired on {x.until}, and counts no more: {x.id}: {x.reason}" for x in self.expired)
        yield from (f"waiver unused, as nothing like it was found: {x.id}: {x.reason}" for x in self.unused)


def read_waivers(path: Path) -> tuple[Waiver, ...]:
    """The waivers of a file.

    Raises:
        Unreadable: if it is no file of waivers; the text is one line that says why.
    """
    try:
        data = tomllib.loads(content(path, LARGEST, "file of waivers").decode().replace("\r\n", "\n"))
    except (ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:100]
        raise Unreadable(f"{path}: not TOML ({why}); p11conform waivers writes such a file") from None
    rows = data.get("waiver", [])
    if not isinstance(rows, list) or data.keys() - {"waiver"}:
        raise Unreadable(f"{path}: holds something else than [[waiver]]; p11conform waivers writes such a file")
    found = tuple(_waiver(path, n, row) for n, row in enumerate(rows, 1))
    twice = next((x.id for n, x in enumerate(found) if x.id in {y.id for y in found[:n]}), None)
    if twice is not None:
        raise Unreadable(f"{path}: {twice} is waived twice; leave one")
    return found


def _waiver(path: Path, n: int, row: object) -> Waiver:
    def wrong(why: str) -> Unreadable:
        return Unreadable(f"{path}: waiver {n}: {why}")

    if not isinstance(row, dict) or row.keys() != _FIELDS:
        raise wrong(f"it has {', '.join(sorted(_FIELDS))}, and nothing else")
    id, reason, until = row["id"], row["reason"], row["until"]
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise wrong("id is that of a finding or of advice, as in a report")
    if not isinstance(reason, str) or not reason.strip():
        raise wrong("reason says in a few words why it is let pass")
    if type(until) is not date:
        raise wrong("until is a date, as 2027-01-31")
    return Waiver(id, " ".join(reason.split()), until)


def weigh(waivers: Iterable[Waiver], report: Mapping[str, Any], today: date) -> Weighed:
    """What the waivers come to for a report, on a day."""
    found = {row["id"] for section in ("findings", "advice") for row in report[section]}
    all_of_them = tuple(waivers)
    used = [x for x in all_of_them if x.id in found]
    return Weighed(
        tuple(x for x in used if x.until >= today),
        tuple(x for x in used if x.until < today),
        tuple(x for x in all_of_them if x.id not in found),
    )


def written(report: Mapping[str, Any], reason: str, until: date) -> str:
    """A file that waives every finding of a report, to be gone over by hand."""
    return "\n".join(_written(report, reason, until)) + "\n"


def _written(report: Mapping[str, Any], reason: str, until: date) -> Iterator[str]:
    yield "# Findings that are known and let pass, by p11conform check --waivers."
    yield "# Each wants its own reason; after the day of `until` it counts again."
    for finding in by_severity(report):
        about = f"{finding['severity']}, {finding['kind']}: {few(finding['functions'])} → {finding['observed']}"
        yield f"\n# {_comment(about)}\n[[waiver]]"
        yield f'id = "{finding["id"]}"\nreason = {_string(reason)}\nuntil = {until.isoformat()}'


def _comment(text: str) -> str:
    return "".join(x if x.isprintable() else " " for x in text)


def _string(text: str) -> str:
    return '"' + _comment(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
