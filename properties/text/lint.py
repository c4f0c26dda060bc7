"""What is wrong with the standard itself: relations against each other, lists without rows, rows that never decide.

Each entry cites sections, and shows a state and a call where one can be shown.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import Enum
from itertools import combinations
from math import inf

import networkx as nx

from ...model.interface import EXCLUSIVE, SIGNATURES
from ...model.oracle import Model
from ...model.precedence import EITHER, RELATIONS, Relation
from ...model.rule import Rule
from ...model.state import State
from ...model.vocabulary import CALLBACK_ONLY, CKR, ENVIRONMENT
from .overlaps import Meeting, Pair, Say, Together, pair, together

NO_ROW: Mapping[frozenset[CKR], str] = {
    CALLBACK_ONLY: "Only an application's callback returns it (5.1.4, 5.1.5); out of a C_ function it is a finding.",
    ENVIRONMENT: "Trouble of the environment (5.1.1, 5.1.3): legal at any time, and inconclusive.",
    frozenset({CKR.FUNCTION_NOT_SUPPORTED}): "What a stub answers (5.1.6, A-03): inconclusive.",
    frozenset({CKR.SESSION_CLOSED}): "Only while another thread closes the session (5.1.2), which no sequence does.",
}
"""Codes that no row yields, each with the clause that explains it."""

LONGEST = 4
"""Codes of the cycles that are counted; every code of a component is in one so short."""


class Kind(Enum):
    """What is wrong: each kind of entry, in the order of the table."""

    CONTRADICTION = "contradiction"
    CYCLE = "cycle"
    UNBROKEN = "cycle that decides"
    UNUSED = "listed, no row"
    OFF_LIST = "row, not listed"
    BORROWED = "listed, not to be returned"
    APART = "never together"
    DEAD = "dead row"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to know about the standard, or about the model of it.

    `sentence` says what it is. The witness is a call of one of the functions.
    """

    kind: Kind
    functions: tuple[str, ...]
    codes: tuple[CKR, ...]
    sections: tuple[str, ...]
    sentence: str
    witness: Meeting | None = None


@dataclass(frozen=True, slots=True)
class Lint:
    """All entries, and the scope in which z3 proved what never happens."""

    entries: tuple[Entry, ...]
    scope: State


Edges = Mapping[tuple[CKR, CKR], str]
"""Relations as (higher, lower) → where that is stated: the section, and the reading that it needs."""


def stated(model: Model, function: str) -> Edges:
    """Every relation that the text states for a function in the model's version, under whatever reading.

    Nothing is dropped: a function whose own text lets two codes stand for each other relates them both ways.
    """
    signature = SIGNATURES[function]
    found: dict[tuple[CKR, CKR], str] = {}
    for r in RELATIONS:
        if replace(r, only_under=None).applies(signature, model.version, model.readings):
            found.setdefault((r.higher, r.lower), _where(r))
    for high, low in combinations(sorted(EITHER.get(function, ())), 2):
        for edge in ((high, low), (low, high)):
            found.setdefault(edge, signature.section)
    return found


def _where(r: Relation) -> str:
    return r.section if r.only_under is None else f"{r.section} under {r.only_under[0]} '{r.only_under[1]}'"


OF_LISTS = frozenset({Kind.UNUSED, Kind.OFF_LIST, Kind.BORROWED})
"""What can be told by the lists and the rows alone, at once."""


def lint(model: Model, initial: State, say: Say = lambda _: None, kinds: AbstractSet[Kind] = frozenset(Kind)) -> Lint:
    """Look the whole interface over for some `kinds` of entries; `say` is told how far it is."""
    listed = (*_unused(model), *_off_list(model), *_borrowed(model))
    if kinds <= OF_LISTS:
        return Lint(tuple(e for e in listed if e.kind in kinds), initial)
    cyclic = tuple(_cycles(model))
    clashes = [(name, set(e.codes)) for e in cyclic if e.kind is Kind.CONTRADICTION for name in e.functions]
    ordered = frozenset(_ordered(model))
    clashing = {p for name, codes in clashes for p in _pairs(model, name, codes)}
    alone = {(name, k, k) for name, f in model.functions.items() for k in range(len(f.rules))}
    found = together(model, initial, ordered | clashing | alone, say)
    entries = (
        *(_with_witness(model, e, found) for e in cyclic),
        *listed,
        *_apart(model, found, ordered),
        *_dead(model, found),
    )
    return Lint(tuple(e for e in entries if e.kind in kinds), found.scope)


def _pairs(model: Model, function: str, codes: Iterable[CKR]) -> Iterator[Pair]:
    """Pairs of rows of a function that yield two different codes among these."""
    rows = [(k, r.code) for k, r in enumerate(model.functions[function].rules) if r.code in codes]
    yield from (pair(function, i, j) for (i, one), (j, other) in combinations(rows, 2) if one is not other)


def _ordered(model: Model) -> Iterator[Pair]:
    """Pairs of rows between whose codes there is a relation."""
    for name, f in model.functions.items():
        for (i, one), (j, other) in combinations(enumerate(f.rules), 2):
            if not model.orders[name].stated.keys().isdisjoint({(one.code, other.code), (other.code, one.code)}):
                yield (name, i, j)


# Relations against each other


def _cycles(model: Model) -> Iterator[Entry]:
    """Cycles of the relations, function by function, and gathered over the functions that they are alike in."""
    pairs: dict[tuple[CKR, CKR, str, str], list[str]] = {}
    wide: dict[tuple[tuple[CKR, ...], tuple[int, ...], tuple[str, ...]], list[str]] = {}
    unbroken: dict[tuple[CKR, ...], list[str]] = {}
    for name in model.functions:
        edges = stated(model, name)
        graph: nx.DiGraph[CKR] = nx.DiGraph()
        graph.add_edges_from(edges)
        for component in nx.strongly_connected_components(graph):
            inside = graph.subgraph(component)
            cycles = [_turned(c) for c in nx.simple_cycles(inside, length_bound=LONGEST)]
            for one, other in (c for c in cycles if len(c) == 2):
                key = (one, other, edges[one, other], edges[other, one])
                pairs.setdefault(key, []).append(name)
            if len(component) > 2:
                counts = Counter(map(len, cycles))
                sections = tuple(sorted({edges[edge] for edge in inside.edges}))
                sizes = tuple(counts[n] for n in range(2, LONGEST + 1))
                wide.setdefault((tuple(sorted(component)), sizes, sections), []).append(name)
        deciding: nx.DiGraph[CKR] = nx.DiGraph()
        deciding.add_edges_from(model.orders[name].stated)
        for component in nx.strongly_connected_components(deciding):
            if len(component) > 1:
                cycle = [code for code, *_ in nx.find_cycle(deciding.subgraph(component))]
                unbroken.setdefault(_turned(cycle), []).append(name)
    for (one, other, forth, back), names in sorted(pairs.items()):
        text = f"{forth} puts {one} before {other}, {back} the other way round."
        if EITHER.get(names[0], frozenset()).issuperset((one, other)):
            text = f"{forth} and {back}: one orders the two, the text of the function lets either stand."
        yield Entry(Kind.CONTRADICTION, tuple(names), (one, other), (forth, back), text)
    for (codes, sizes, sections), names in sorted(wide.items()):
        counted = ", ".join(f"{n} of {size}" for size, n in enumerate(sizes, 2) if n)
        text = f"each of {len(codes)} codes comes before itself by way of others; cycles by their length: {counted}."
        yield Entry(Kind.CYCLE, tuple(names), codes, sections, text)
    for codes, names in sorted(unbroken.items()):
        text = "no pair of them is contradicted, so that each outranks the next."
        sections = tuple(
            model.orders[names[0]].stated[edge].section for edge in zip(codes, (*codes[1:], codes[0]), strict=True)
        )
        yield Entry(Kind.UNBROKEN, tuple(names), codes, sections, text)


def _turned(cycle: list[CKR]) -> tuple[CKR, ...]:
    """A cycle from its lowest code on, so that it is told again."""
    at = cycle.index(min(cycle))
    return (*cycle[at:], *cycle[:at])


def _with_witness(model: Model, entry: Entry, found: Together) -> Entry:
    """A contradiction with what its rows do: apply at once, never, or there are not two."""
    if entry.kind is not Kind.CONTRADICTION:
        return entry
    rows = [p for name in entry.functions for p in _pairs(model, name, entry.codes)]
    witness = min((found.met[p] for p in rows if p in found.met), key=_length, default=None)
    yielding = [str(c) for c in entry.codes if any(c is r.code for n in entry.functions for r in _rules(model, n))]
    if witness is not None:
        more = "Both apply at once."
    elif rows:
        more = "Their rows cannot meet."
    elif yielding:
        more = f"Of the two only {yielding[0]} has a row." if len(yielding) == 1 else "No function has rows of both."
    else:
        more = "No row yields either."
    return replace(entry, sentence=f"{entry.sentence} {more}", witness=witness)


def _length(meeting: Meeting) -> float:
    """Calls before a meeting; more than any where no way is known."""
    return inf if meeting.way is None else len(meeting.way)


def _rules(model: Model, name: str) -> tuple[Rule, ...]:
    return model.functions[name].rules


# Lists and rows


def _unused(model: Model) -> Iterator[Entry]:
    """Codes of a list that no row gives, and that no clause explains."""
    found: dict[CKR, list[str]] = {}
    explained = frozenset().union(*NO_ROW)
    for name, f in model.functions.items():
        given = {r.code for r in f.rules} | ({CKR.OK} if f.returns_ok else set())
        for code in sorted(f.signature.listed[model.version] - given - explained):
            found.setdefault(code, []).append(name)
    for code, names in sorted(found.items()):
        sections = _sections(SIGNATURES[name].section for name in names)
        yield Entry(Kind.UNUSED, tuple(names), (code,), sections, "the list names it, and nothing says when.")


def _off_list(model: Model) -> Iterator[Entry]:
    """Rows whose code the function's list does not name, those about one fact together."""
    found: dict[tuple[CKR, str], list[tuple[str, Rule]]] = {}
    for name, f in model.functions.items():
        for r in f.rules:
            if r.code not in f.signature.listed[model.version]:
                found.setdefault((r.code, r.id), []).append((name, r))
    for (code, _), rows in sorted(found.items()):
        words = " or ".join(dict.fromkeys(f"'{r.condition}'" for _, r in rows))
        readings = ", ".join(sorted({r.reading for _, r in rows if r.reading}))
        text = f"the list does not name it, and it applies when {words}{f' ({readings})' if readings else ''}."
        names = tuple(dict.fromkeys(name for name, _ in rows))
        yield Entry(Kind.OFF_LIST, names, (code,), _sections(r.place for _, r in rows), text)


def _borrowed(model: Model) -> Iterator[Entry]:
    """Codes of a list that the text elsewhere bars its function from returning."""
    found: dict[tuple[CKR, str, str], list[str]] = {}
    for name, f in model.functions.items():
        listed = f.signature.listed[model.version]
        for code in sorted(listed & EXCLUSIVE.keys()):
            if name not in EXCLUSIVE[code]:
                keeps = f"the list names it, and it is said that only {', '.join(sorted(EXCLUSIVE[code]))} returns it."
                found.setdefault((code, "5.1.6", keeps), []).append(name)
        if CKR.TOKEN_NOT_PRESENT in listed and f.signature.takes_session:
            never = "the list names it, and it is said that no function with a session returns it."
            found.setdefault((CKR.TOKEN_NOT_PRESENT, "5.1.7", never), []).append(name)
        if f.ok_since is not None and CKR.OK in listed:
            barred = "the list names it, and it is said that the function cannot return it."
            found.setdefault((CKR.OK, "5.1.1", barred), []).append(name)
    for (code, place, sentence), names in sorted(found.items()):
        own = (SIGNATURES[name].section for name in names)
        yield Entry(Kind.BORROWED, tuple(names), (code,), _sections((place, *own)), sentence)


# Rows that never decide


def _apart(model: Model, found: Together, ordered: frozenset[Pair]) -> Iterator[Entry]:
    """Relations between rows that never apply at once, so that they decide nothing between them."""
    groups: dict[tuple[CKR, CKR, str], list[tuple[str, Rule, Rule]]] = {}
    for name, i, j in sorted(found.apart & ordered):
        rules, orders = _rules(model, name), model.orders[name].stated
        for high, low in ((rules[i], rules[j]), (rules[j], rules[i])):
            relation = orders.get((high.code, low.code))
            if relation is not None:
                groups.setdefault((high.code, low.code, relation.section), []).append((name, high, low))
    for (above, below, section), rows in sorted(groups.items()):
        by_high: dict[str, dict[str, None]] = {}
        for _, high, low in rows:
            by_high.setdefault(_words(high), {})[f"'{_words(low)}'"] = None
        text = "; ".join(f"'{one}' never with {', '.join(others)}" for one, others in by_high.items())
        names = tuple(dict.fromkeys(name for name, _, _ in rows))
        yield Entry(Kind.APART, names, (above, below), (section,), f"{text}.")


def _words(rule: Rule) -> str:
    return rule.id.replace("-", " ")


def _dead(model: Model, found: Together) -> Iterator[Entry]:
    """Rows that no state and call in the scope meets."""
    for name, i, j in sorted(found.apart):
        if i == j:
            r = _rules(model, name)[i]
            yield Entry(Kind.DEAD, (name,), (r.code,), (r.place,), f"nothing meets '{r.condition}'.")


def _sections(given: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(given), key=lambda place: ([int(n) for n in place.split()[0].split(".")], place)))
