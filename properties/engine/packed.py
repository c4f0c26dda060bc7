"""States as strings of bytes, a byte for each part that a call may change, and by number.

Search and campaign handle states by the million: a string of bytes is compared, stored and changed in a fraction of
the time that nested records take.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from functools import cache
from itertools import accumulate, islice, pairwise
from operator import attrgetter
from typing import Any, Final, get_type_hints

from ...model.state import State

Flat = bytes
"""A state: its leaves in the order of `leaves`."""

_PARTS: Final = attrgetter(*(f.name for f in fields(State)))


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected meanwhile: looking over a million records for cycles takes longer than making them."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def leaves(record: Any) -> Iterator[Any]:
    """The parts of a state that a call may change, or all of some arguments, in the order of the fields."""
    if isinstance(record, tuple):
        for x in record:
            yield from leaves(x)
    elif changing := changing_fields(record.__class__):
        for name, _ in changing:
            yield from leaves(getattr(record, name))
    else:
        yield record


def map_leaves(record: Any, change: Callable[[Any, Any, str], Any], path: str = "", hint: Any = None) -> Any:
    """A record with `change(leaf, its type, its path)` for each leaf, in the order of `leaves`."""
    if isinstance(record, tuple):
        return tuple(map_leaves(x, change, f"{path}[{n}]") for n, x in enumerate(record))
    if changing := changing_fields(record.__class__):
        return replace(record, **{n: map_leaves(getattr(record, n), change, f"{path}.{n}", h) for n, h in changing})
    return change(record, hint, path)


@cache
def changing_fields(record: type[object]) -> tuple[tuple[str, Any], ...]:
    """The fields of a record that are not fixed, with their types; a leaf has none."""
    if not is_dataclass(record):
        return ()
    hints = get_type_hints(record, include_extras=True)
    return tuple((f.name, hints[f.name]) for f in fields(record) if not f.metadata.get("fixed"))


def _records(s: State) -> list[Any]:
    """The records, and values, that a state is made of."""
    records: list[Any] = []
    for part in _PARTS(s):
        if part.__class__ is tuple:
            records += part
        else:
            records.append(part)
    return records


class States:
    """The states of a scope, numbered in the order in which they were first asked about.

    `initial` spans the scope: all states have as many slots, sessions and objects, and its fixed facts.
    """

    def __init__(self, initial: State) -> None:
        self.flats: list[Flat] = []
        self._numbers: dict[Flat, int] = {}
        self._states: dict[int, State] = {}
        self._flat: dict[Any, bytes] = {}
        # By address: only of records that are kept alive here.
        self._at: dict[int, bytes] = {}
        self._initial = _records(initial)
        ends = [*accumulate(len(bytes(leaves(x))) for x in self._initial)]
        self._pieces = [slice(start, end) for start, end in pairwise((0, *ends))]
        self._made: list[dict[bytes, Any]] = [{} for _ in ends]
        self._widths = [len(part) if part.__class__ is tuple else None for part in _PARTS(initial)]

    def __len__(self) -> int:
        return len(self.flats)

    def __iter__(self) -> Iterator[State]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, number: int) -> State:
        s = self._states.get(number)
        if s is None:
            s = self._states[number] = self._state(self.flats[number])
        return s

    def _state(self, flat: Flat) -> State:
        records = iter(
            [
                made.get(flat[piece]) or made.setdefault(flat[piece], _filled(like, flat[piece]))
                for like, piece, made in zip(self._initial, self._pieces, self._made, strict=True)
            ]
        )
        parts: list[Any] = [next(records) if width is None else tuple(islice(records, width)) for width in self._widths]
        return State(*parts)

    def number(self, s: State) -> int:
        """The number of a state, a new one where no equal state has one."""
        at, records = self._at, _records(s)
        # A state shares most records with the one it came from, which are recognised without a look inside.
        flat = b"".join([at.get(id(x)) or self._of(x) for x in records])
        known = len(self.flats)
        number = self.number_flat(flat)
        if number == known:
            self._states[number] = s
            for x in records:
                at[id(x)] = self._flat[x]
        return number

    def number_flat(self, flat: Flat) -> int:
        """The number of a state in its flat form."""
        number = self._numbers.setdefault(flat, len(self.flats))
        if number == len(self.flats):
            self.flats.append(flat)
        return number

    def _of(self, record: Any) -> bytes:
        found = self._flat.get(record)
        if found is None:
            found = self._flat[record] = bytes(leaves(record))
        return found


def _filled(like: Any, piece: bytes) -> Any:
    """A record with these values, its fixed facts as in another one."""
    values = iter(piece)
    return map_leaves(like, lambda leaf, *_: leaf.__class__(next(values)))
