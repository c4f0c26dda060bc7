"""Functions of a state, remembered by what they read of it.

A function is run once on a state whose leaves note that they are read. What it gave holds for every state that agrees
in those leaves, whatever else it holds, so the next such state is answered by a look at a few bytes. A leaf that is
only carried from one place of the state to another is not read: the answer says what was carried where.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Generic, TypeVar

from ...model.state import State
from .packed import Flat, changing_fields, leaves, map_leaves

Result = TypeVar("Result")


class _Reading:
    """The state that the leaves stand for at present, and what was read of it, in order."""

    flat: Flat = b""
    read: dict[int, int] = {}  # noqa: RUF012 (the one instance, replaced at each run)


_NOW = _Reading()


def _value(x: Any) -> Any:
    """What an operand is worth; if it is a leaf, it counts as read."""
    if x.__class__ is not _Leaf:
        return x
    value = _NOW.read[x.index] = _NOW.flat[x.index]
    return value


class _Leaf:
    """A part of a state: whatever asks for its value has read it."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __eq__(self, other: object) -> bool:
        return bool(_value(self) == _value(other))

    def __ne__(self, other: object) -> bool:
        return bool(_value(self) != _value(other))

    def __lt__(self, other: int) -> bool:
        return bool(_value(self) < _value(other))

    def __le__(self, other: int) -> bool:
        return bool(_value(self) <= _value(other))

    def __gt__(self, other: int) -> bool:
        return bool(_value(self) > _value(other))

    def __ge__(self, other: int) -> bool:
        return bool(_value(self) >= _value(other))

    def __and__(self, other: int) -> int:
        return int(_value(self) & _value(other))

    def __or__(self, other: int) -> int:
        return int(_value(self) | _value(other))

    __rand__, __ror__ = __and__, __or__

    def among(self, values: Container[int]) -> bool:
        """Whether it is one of some values."""
        return _value(self) in values

    def __bool__(self) -> bool:
        return bool(_value(self))

    def __index__(self) -> int:
        return int(_value(self))

    def __hash__(self) -> int:
        return hash(_value(self))


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a state: leaves that get a value, and leaves that get what another one held."""

    put: tuple[tuple[int, int], ...] = ()
    carried: tuple[tuple[int, int], ...] = ()

    def of(self, flat: Flat) -> Flat:
        """The state after the change."""
        if not self.put and not self.carried:
            return flat
        new = bytearray(flat)
        for i, value in self.put:
            new[i] = value
        for i, j in self.carried:
            new[i] = flat[j]
        return bytes(new)


class Leaves:
    """A state of a scope that stands for all of them: where each holds a value it has a leaf."""

    def __init__(self, initial: State) -> None:
        count = iter(range(1 << 16))
        self.state: State = map_leaves(initial, lambda *_: _Leaf(next(count)))
        self._sizes: dict[int, int] = {}

    def change(self, new: State) -> Change:
        """How a state differs that a function made of this one."""
        put: list[tuple[int, int]] = []
        carried: list[tuple[int, int]] = []

        def compare(old: Any, new: Any, i: int) -> int:
            """Compare what begins with leaf `i`; the number of the leaf after it."""
            if old is new:
                return i + self._size(old)
            if old.__class__ is tuple:
                for x, y in zip(old, new, strict=True):
                    i = compare(x, y, i)
                return i
            if changing := changing_fields(old.__class__):
                for name, _ in changing:
                    i = compare(getattr(old, name), getattr(new, name), i)
                return i
            if new.__class__ is _Leaf:
                carried.append((i, new.index))
            else:
                put.append((i, int(new)))
            return i + 1

        compare(self.state, new, 0)
        return Change(tuple(put), tuple(carried))

    def _size(self, record: Any) -> int:
        """How many leaves a record of the state has; it is one of those that stay."""
        size = self._sizes.get(id(record))
        if size is None:
            size = self._sizes[id(record)] = sum(1 for _ in leaves(record))
        return size


_Read = tuple[tuple[int, int], ...]
"""Leaves that were read one after the other, each with its value."""


def _nothing(_flat: Flat) -> tuple[()]:
    return ()


class _Node:
    """What is known once some leaves were read: the next ones are the same, whatever else a state holds.

    A state that agrees in the leaves `along` is led on by the leaf `index` to one of `found`; if `index` is negative
    `found` is what the function gave.
    """

    __slots__ = ("along", "found", "get", "index", "values")

    def __init__(self, along: _Read, index: int, found: Any) -> None:
        self.index, self.found = index, found
        self._set(along)

    def _set(self, along: _Read) -> None:
        self.along = along
        # One look at all of them at once.
        self.get: Callable[[Flat], Any] = itemgetter(*(i for i, _ in along)) if along else _nothing
        self.values: Any = tuple(value for _, value in along) if len(along) != 1 else along[0][1]

    def grow(self, read: _Read, result: Any) -> None:
        """Add a way that a run took, which is not here yet."""
        node = self
        while True:
            apart = next((n for n, (old, new) in enumerate(zip(node.along, read, strict=False)) if old != new), None)
            if apart is not None:
                node._split(apart)
            read = read[len(node.along) :]
            (_, value), *rest = read
            read = tuple(rest)
            if value not in node.found:
                node.found[value] = _Node(read, -1, result)
                return
            node = node.found[value]

    def _split(self, at: int) -> None:
        """Make the leaf with this number along here one that leads on."""
        index, value = self.along[at]
        lower = _Node(self.along[at + 1 :], self.index, self.found)
        self.index, self.found = index, {value: lower}
        self._set(self.along[:at])


class Remembered(Generic[Result]):
    """A function of a state, run on `leaves` once for each way that it can go."""

    def __init__(self, function: Callable[[State], Result], leaves: Leaves) -> None:
        self._function = function
        self._state = leaves.state
        self._root: _Node | None = None

    def __call__(self, flat: Flat) -> Result:
        """What the function gives for a state; whatever it raises propagates, and is not remembered."""
        node = self._root
        while node is not None and node.get(flat) == node.values:
            found = node.found
            if node.index < 0:
                result: Result = found
                return result
            node = found.get(flat[node.index])
        return self._run(flat)

    def _run(self, flat: Flat) -> Result:
        _NOW.flat, _NOW.read = flat, {}
        result = self._function(self._state)
        read = tuple(_NOW.read.items())
        if self._root is None:
            self._root = _Node(read, -1, result)
        else:
            self._root.grow(read, result)
        return result
