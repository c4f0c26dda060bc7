"""The matrix of operations: each mechanism of a token in each role, by each way to work on what it begins.

A row is a mechanism in a role, a cell what is done with an operation that was just begun: at once or in parts, with
which data, buffer and signature. What has no operation (keys are wrapped, unwrapped, derived and generated in one call)
has cells for the arguments that decide there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, product
from typing import Final

from ...model.attributes import PAIRS
from ...model.call import Buffer, Call, Data, Parameter, altered
from ...model.mechanisms import PUBLIC_ROLES, Role, taking
from ...model.oracle import Model
from ...model.state import Kind, Mech, State
from ...model.table import TABLE
from .setups import AES, BEFORE, FUNCTIONS_OF, GENERATORS, IMPORTED_SECRET, MAKING, RSA, SECRET, USER, Way, plain


@dataclass(frozen=True, slots=True)
class Cell:
    """What is done, in words, and the calls that do it."""

    name: str
    calls: Way


@dataclass(frozen=True, slots=True)
class Row:
    """A mechanism in a role: a way to its keys, what begins an operation, and the cells.

    Where nothing is begun, `begin` is empty.
    """

    mechanism: Mech
    role: Role
    way: Way
    begin: Way
    cells: tuple[Cell, ...]
    number: int = 0
    """Which mechanism it is, where it has no record."""

    @property
    def name(self) -> str:
        """The mechanism and the role."""
        name = f"0x{self.number:X}" if self.mechanism is Mech.OTHER else self.mechanism.name
        return f"{name} {self.role.name}"


_PLAIN = (Data.FITTING, Data.ODD, Data.EMPTY, Data.HUGE)
_SEALED = (Data.KEPT, Data.TAMPERED, Data.CUT, Data.ODD, Data.EMPTY)
_SIGNATURES = (Data.KEPT, Data.TAMPERED, Data.CUT)


def _data(role: Role) -> tuple[Data, ...]:
    """What an operation is fed with, what it takes first."""
    if role is Role.DIGEST:
        return (Data.FITTING, Data.HUGE, Data.EMPTY)
    return _SEALED if role is Role.DECRYPT else _PLAIN


def _whole(role: Role, function: str) -> Iterator[Cell]:
    """The whole at once: with each data, and the first of them into each buffer, after which it is done in earnest."""
    first, *others = _data(role)
    if role is Role.VERIFY:
        yield from (
            Cell(f"at once, {x.name} data, {y.name} signature", (plain(function, data=x, signature=y),))
            for x, y in (*product((first,), _SIGNATURES), *product(others, (Data.KEPT,)))
        )
        return
    if role is Role.VERIFY_RECOVER:
        yield from (Cell(f"at once, {x.name} signature", (plain(function, signature=x),)) for x in _SIGNATURES)
    else:
        yield from (Cell(f"at once, {x.name} data", (plain(function, data=x),)) for x in (first, *others))
    earnest = plain(function) if role is Role.VERIFY_RECOVER else plain(function, data=first)
    into = {buffer: altered(earnest, buffer=buffer) for buffer in Buffer}
    for buffer in (Buffer.NULL, Buffer.SHORT):
        yield Cell(f"at once, {buffer.name} buffer first", (into[buffer], earnest))
    yield Cell("at once, EXACT buffer", (into[Buffer.EXACT],))


def _parts(role: Role, part: str, last: str) -> Iterator[Cell]:
    """In parts: with each data, and with each buffer or signature at the end."""
    first, *others = _data(role)
    gives_parts = role in (Role.ENCRYPT, Role.DECRYPT)
    fed = plain(part, data=first)
    if role is Role.VERIFY:
        for x in _SIGNATURES:
            yield Cell(f"in parts, {x.name} signature", (fed, plain(last, signature=x)))
        yield from (Cell(f"in parts, {x.name} data", (plain(part, data=x), plain(last))) for x in others)
        return
    yield from (Cell(f"in parts, {x.name} data", (plain(part, data=x), plain(last))) for x in (first, *others))
    for buffer in (Buffer.NULL, Buffer.SHORT):
        yield Cell(f"in parts, {buffer.name} buffer first", (fed, plain(last, buffer=buffer), plain(last)))
        if gives_parts:
            yield Cell(
                f"in parts, {buffer.name} buffer for a part first",
                (plain(part, data=first, buffer=buffer), fed, plain(last)),
            )
    exact = plain(part, data=first, buffer=Buffer.EXACT) if gives_parts else fed
    yield Cell("in parts, EXACT buffers", (exact, plain(last, buffer=Buffer.EXACT)))


def _made(way: Way) -> tuple[Kind, ...]:
    """The kinds of the objects that a way makes, in their order."""
    return tuple(
        chain.from_iterable(
            call.args.mechanism.facts.makes if "mechanism" in TABLE[call.function].uses else (call.args.kind,)
            for call in way
            if call.function in MAKING
        )
    )


def _keys(mech: Mech, listed: tuple[Mech, ...]) -> Way:
    """A way to keys of the mechanism: secret ones are generated where the token can, pairs imported."""
    facts = mech.facts
    kinds = (facts.public or facts.private)[:1]
    for maker in listed:
        if maker.facts.roles == (Role.GENERATE,) and maker.facts.makes == kinds and not maker.facts.parameter:
            return (plain("C_GenerateKey", mechanism=maker),)
    halves = next((pair for pair in PAIRS if {*pair} & {*kinds}), kinds)
    return tuple(plain("C_CreateObject", kind=kind) for kind in halves)


def _key(mech: Mech, role: Role, made: tuple[Kind, ...]) -> int:
    """The number of the key that serves."""
    kinds = mech.facts.public if role in PUBLIC_ROLES else mech.facts.private
    return next(n for n, kind in enumerate(made) if kind in kinds)


def _operation(mech: Mech, role: Role, offered: frozenset[Role], listed: tuple[Mech, ...]) -> Row:
    init, whole, *parts = FUNCTIONS_OF[role]
    if role is Role.DIGEST:
        way, begin = USER, plain(init, mechanism=mech)
    else:
        way = (*USER, *_keys(mech, listed))
        made = _made(way)
        begin = plain(init, mechanism=mech, key=_key(mech, role, made))
        before = BEFORE.get(role)
        if before in offered:
            first_init, first_whole, *_ = FUNCTIONS_OF[before]
            way = (*way, plain(first_init, mechanism=mech, key=_key(mech, before, made)), plain(first_whole))
    in_parts = _parts(role, *parts) if parts else ()
    return Row(mech, role, way, (begin,), (*_whole(role, whole), *in_parts))


def _wrapping(mech: Mech, role: Role, offered: frozenset[Role], listed: tuple[Mech, ...]) -> Row:
    keys = (*USER, *_keys(mech, listed))
    made = _made(keys)
    way = (*keys, *IMPORTED_SECRET)
    target = len(made)
    if role is Role.WRAP:
        wrap = partial(plain, "C_WrapKey", mechanism=mech, key=_key(mech, role, made))
        cells = [Cell(f"{x.name} buffer", (wrap(other_key=target, buffer=x),)) for x in Buffer]
        cells += [Cell("another secret key", (wrap(other_key=0),))]
        cells += _parameters(mech, partial(wrap, other_key=target), ())
        return Row(mech, role, way, (), tuple(cells))
    if Role.WRAP in offered:
        way = (*way, plain("C_WrapKey", mechanism=mech, key=_key(mech, Role.WRAP, made), other_key=target))
    unwrap = partial(plain, "C_UnwrapKey", mechanism=mech, key=_key(mech, role, made), kind=Kind.GENERIC_SECRET)
    gone = (plain("C_DestroyObject", object=target + 1),)
    cells = [Cell(f"{x.name} wrapped key", (unwrap(data=x), *gone)) for x in (*_SEALED, Data.FITTING)]
    return Row(mech, role, way, (), (*cells, *_parameters(mech, unwrap, gone)))


def _parameters(mech: Mech, make: Callable[..., Call], after: Way) -> Iterator[Cell]:
    for x in (Parameter.WRONG, Parameter.IMPOSSIBLE) if mech.facts.parameter else ():
        yield Cell(f"{x.name} parameter", (make(parameter=x), *after))


def _deriving(mech: Mech, role: Role, _offered: frozenset[Role], listed: tuple[Mech, ...]) -> Row:
    way = (*USER, *_keys(mech, listed))
    made = _made(way)
    derive = partial(plain, "C_DeriveKey", mechanism=mech, key=_key(mech, role, made), kind=Kind.GENERIC_SECRET)
    gone = (plain("C_DestroyObject", object=len(made)),)
    cells = [Cell(f"{x.name}", (derive(kind=x), *gone)) for x in (Kind.GENERIC_SECRET, Kind.AES)]
    return Row(mech, role, way, (), (*cells, *_parameters(mech, derive, gone)))


def _generating(mech: Mech, role: Role, _offered: frozenset[Role], _listed: tuple[Mech, ...]) -> Row:
    gone = tuple(plain("C_DestroyObject", object=n) for n in range(len(mech.facts.makes)))
    cells = (Cell("a session object", (plain(GENERATORS[role], mechanism=mech), *gone)),)
    return Row(mech, role, USER, (), cells)


_ROWS: Final[Mapping[Role, Callable[[Mech, Role, frozenset[Role], tuple[Mech, ...]], Row]]] = {
    **dict.fromkeys(FUNCTIONS_OF, _operation),
    Role.WRAP: _wrapping,
    Role.UNWRAP: _wrapping,
    Role.DERIVE: _deriving,
    **dict.fromkeys(GENERATORS, _generating),
}


def _unrecorded(number: int, role: Role) -> Iterator[Row]:
    """A mechanism without a record in a role: begun with a key of each common sort, as its own is not known."""
    other = {"mechanism": Mech.OTHER, "number": number}
    function = FUNCTIONS_OF[role][0] if role in FUNCTIONS_OF else _AT_ONCE[role]
    uses = TABLE[function].uses
    keys = _COMMON if "key" in uses else {"": ()}
    for name, way in keys.items():
        # A key of a kind that no mechanism takes for the use may be refused for that alone.
        if way and not any(taking(role, kind) for kind in _made(way)):
            continue
        key = len(_made(way)) - 1 if way and role not in PUBLIC_ROLES else 0
        given = {"key": key} if "key" in uses else {}
        if "other_key" in uses:
            way, given["other_key"] = (*way, *IMPORTED_SECRET), len(_made(way))
        cell = Cell(f"begun{name}", (plain(function, **other, **given),))
        yield Row(Mech.OTHER, role, (*USER, *way), (), (cell,), number)


_AT_ONCE: Final[Mapping[Role, str]] = {
    Role.WRAP: "C_WrapKey",
    Role.UNWRAP: "C_UnwrapKey",
    Role.DERIVE: "C_DeriveKey",
    **GENERATORS,
}
_COMMON: Final[Mapping[str, Way]] = {" with a secret": SECRET, " with an AES key": AES, " with an RSA key": RSA}


def rows(model: Model, initial: State) -> tuple[Row, ...]:
    """The rows of the first token: every mechanism of it in every role that it offers, but for message-based ones.

    The dearest come last: public keys, and what makes them.
    """
    slot = initial.slots[0]
    offered: dict[Mech, list[Role]] = {}
    later: dict[int, tuple[Role, ...]] = {}
    for mech, role in slot.abilities:
        if not mech.facts.since <= model.version:
            later[mech.facts.number] = (*later.get(mech.facts.number, ()), role)
        elif role in (*mech.facts.roles, *mech.facts.also) and role in _ROWS:
            offered.setdefault(mech, []).append(role)
    found = [
        _followed(_ROWS[role](mech, role, frozenset(roles), slot.mechanisms))
        for mech, roles in offered.items()
        for role in roles
    ]
    found += [
        row
        for number, roles in (*slot.others, *later.items())
        for role in roles
        if role in _ROWS
        for row in _unrecorded(number, role)
    ]
    known = [row for row in found if all(call.function in model.functions for call in calls_of(row))]
    return tuple(sorted(known, key=lambda row: (row.role in GENERATORS, not row.mechanism.facts.symmetric)))


def _followed(row: Row) -> Row:
    """A row as far as the model follows the mechanism in the role: where it does not, the plainest cell alone."""
    return row if row.role in row.mechanism.facts.roles else replace(row, cells=row.cells[:1])


def calls_of(row: Row) -> Way:
    """All calls of a row."""
    return (*row.way, *row.begin, *chain.from_iterable(cell.calls for cell in row.cells))


def matrix_calls(model: Model, initial: State) -> Iterable[Call]:
    """The calls of all rows."""
    return chain.from_iterable(map(calls_of, rows(model, initial)))
