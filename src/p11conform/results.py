"""Checks and their reports, for people and notebooks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from . import display
from .adapters.isolated import Kind
from .adapters.modules import registry
from .checking import Check
from .console import Display
from .options import DEFAULT_SEED, Opening, Token
from .properties.policy import Level
from .properties.reports import phrases, render
from .properties.reports.results import Difference, difference, load, report_json, seen
from .properties.run.campaign import Budget
from .study import Model
from .subject import SIMULATED, known, simulated


class _Silent(Display):
    """Shows nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._live = None

    def _keep(self, line: str) -> None:
        """Say nothing."""

    def say(self, line: str) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True, repr=False)
class Finding:
    """A failure with a cause of its own, as a report has it."""

    data: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Its name, the same from run to run."""
        return str(self.data["id"])

    @property
    def kind(self) -> str:
        """What sort of failure it is."""
        return str(self.data["kind"])

    @property
    def severity(self) -> str:
        """How much it matters to those who use the module: "high", "medium" or "low"."""
        return str(self.data["severity"])

    @property
    def functions(self) -> tuple[str, ...]:
        """All functions in which the same cause was seen."""
        return tuple(self.data["functions"])

    @property
    def observed(self) -> str:
        """What the last call of the trace did."""
        return str(self.data["observed"])

    @property
    def permitted(self) -> tuple[str, ...]:
        """What the text permits there."""
        return tuple(self.data["permitted"])

    @property
    def text(self) -> str:
        """The explanation, in lines."""
        return str(self.data["text"])

    @property
    def trace(self) -> display.Table:
        """The calls that show it, each with what it did."""
        rows = tuple((str(n), call, seen) for n, (call, seen) in enumerate(phrases.steps(self.data), 1))
        return display.Table(("", "call", "did"), rows, self.id)

    def __repr__(self) -> str:
        return display.short(f"Finding({self.id}, {self.severity}, {self.kind}: {', '.join(self._line()[3:])})")

    def _line(self) -> display.Row:
        return self.id, self.severity, self.kind, phrases.few(self.functions), self.observed

    def _repr_html_(self) -> str:
        text = display.Table((repr(self),), tuple((line,) for line in self.text.splitlines())).to_html()
        return text + self.trace.to_html()


class Findings(tuple[Finding, ...]):
    """Findings; a notebook shows them as a table."""

    __slots__ = ()

    @property
    def table(self) -> display.Table:
        """A row for each."""
        headings = ("finding", "severity", "kind", "functions", "observed")
        return display.Table(headings, tuple(f._line() for f in self), f"{len(self)} findings")

    def __repr__(self) -> str:
        return repr(self.table)

    def _repr_html_(self) -> str:
        return self.table.to_html()


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """What a check found; `data` is the whole of it, as report.schema.json describes it."""

    data: Mapping[str, Any]

    @property
    def findings(self) -> Findings:
        """The failures, what matters most first."""
        return Findings(map(Finding, phrases.by_severity(self.data)))

    @property
    def module(self) -> str:
        """The module with the version that it says it has."""
        return phrases.module_name(self.data)

    @property
    def calls(self) -> int:
        """Calls made."""
        return int(self.data["calls"])

    @property
    def pairs(self) -> Mapping[tuple[str, str], int]:
        """Each function with each thing it was seen to do, and how often."""
        coverage = self.data["coverage"]
        return {(f, code): n for (f, code), n in zip(coverage["pairs"], coverage["times"], strict=True)}

    @property
    def unfired(self) -> display.Table:
        """The rows of the table that decided no call."""
        rows = tuple((r["function"], r["code"], r["condition"]) for r in self.data["coverage"]["rules"]["unfired"])
        return display.Table(("function", "code", "when"), rows, "rows that decided no call")

    def to(self, format: str) -> str:
        """The report in a format: "html", "json", "junit", "markdown", "sarif" or "text".

        Raises:
            ValueError: for another one.
        """
        if format not in render.names():
            raise ValueError(f"no format is called {format!r}; formats are {', '.join(render.names())}")
        return render.named(format).render(self.data)

    def save(self, path: Path | str, format: str = "json") -> None:
        """Write the report to a file."""
        Path(path).write_text(self.to(format), encoding="utf-8")

    def plot(self) -> display.Plot:
        """Functions against what they were seen to do; findings have a red edge."""
        marked = {pair for f in self.findings for pair in seen(f.data)}
        return display.heat(self.pairs, marked, f"What was seen of {self.module}")

    def plot_curve(self) -> display.Plot:
        """The curve of what was told apart over calls."""
        points = self.data["coverage"]["classes"]["curve"]
        return display.curve(points, f"Classes of function, answer and state: {self.module}")

    def __repr__(self) -> str:
        return display.short(f"Report({self.module} against PKCS#11 {self.data['spec']}: {phrases.closing(self.data)})")

    def _repr_html_(self) -> str:
        lines = (phrases.closing(self.data), phrases.made(self.data), *phrases.covered(self.data))
        about = display.Table((f"{self.module} against PKCS#11 {self.data['spec']}",), tuple((x,) for x in lines))
        return about.to_html() + self.findings._repr_html_()


def load_report(path: Path | str) -> Report:
    """A report that `check --json` or `Report.save` wrote.

    Raises:
        Unreadable: if it is none; the text is one line that says why.
    """
    return Report(load(Path(path)))


_LEVELS: Final[Mapping[str, Level]] = {
    "session objects": Level.SESSION_OBJECTS,
    "token objects": Level.TOKEN_OBJECTS,
    "pins": Level.PINS,
    "everything": Level.EVERYTHING,
}


def check(
    module: str | Model,
    model: Model | None = None,
    *,
    calls: int | None = None,
    seconds: float = 60.0,
    sequences: int | None = None,
    seed: int = DEFAULT_SEED,
    jobs: int = 1,
    token_label: str | None = None,
    slot: int | None = None,
    user_pin: bytes | None = None,
    so_pin: bytes | None = None,
    allow: str = "session objects",
    timeout: float = 10.0,
) -> Report:
    """Check a module against the model: a name that `modules` lists, a path, or a model, of which a module is made.

    Args:
        module: what is checked.
        model: what it is held to; PKCS#11 2.40 by default.
        calls: how many calls are made, at most; `seconds` and `sequences` bound the check likewise.
        seconds: how long it goes on, at most.
        sequences: how many beside those derived from the model are run, at most.
        seed: decides every random choice.
        jobs: how many workers there are, each with a token of its own.
        token_label: the token, for a library by path; or its `slot`.
        slot: the CK_SLOT_ID of the token.
        user_pin: the PIN of the normal user, for a library by path; it is in no report.
        so_pin: likewise that of the SO.
        allow: what may be done to a token that is not ours, as `check --allow-…`: "session objects", "token objects",
            "pins" or "everything".
        timeout: seconds after which a call counts as hung.

    Raises:
        ValueError: for a module or a level that there is not.
        ModuleUnusable: if the module or its token cannot be used.
    """
    held = model or Model()
    if allow not in _LEVELS:
        raise ValueError(f"allow={allow!r}: it is one of {', '.join(_LEVELS)}")
    name = module if isinstance(module, str) else SIMULATED
    if name not in known() and not Path(name).exists():
        raise ValueError(f"no module is called {name!r}; give a path or one of: {', '.join(known())}")
    token = Token(slot, token_label)
    opening = Opening(name, Kind.RAW, (token,), user_pin, so_pin, None, None, timeout, _LEVELS[allow])
    if jobs > 1 and (name == SIMULATED or name not in known()):
        raise ValueError(f"jobs={jobs}: {name} has one token here; more workers are for modules by name")
    budget = Budget(sequences=sequences, seconds=seconds, calls=calls)
    made_of = None if isinstance(module, str) else simulated(module.table, seed, held.start)
    done = Check(held.table, opening, seed, budget, jobs, display=_Silent(), tested=made_of)
    outcome = done.run()
    if outcome.error is not None:
        raise outcome.error
    return Report(report_json(outcome.results, done.about, done.described(outcome.results)))


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """What one report says otherwise than another."""

    difference: Difference

    @property
    def new(self) -> Findings:
        """Findings of the second report alone."""
        return Findings(map(Finding, self.difference.new))

    @property
    def gone(self) -> Findings:
        """Findings of the first report alone, where the second had a chance to see them."""
        return Findings(map(Finding, self.difference.gone))

    @property
    def table(self) -> display.Table:
        """A row for each difference."""
        d = self.difference
        rows = [
            *(("new finding", f.id, phrases.few(f.functions), f.observed) for f in self.new),
            *(("finding gone", f.id, phrases.few(f.functions), f.observed) for f in self.gone),
            *(("not reached", f["id"], f["function"], f["observed"]) for f in d.unreached),
            *(("changed", b["id"], b["function"], f"{a['observed']}, now {b['observed']}") for a, b in d.changed),
            *(("gained", "", function, code) for function, code in d.gained),
            *(("lost", "", function, code) for function, code in d.lost),
        ]
        return display.Table(("what", "finding", "function", "observed"), tuple(rows), "; ".join(d.unlike))

    def __repr__(self) -> str:
        return repr(self.table)

    def _repr_html_(self) -> str:
        return self.table.to_html()


def compare(old: Report, new: Report) -> Comparison:
    """What the second of two reports says otherwise than the first."""
    return Comparison(difference(old.data, new.data))


def modules() -> display.Table:
    """The modules that `check` knows by name, and what is missing here for those that cannot be had."""
    rows = [(SIMULATED, "ready"), *((name, registry.obstacle(name) or "ready") for name in registry.names())]
    return display.Table(("module", "state"), tuple(rows), "modules")
