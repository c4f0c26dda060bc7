"""Reports of several modules beside each other: module by chapter, where they go different ways, what none reaches.

All of it comes from reports as `p11conform check MODULE --json` writes them.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...model.interface import SIGNATURES
from ...model.interpretations import INTERPRETATIONS
from ...model.table import CHAPTERS
from ...model.vocabulary import CKR, Version

OK: Final = str(CKR.OK)

Report = Mapping[str, Any]

SEVERITIES: Final = ("high", "medium", "low")

CHAPTER_OF: Final = {f.name: chapter.__name__.rpartition(".")[2] for chapter in CHAPTERS for f in chapter.FUNCTIONS}
"""The chapter of each function, by the name that the model gives it."""

NAMES: Final = tuple(dict.fromkeys(CHAPTER_OF.values()))
"""The chapters, in the order of the standard."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a module was seen to do in a chapter; `functions` counts those of the chapter, `called` those called."""

    functions: int
    called: int
    succeeded: int
    codes: int
    pairs: int
    calls: int
    findings: int

    @property
    def share(self) -> float:
        """The part of the functions that returned CKR_OK, from 0 to 1."""
        return self.succeeded / self.functions if self.functions else 0.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One cause of findings, and the modules that have it."""

    id: str
    severity: str
    kind: str
    functions: tuple[str, ...]
    observed: str
    modules: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Way:
    """An open question of the text that modules answer in different ways: for each the codes that it gave."""

    id: str
    question: str
    followed: Mapping[str, tuple[str, ...]]


def title(report: Report) -> str:
    """A module and its version."""
    module = report["module"]
    return f"{module['name']} {module.get('library_version', '')}".strip()


def functions_of(report: Report) -> tuple[str, ...]:
    """The functions of the version of the standard that a module was held to."""
    version = Version(report["spec"])
    return tuple(name for name in CHAPTER_OF if version in SIGNATURES[name].listed)


def cells(report: Report) -> Mapping[str, Cell]:
    """A module, chapter by chapter."""
    pairs: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for function, seen in report["coverage"]["pairs"]:
        if function in CHAPTER_OF:
            pairs[CHAPTER_OF[function]].append((function, seen))
    calls: Counter[str] = Counter()
    # Older reports do not count.
    for (function, _), times in zip(report["coverage"]["pairs"], report["coverage"].get("times", ()), strict=False):
        calls[CHAPTER_OF.get(function, "")] += times
    findings = Counter(CHAPTER_OF.get(f["function"], "") for f in report["findings"])
    offered = functions_of(report)
    return {
        name: Cell(
            functions=sum(CHAPTER_OF[f] == name for f in offered),
            called=len({f for f, _ in pairs[name]}),
            succeeded=len({f for f, seen in pairs[name] if seen == OK}),
            codes=len({seen for _, seen in pairs[name]}),
            pairs=len(pairs[name]),
            calls=calls[name],
            findings=findings[name],
        )
        for name in NAMES
    }


def severities(report: Report) -> str:
    """How many findings of each severity, in words."""
    counts = Counter(f["severity"] for f in report["findings"])
    return ", ".join(f"{counts[x]} {x}" for x in SEVERITIES if counts[x]) or "none"


def faults(reports: Sequence[Report]) -> tuple[Fault, ...]:
    """All findings, those of one cause together, the gravest first."""
    found: dict[str, list[tuple[Report, Mapping[str, Any]]]] = {}
    for report in reports:
        for finding in report["findings"]:
            found.setdefault(finding["id"], []).append((report, finding))
    rows = (
        Fault(
            id,
            seen[0][1]["severity"],
            seen[0][1]["kind"],
            tuple(sorted({name for _, f in seen for name in (*f["functions"], f["function"])})),
            ", ".join(sorted({f["observed"] for _, f in seen})),
            tuple(title(report) for report, _ in seen),
            seen[0][1].get("text", ""),
        )
        for id, seen in found.items()
    )
    return tuple(sorted(rows, key=lambda x: (SEVERITIES.index(x.severity), x.kind, x.id)))


def by_kind(reports: Sequence[Report], of: Callable[[Report], Iterable[str]]) -> Mapping[str, tuple[int, ...]]:
    """How many of each kind each module has, the kinds in alphabetical order."""
    counts = [Counter(of(report)) for report in reports]
    return {kind: tuple(c[kind] for c in counts) for kind in sorted({kind for c in counts for kind in c})}


def ways(reports: Sequence[Report]) -> tuple[Way, ...]:
    """Open questions at which two modules at least went different ways."""
    followed: defaultdict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for report in reports:
        for row in report["interpretations"]:
            followed[row["id"]][title(report)] = tuple(sorted(row["followed"]))
    return tuple(
        Way(id, INTERPRETATIONS[id].question, seen)
        for id, seen in sorted(followed.items())
        if id in INTERPRETATIONS and len({*seen.values()}) > 1
    )


@dataclass(frozen=True, slots=True)
class Unreached:
    """What none of the modules did: functions that never succeeded, codes that rows give, and rows, by function."""

    functions: tuple[str, ...]
    codes: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]
    row_count: int


def unreached(reports: Sequence[Report]) -> Unreached:
    """What none of the modules reached."""
    seen = {(function, code) for report in reports for function, code in report["coverage"]["pairs"]}
    succeeded = {function for function, code in seen if code == OK}
    unfired = [{tuple(row[x] for x in _ROW) for row in r["coverage"]["rules"]["unfired"]} for r in reports]
    never = set.intersection(*unfired) if unfired else set()
    rows: defaultdict[str, set[str]] = defaultdict(set)
    for function, code, _ in never:
        rows[function].add(code)
    codes = {code for _, code in seen}
    return Unreached(
        tuple(name for name in CHAPTER_OF if name not in succeeded),
        tuple(sorted({code for _, code, _ in never} - codes)),
        {name: tuple(sorted(rows[name])) for name in CHAPTER_OF if name in rows},
        len(never),
    )


_ROW: Final = ("function", "code", "condition")


def lines(reports: Sequence[Report], machine: str) -> Iterator[str]:
    """The page, as Markdown."""
    names = [title(r) for r in reports]
    yield from ("# The modules beside each other", "", _HEAD, "")
    began, programs = sorted(r["run"]["date"] for r in reports), sorted({r["run"]["p11conform"] for r in reports})
    yield f"Checks of {began[0][:10]} by p11conform {', '.join(programs)}, on {machine}."
    yield from ("", "## In short", "")
    yield from _table(
        (
            "module",
            "standard",
            "calls",
            "seconds",
            "functions that returned CKR_OK",
            "codes",
            "pairs",
            "findings",
            "end",
        ),
        map(_short, reports),
    )
    for heading, text, value in _BY_CHAPTER:
        yield from ("", f"## {heading}", "", text, "")
        columns = [cells(r) for r in reports]
        yield from _table(("chapter", *names), ((name, *(value(c[name]) for c in columns)) for name in NAMES))
    yield from ("", "## Findings by kind", "")
    kinds = by_kind(reports, lambda r: (f"{f['severity']}: {f['kind']}" for f in r["findings"]))
    yield from _table(("kind", *names), ((kind, *map(str, counts)) for kind, counts in kinds.items()))
    yield from (
        "",
        "## Findings",
        "",
        "One row for each cause. `p11conform replay REPORT ID` shows a finding again.",
        "",
    )
    yield from _table(
        ("id", "severity", "kind", "functions", "answer", "modules"),
        ((x.id, x.severity, x.kind, _few(x.functions), x.observed, ", ".join(x.modules)) for x in faults(reports)),
    )
    yield from ("", "## Notes by kind", "", "What a check noticed that is no finding.", "")
    notes = by_kind(reports, lambda r: (n["kind"] for n in r["notes"]))
    yield from _table(("kind", *names), ((kind, *map(str, counts)) for kind, counts in notes.items()))
    yield from ("", "## Where they go different ways", "", _WAYS, "")
    for way in ways(reports):
        yield from (f"### {way.id}", "", way.question, "")
        yield from _table(("module", "codes"), ((n, ", ".join(way.followed[n])) for n in names if n in way.followed))
        yield ""
    yield from _none_of_them(unreached(reports))


_HEAD: Final = (
    "Written by `p11conform page` from the reports of `p11conform check NAME --json`; do not change it by hand. A "
    "finding is a departure from the text as the model reads it; the number of them says nothing about security."
)
_WAYS: Final = (
    "Open questions of the text ([rules.md](rules.md#interpretations)), each with what the modules returned where it "
    "was met. Here nobody is wrong."
)
_BY_CHAPTER: Final[tuple[tuple[str, str, Callable[[Cell], str]], ...]] = (
    (
        "Functions that returned CKR_OK",
        "Of the functions of a chapter; in brackets those called, where that is not all.",
        lambda c: f"{c.succeeded} of {c.functions}" + (f" ({c.called})" if c.called < c.functions else ""),
    ),
    ("Return values", "Different ones that were seen.", lambda c: str(c.codes)),
    ("Pairs of function and return value", "Different ones that were seen.", lambda c: str(c.pairs)),
    ("Calls", "How often functions of the chapter were called.", lambda c: str(c.calls)),
    ("Findings by chapter", "By the function that fails in the trace.", lambda c: str(c.findings)),
)


def _short(report: Report) -> tuple[str, ...]:
    coverage, chapters = report["coverage"], cells(report)
    ended = report["run"]["ended"]
    poor = (report["reach"] or {}).get("poor", ())
    return (
        title(report),
        report["spec"],
        str(report["calls"]),
        f"{report['seconds']:.0f}",
        f"{sum(c.succeeded for c in chapters.values())} of {len(functions_of(report))}",
        str(len(coverage["codes"])),
        str(len(coverage["pairs"])),
        severities(report),
        "; ".join((ended["how"], *poor)),
    )


def _none_of_them(left: Unreached) -> Iterator[str]:
    yield from ("## What none of them reaches", "")
    yield f"Functions that returned CKR_OK on none: {', '.join(left.functions) or 'none'}."
    yield ""
    yield f"Return values that rows give and none returned: {', '.join(left.codes) or 'none'}."
    yield from ("", f"{left.row_count} rows decided on none. By function, the codes that they give:", "")
    yield from _table(("function", "codes"), ((name, ", ".join(codes)) for name, codes in left.rows.items()))


NAMED: Final = 4
"""Functions of a finding that are named."""


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    yield from (f"| {' | '.join(x.replace('|', chr(92) + '|') for x in row)} |" for row in rows)
