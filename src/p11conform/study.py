"""Questions to the model, for people and notebooks: what is permitted, how a code is reached, what is proved.

Calls are written as in traces: `C_Login(user=SO, pin=WRONG)`; what is left out is the harmless argument.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from . import display
from .model import oracle
from .model.call import Call, arguments, code_text, read_call
from .model.environment import expose
from .model.interpretations import INTERPRETATIONS
from .model.precedence import order
from .model.rule import Rule, Strength
from .model.state import Object, Session, Slot, State
from .model.table import TABLE
from .model.vocabulary import CKR, Version
from .properties.policy import anything
from .properties.reports.findings import explain_rule, show_call
from .properties.search.goals import Goal, Search
from .properties.search.goals import Part as GoalPart
from .properties.search.graph import QUOTIENTS, SCOPES, explore, lengths, quotient
from .properties.search.natural import answer, natural, states
from .properties.search.pictures import picture
from .subject import SIMULATED_STATE

Trace = Iterable[tuple[Call, CKR]]


class Model:
    """What PKCS#11 permits, in a version and under readings of its open questions.

    Args:
        version: "2.01", "2.20", "2.40" or "3.0".
        readings: other than the default ones, by number: {"A-05": "base text"}.
        functions: only these; all if none are given.

    Raises:
        ValueError: for a version, a reading or a function that there is not.
    """

    def __init__(
        self, version: str = "2.40", readings: Mapping[str, str] | None = None, functions: Iterable[str] | None = None
    ) -> None:
        whole = oracle.build(Version(version), readings)
        if functions is not None:
            whole = replace(whole, functions={name: whole.functions[_function(whole, name)] for name in functions})
        self._table = whole

    @classmethod
    def of(cls, table: oracle.Model) -> "Model":
        """The model of a table of rules."""
        made = cls.__new__(cls)
        made._table = table
        return made

    @property
    def table(self) -> oracle.Model:
        """The table of rules, as the rest of p11conform has it."""
        return self._table

    @property
    def start(self) -> State:
        """Where checks and proofs begin: with every sort of slot, but for a model of some functions one plain slot."""
        return SIMULATED_STATE if _is_whole(self._table) else PART

    @property
    def version(self) -> str:
        """The version of the standard."""
        return str(self._table.version)

    @property
    def readings(self) -> Mapping[str, str]:
        """The reading in force of every open question, by its number."""
        return self._table.readings

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions that it has."""
        return tuple(self._table.functions)

    def rules(self, function: str | None = None, code: str | None = None) -> display.Table:
        """The rows of the table: of a function, for a code, or all."""
        wanted = None if code is None else read_code(code)
        names = self.functions if function is None else (_function(self._table, function),)
        rows = ((name, r) for name in names for r in self._table.functions[name].rules if wanted in (None, r.code))
        return rules_table(rows)

    def without(self, function: str, code: str) -> "Model":
        """The model less the rows by which a function returns a code: one with a fault."""
        table, wanted = self._table, read_code(code)
        for rule in table.functions[_function(table, function)].rules:
            if rule.code is wanted:
                table = table.without(function, rule)
        return Model.of(table)

    def scopes(self) -> display.Table:
        """The small parts of the model that `explore` walks wholly."""
        return display.Table(("scope", "what it is"), tuple((x.name, x.sentence) for x in SCOPES.values()), "scopes")

    def explore(self, scope: str = "logins") -> "Graph":
        """Every state that a scope reaches, and every step that the standard permits between them.

        Raises:
            ValueError: if there is no such scope.
        """
        if scope not in SCOPES:
            raise ValueError(f"no scope is called {scope!r}; there are {', '.join(SCOPES)}")
        return Graph(self, scope)

    def differences(self, other: "Model") -> display.Table:
        """The calls of which two models permit different codes, by the rows that differ; takes some seconds."""
        from .properties.text.versions import compare

        found = compare(self._table, other.table, SIMULATED_STATE).differences
        rows = tuple((d.function, _codes(d.old - d.new), _codes(d.new - d.old), _conditions(d)) for d in found)
        headings = ("function", f"only {self.version} permits", f"only {other.version} permits", "when")
        return display.Table(headings, rows, "differences")

    def plot(self) -> display.Plot:
        """How many rows speak how firmly, for each section of the standard."""
        count: dict[str, Counter[str]] = {s.value: Counter() for s in Strength}
        for f in self._table.functions.values():
            for r in f.rules:
                count[r.strength.value][f.signature.section] += 1
        return display.stacked(count, "rows", f"Rows by section and strength, PKCS#11 {self.version}")

    def __repr__(self) -> str:
        rules = sum(len(f.rules) for f in self._table.functions.values())
        return f"Model({self.version!r}: {len(self.functions)} functions, {rules} rows)"

    def _repr_html_(self) -> str:
        count = Counter(r.strength.value for f in self._table.functions.values() for r in f.rules)
        rows = tuple((s.value, str(count[s.value])) for s in Strength)
        return display.Table(("strength", "rows"), rows, repr(self)).to_html()


def _is_whole(table: oracle.Model) -> bool:
    """Whether a model has all functions of its version."""
    return all(name in table.functions for name, f in TABLE.items() if f.signature.since <= table.version)


def _conditions(d: Any) -> str:
    return ", ".join(dict.fromkeys(r.condition for r in (*d.old_rows, *d.new_rows)))


def _codes(codes: Iterable[int]) -> str:
    return ", ".join(code_text(c) for c in sorted(codes))


def _function(table: oracle.Model, name: str) -> str:
    if name in table.functions:
        return name
    raise ValueError(f"no function is called {name!r}{nearest(name, table.functions)}")


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint at the name that was perhaps meant; empty where none is near."""
    from difflib import get_close_matches

    by_folded = {x.casefold(): x for x in names}
    near = get_close_matches(name.casefold(), by_folded, 1, 0.6)
    return f"; did you mean {by_folded[near[0]]}?" if near else ""


def read_code(text: str) -> CKR:
    """A return value by its name, with or without the prefix.

    Raises:
        ValueError: if the standard has none of that name.
    """
    name = text.removeprefix("CKR_")
    if name in CKR.__members__:
        return CKR[name]
    raise ValueError(f"{text} is no return value of PKCS#11{nearest(f'CKR_{name}', map(str, CKR))}")


def rules_table(rows: Iterable[tuple[str, Rule]]) -> display.Table:
    """Rows of the table of rules, for people."""
    headings = ("function", "code", "when", "strength", "place", "what stands there", "open question")
    cells = tuple(
        (name, str(r.code), r.condition, r.strength.value, r.place, r.says, r.reading or "") for name, r in rows
    )
    return display.Table(headings, cells, "rows")


_CALL: Final = re.compile(r"\s*(?P<name>\w+)\s*(?:\((?P<given>[^()]*)\))?\s*(?:(?:→|->)\s*(?P<code>\w+))?\s*")


def read(table: oracle.Model, text: str) -> tuple[Call, CKR | None]:
    """A call as a person writes it, with the code that it returns if one is given.

    Raises:
        ValueError: if it is no call of the model.
    """
    found = _CALL.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no call; write it as C_Login(user=SO, pin=WRONG)")
    name = _function(table, found["name"])
    given: dict[str, Any] = {}
    for part in filter(None, map(str.strip, (found["given"] or "").split(","))):
        key, equals, value = map(str.strip, part.partition("="))
        if not equals or key not in table.functions[name].uses:
            uses = ", ".join(table.functions[name].uses)
            raise ValueError(f"{name} has no argument {part!r}; it has {uses or 'none'}")
        flags = {"true": True, "false": False}
        given[key] = int(value) if value.isdecimal() else flags.get(value.lower(), value)
    call = read_call(name, arguments(next(table.functions[name].calls(SIMULATED_STATE)), table.functions[name].uses))
    harmless = arguments(call, table.functions[name].uses)
    return read_call(name, harmless | given), None if found["code"] is None else read_code(found["code"])


@dataclass(frozen=True, slots=True)
class Step:
    """A call of a sequence: what it returns, what the text permits there, and by which rows; an event has none."""

    call: str
    returns: str
    permitted: tuple[str, ...]
    rules: tuple[str, ...]

    @property
    def text(self) -> str:
        """The call with what it returns."""
        return f"{self.call} → {self.returns}" if self.returns else self.call


class Sequence:
    """Calls with what they return, and what the text says of each."""

    def __init__(self, table: oracle.Model, initial: State, trace: Trace, about: str = "") -> None:
        self.about = about
        self.steps = tuple(_steps(table, initial, trace))

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __getitem__(self, n: int) -> Step:
        return self.steps[n]

    def to_json(self) -> list[dict[str, Any]]:
        """The steps as plain JSON values."""
        return [
            {"call": x.call, "returns": x.returns, "permitted": list(x.permitted), "rules": list(x.rules)}
            for x in self.steps
        ]

    def __repr__(self) -> str:
        return display.short("\n".join(f"{n}. {x.text}" for n, x in enumerate(self.steps, 1)))

    def _repr_html_(self) -> str:
        rows = ((str(n), x.call, x.returns, ", ".join(x.permitted)) for n, x in enumerate(self.steps, 1))
        return display.Table(("", "call", "returns", "permitted"), tuple(rows), self.about).to_html()


def _steps(table: oracle.Model, initial: State, trace: Trace) -> Iterator[Step]:
    here = frozenset({initial})
    for call, code in trace:
        if call.function in table.events:
            yield Step(f"{show_call(call, table.functions[call.function].uses)} (an event)", "", (), ())
            here = frozenset(t for s in here for t in oracle.successors(table, s, call, code))
            continue
        allowing = [s for s in here if code in oracle.permitted(table, s, call)] or list(here)
        s = allowing[0]
        allowed = tuple(code_text(c) for c in sorted(oracle.permitted(table, s, call)))
        rules = tuple(explain_rule(r) for r in oracle.applicable(table, s, call))
        yield Step(show_call(call, table.functions[call.function].uses), code_text(code), allowed, rules)
        here = frozenset(t for x in allowing for t in oracle.successors(table, x, call, code))


class Permitted:
    """The codes that the text permits for a call, and the rows that say so."""

    def __init__(self, codes: Iterable[int], rules: display.Table, call: str) -> None:
        self.codes, self.rules, self.call = tuple(code_text(c) for c in sorted(codes)), rules, call

    def __contains__(self, code: object) -> bool:
        return str(code) in self.codes or f"CKR_{code}" in self.codes

    def __iter__(self) -> Iterator[str]:
        return iter(self.codes)

    def __len__(self) -> int:
        return len(self.codes)

    def __repr__(self) -> str:
        return display.short(f"{self.call}: {', '.join(self.codes) or 'nothing'}")

    def _repr_html_(self) -> str:
        return replace(self.rules, about=repr(self)).to_html()


def permitted(*calls: str, model: Model | None = None) -> Permitted:
    """What may the last of these calls return? The ones before it succeed, or return the code after their arrow.

    Raises:
        ValueError: for what is no call, or one of those before it that cannot return what is said.
    """
    table = (model or Model()).table
    *before, (last, _) = [read(table, text) for text in calls]
    here = frozenset({SIMULATED_STATE})
    for call, given in before:
        code = given if given is not None else answer(table, next(iter(here)), call)
        allowing = [s for s in here if code is not None and code in oracle.permitted(table, s, call)]
        if code is None or not allowing:
            text = show_call(call, table.functions[call.function].uses)
            said = f"return {code_text(code)}" if code is not None else "succeed"
            raise ValueError(f"{text} cannot {said} here; say what it returns by an arrow: {call.function}() → CKR_…")
        here = frozenset(t for s in allowing for t in oracle.successors(table, s, call, code))
    codes = frozenset(c for s in here for c in oracle.permitted(table, s, last))
    rows = dict.fromkeys(r for s in here for r in oracle.applicable(table, s, last))
    text = show_call(last, table.functions[last.function].uses)
    return Permitted(codes, rules_table((last.function, r) for r in rows), text)


def reach(code: str, function: str | None = None, model: Model | None = None) -> Sequence | None:
    """The sequence to a code that a person would write, with harmless arguments and firm rows; None if there is none.

    Raises:
        ValueError: if there is no such code or function.
    """
    table, wanted = (model or Model()).table, read_code(code)
    if function is not None:
        _function(table, function)
    way = natural(table, SIMULATED_STATE, wanted, function)
    if way is None:
        return _befallen(table, wanted, function)
    *before, last = way.calls
    trace = [(call, _answered(table, s, call)) for s, call in zip(states(table, SIMULATED_STATE, before), before)]  # noqa: B905
    return Sequence(table, SIMULATED_STATE, (*trace, (last, wanted)), f"{wanted} in {len(way.calls)} calls")


def _befallen(table: oracle.Model, code: CKR, function: str | None) -> Sequence | None:
    """A shortest sequence to a code among calls and what happens beside them, None where there is none."""
    table, initial = oracle.build(table.version, table.readings, events=True), expose(PART)
    wanted = [
        Goal(f.name, k, GoalPart.APPLIES)
        for f in table.functions.values()
        for k, r in enumerate(f.rules)
        if r.code is code and function in (None, f.name)
    ]
    search = Search(table, initial, anything, wanted)
    for view in search.views() if wanted else ():
        search.look(*view)
        if search.found:
            *way, last = search.found[0].calls
            trace = (*((call, CKR.OK) for call in way), (last, code))
            return Sequence(
                table, initial, trace, f"{code} in {len(trace)} steps, where things happen beside the calls"
            )
    return None


def _answered(table: oracle.Model, s: State | None, call: Call) -> CKR:
    code = None if s is None else answer(table, s, call)
    assert code is not None, "a way can be followed"
    return code


class Explanation:
    """What the model says of a function, or of one of its codes: rows, order, a sequence, open questions."""

    def __init__(self, model: Model, function: str, code: str | None) -> None:
        table = model.table
        self.function, self.version = _function(table, function), model.version
        self.code = None if code is None else str(read_code(code))
        self.rules = model.rules(function, code)
        self.anyway = oracle.legal_anyway(table, function, read_code(code), succeeds=False) if code else ""
        self.order = () if code is None else tuple(_order(table, function, read_code(code)))
        self.sequence = reach(code, function, model) if code is not None and self.rules else None
        asked = dict.fromkeys(r[-1] for r in sorted(self.rules, key=lambda r: r[-1]) if r[-1])
        self.questions = tuple(
            (id, INTERPRETATIONS[id].section, table.readings[id], INTERPRETATIONS[id].question) for id in asked
        )

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "function": self.function,
            "spec": self.version,
            "code": self.code,
            "legal_anyway": self.anyway or None,
            "rules": self.rules.to_json(),
            "order": list(self.order),
            "sequence": None if self.sequence is None else self.sequence.to_json(),
            "questions": [
                {"id": id, "section": section, "read_as": reading, "question": question}
                for id, section, reading, question in self.questions
            ],
        }

    def __repr__(self) -> str:
        lines = [f"{self.function}, PKCS#11 {self.version}"]
        lines += [f"{code} when {when} ({strength}; {place})" for _, code, when, strength, place, *_ in self.rules]
        if self.anyway:
            lines.append(f"{self.code}: {self.anyway}: it proves nothing")
        return display.short("\n".join((*lines, *self.order, *([repr(self.sequence)] if self.sequence else []))))

    def _repr_html_(self) -> str:
        return self.rules.to_html() + (self.sequence._repr_html_() if self.sequence else "")


def _order(table: oracle.Model, function: str, code: CKR) -> Iterator[str]:
    mine = {r.code for r in table.functions[function].rules}
    relations = order(function, table.version, table.readings)
    for (high, low), relation in sorted(relations.stated.items()):
        if code in (high, low) and high in mine and low in mine:
            how = "" if (high, low) in relations.decide else ", recommended"
            yield f"{code_text(high)} before {code_text(low)} (section {relation.section}{how})"


def explain(function: str, code: str | None = None, model: Model | None = None) -> Explanation:
    """What the model says of a function, or of one of its codes.

    Raises:
        ValueError: if there is no such function or code.
    """
    return Explanation(model or Model(), function, code)


class Graph:
    """A scope of the model, explored wholly: what is not in it cannot happen there."""

    def __init__(self, model: Model, scope: str) -> None:
        self.model, self.scope = model, SCOPES[scope]
        self.graph = explore(self.scope.of(model.table), self.scope.initial)

    @property
    def states(self) -> int:
        """How many states are reached."""
        return len(self.graph.states)

    @property
    def steps(self) -> int:
        """How many steps there are between them."""
        return len(self.graph.edges)

    @property
    def depth(self) -> int:
        """How many calls away the farthest state is."""
        return self.graph.depth

    @cached_property
    def distance(self) -> Mapping[str, int]:
        """How many calls a shortest sequence to each code has."""
        return {str(code): n for code, n in lengths(self.graph).items()}

    @cached_property
    def occurs(self) -> Mapping[str, int]:
        """In how many states some call may return each code."""
        sources: dict[str, set[int]] = {}
        for edge in self.graph.edges:
            sources.setdefault(str(edge.code), set()).add(edge.source)
        return {code: len(found) for code, found in sorted(sources.items())}

    def way(self, code: str) -> Sequence | None:
        """A shortest sequence whose last call may return a code; None proves that there is none in this scope."""
        from .properties.search.graph import shortest_event

        wanted = read_code(code)
        found = shortest_event(self.graph, lambda _s, _a, _f, seen: seen == wanted)
        return None if found is None else Sequence(self.graph.model, self.scope.initial, found, str(wanted))

    def plot(self, aspect: str | None = None) -> display.Plot:
        """The graph through an aspect of its states: "sessions", "operation" or "pins"."""
        seen = QUOTIENTS[aspect or self.scope.shown]
        return display.drawn(picture(quotient(self.graph, seen.label)), f"{self.scope.name}: {seen.sentence}")

    def __repr__(self) -> str:
        return f"Graph({self.scope.name!r}: {self.states:,} states, {self.steps:,} steps, depth {self.depth})"

    def _repr_html_(self) -> str:
        rows = tuple((code, str(n), str(self.occurs[code])) for code, n in self.distance.items())
        return display.Table(("code", "calls to it", "states"), rows, repr(self)).to_html()


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of an attempt to prove an invariant: "proved", "violated" or "unknown"; and what stands against it."""

    sentence: str
    section: str
    outcome: str
    against: Sequence | None


class Proofs(Mapping[str, Proof]):
    """Proofs by the names of the invariants."""

    def __init__(self, proofs: Mapping[str, Proof]) -> None:
        self._proofs = dict(proofs)

    def __getitem__(self, name: str) -> Proof:
        return self._proofs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._proofs)

    def __len__(self) -> int:
        return len(self._proofs)

    @property
    def proved(self) -> int:
        """How many are proved."""
        return sum(p.outcome == "proved" for p in self._proofs.values())

    def to_json(self) -> list[dict[str, Any]]:
        """The proofs as plain JSON values."""
        return [
            {
                "name": name,
                "sentence": p.sentence,
                "section": p.section,
                "outcome": p.outcome,
                "against": None if p.against is None else p.against.to_json(),
            }
            for name, p in self._proofs.items()
        ]

    def __repr__(self) -> str:
        left = [f"{name}: {p.outcome}" for name, p in self._proofs.items() if p.outcome != "proved"]
        return display.short("\n".join((f"{self.proved} of {len(self)} proved", *left)))

    def _repr_html_(self) -> str:
        rows = tuple((p.sentence, p.section, p.outcome) for p in self._proofs.values())
        return display.Table(("invariant", "section", "outcome"), rows, repr(self).split("\n")[0]).to_html()


def prove(model: Model | None = None, *names: str, together: bool = True, bound: int = 4) -> Proofs:
    """Prove by induction what the standard says of every state: all invariants of the catalogue, or those named.

    `together`, each is proved while all the others that hold may be assumed. What fails is sought violated within
    `bound` calls.

    Raises:
        ValueError: if there is no such invariant.
    """
    from .properties.proofs import checks
    from .properties.proofs.invariants import invariants
    from .properties.proofs.symbolic import System

    table = (model or Model()).table
    known = {i.name: i for i in invariants(table)}
    for name in names:
        if name not in known:
            raise ValueError(f"no invariant is called {name!r}{nearest(name, known)}; there are {', '.join(known)}")
    claimed = {name: i for name, i in known.items() if not names or name in names}
    initial = PROVED_IN if _is_whole(table) else PART
    system = System(table, initial)
    if together:
        found = checks.prove_together(system, {name: i.predicate for name, i in claimed.items()}, bound)
    else:
        found = {name: checks.prove(system, i.predicate, bound=bound) for name, i in claimed.items()}
    return Proofs(
        {
            name: Proof(
                claimed[name].sentence,
                claimed[name].section,
                p.outcome.value,
                Sequence(table, p.start or initial, p.trace, name) if p.trace else None,
            )
            for name, p in found.items()
        }
    )


PART: Final = State(sessions=(Session(),) * 2, objects=(Object(),))
"""One slot, two sessions, one object: enough for a few functions."""

PROVED_IN: Final = State(slots=(Slot(), Slot()), sessions=(Session(),) * 2, objects=(Object(),) * 2)
"""Two slots, two sessions, two objects: what proofs are of."""
