"""Which real session handle and slot ID stand for each index of the model. Object handles: objects.py.

The numbers of the moment stand in lists, one a kind, that stay the same lists: an argument may name its `Place` in one.
"""

from collections.abc import Container, Iterable, Mapping, Set
from dataclasses import dataclass
from enum import IntEnum
from itertools import count
from typing import Any

from .base import Binding

NO_SUCH_SLOT = 0x7FFF_FFF0
"""A slot ID that no module gives."""

NEW_LABEL = "p11conform"
"""The label that C_InitToken gives to a token that has none."""

FORGED = 0x7F00_0000
"""First of the handle numbers given for sessions that were never opened."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the number of a slot, a session or an object stands, as an argument that outlives a change of it."""

    numbers: list[int]
    index: int


def current(given: Iterable[Any]) -> Iterable[Any]:
    """Arguments with the numbers that stand in their places now."""
    return (word.numbers[word.index] if type(word) is Place else word for word in given)


class Issued(IntEnum):
    """What a module issued as a new handle: the values of the output `handle`. DUPLICATE is one of a live thing."""

    ZERO = 0
    FRESH = 1
    DUPLICATE = 2


def issued(handle: int, live: Container[int]) -> Issued:
    """What kind of new handle this is, beside those that are live."""
    return Issued.ZERO if handle == 0 else Issued.DUPLICATE if handle in live else Issued.FRESH


def stale_or_forged(stale: int | None, live: Container[int], forgeries: range) -> int:
    """A handle that is not valid: a dead one, or the first forgery where there is none or its number lives again."""
    if stale is not None and stale not in live:
        return stale
    return next(forged for forged in forgeries if forged not in live)


class Handles:
    """The handles that a module issued, by session index: an index is open, closed, or was never opened.

    A new session takes the lowest index that is not open, as in the model. One that finds none below `sessions` is
    kept past it, out of the model's sight, so that its number is never mistaken for a dead one.

    `numbers` holds what `session` gives for each index.
    """

    def __init__(self, sessions: int) -> None:
        self._sessions = sessions
        self._handle: dict[int, int] = {}
        self._slot: dict[int, int] = {}
        self.numbers: list[int] = []
        self._number()

    def session(self, index: int) -> int:
        """The concrete handle of a session: the issued one even after its end, else a number that no session has.

        A closed session whose number now belongs to a live one gets a forged number too. Index `sessions` is handle 0,
        unless a live session has that number.
        """
        return self._session(index, self._live())

    @property
    def open(self) -> Mapping[int, int]:
        """The open sessions, each with the index of its slot."""
        return self._slot

    def opened(self, handle: int, slot: int) -> Issued:
        """Note a session that C_OpenSession opened on the slot with this index, and say what kind its handle is."""
        kind = issued(handle, self._live())
        index = next(i for i in count() if i not in self._slot and i != self._sessions)
        self._handle[index] = handle
        self._slot[index] = slot
        self._number()
        return kind

    def closed(self, index: int) -> None:
        """Note the end of one session; its handle stays known as a stale one."""
        self._slot.pop(index, None)
        self._number()

    def closed_all(self, slot: int | None = None) -> None:
        """Note the end of every session on a slot (C_CloseAllSessions, C_InitToken), or of all (C_Finalize)."""
        self._slot = {} if slot is None else {i: s for i, s in self._slot.items() if s != slot}
        self._number()

    def forget(self) -> None:
        """Start anew: no handle was ever issued."""
        self._handle.clear()
        self._slot.clear()
        self._number()

    def _number(self) -> None:
        live = self._live()
        self.numbers[:] = [self._session(index, live) for index in range(self._sessions + 1)]

    def _session(self, index: int, live: Set[int]) -> int:
        if index in self._slot:
            return self._handle[index]
        stale = 0 if index == self._sessions else self._handle.get(index)
        return stale_or_forged(stale, live, range(FORGED + index, 2**32, self._sessions + 1))

    def _live(self) -> set[int]:
        return {self._handle[index] for index in self._slot}


class Slots:
    """The slots of a binding. A token initialised anew may get another slot ID, and is then found by its label.

    `numbers` holds the CK_SLOT_ID of each, and past the last one an ID that none of them has.
    """

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self.numbers = [*binding.slots, NO_SUCH_SLOT]
        self._moved: set[int] = set()

    @property
    def moved(self) -> bool:
        """Whether a token was initialised since the slots were last looked for: IDs may differ at C_Initialize."""
        return bool(self._moved)

    def id(self, index: int) -> int:
        """The CK_SLOT_ID of a slot."""
        return self.numbers[index]

    def label(self, index: int) -> str:
        """The label of the token in a slot, or what C_InitToken would make it."""
        labels = self._binding.labels
        return (labels[index] if index < len(labels) else "") or NEW_LABEL

    def index(self, slot_id: int) -> int:
        """The index of a CK_SLOT_ID, -1 where it is none of the bound ones."""
        return -1 if slot_id == NO_SUCH_SLOT or slot_id not in self.numbers else self.numbers.index(slot_id)

    def mask(self, listed: Container[int]) -> int:
        """Which of the bound slots a list names: bit `i` for slot `i`."""
        return sum([1 << i for i, slot_id in enumerate(self.numbers[:-1]) if slot_id in listed])

    def initialized(self, index: int) -> None:
        """Note a C_InitToken that succeeded."""
        self._moved.add(index)

    def find(self, tokens: Iterable[tuple[str, int]]) -> None:
        """Take the IDs from what the module now lists, as (label, CK_SLOT_ID)."""
        found = dict(reversed([*tokens]))
        for index, slot_id in enumerate(self.numbers[:-1]):
            if index in self._moved or self.label(index) != NEW_LABEL:
                self.numbers[index] = found.get(self.label(index), slot_id)
        self._moved.clear()

    def restored(self) -> bool:
        """Note that the tokens are back as they were bound, and say whether an ID is another than before."""
        before = self.numbers[:-1]
        self.numbers[:-1] = self._binding.slots
        self._moved.clear()
        return before != self.numbers[:-1]
