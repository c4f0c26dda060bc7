"""Which real object handle stands for each object of the model, and which objects there are.

The model gives a new object the lowest number that no object has, so this table has to know when objects cease to be.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from itertools import count
from time import time_ns

from ..model.state import Kind
from .handles import Issued, issued, stale_or_forged

FORGED = 0x7F10_0000
"""First of the handle numbers given for objects that never were."""

LABEL = b"p11conform-object-%d"
CHANGED = b"*"
"""What C_SetAttributeValue appends to a label."""

PREFIX = LABEL.partition(b"%")[0]


@dataclass(frozen=True, slots=True)
class Entry:
    """An object that a module made, as far as its handle, its life and its label go.

    `slot` is the index of its token, None where it was made in a session that is not open. `owner` is the session that
    a session object dies with, None for a token object. `label` is what its CKA_LABEL was at first, empty for none;
    `changed` says that it was changed since.
    """

    kind: Kind
    slot: int | None
    owner: int | None
    private: bool
    label: bytes
    changed: bool = False
    handle: int = 0

    @property
    def labels(self) -> tuple[bytes, bytes]:
        """Its label as it was at first, and as C_SetAttributeValue makes it."""
        return self.label, self.label + CHANGED


class Objects:
    """The objects that a module made, by the numbers that the model gives them.

    An object exists, or is gone and its handle stale. A handle is known while it is valid; of a token object it may
    be lost (C_Logout, C_Finalize) and found again by its label. Objects past `objects` are out of the model's sight.

    `numbers` holds what `handle` gives for each index. `changed` is told when that may have changed which `entry` tells
    of an object at first: its kind and its label.
    """

    def __init__(self, objects: int, changed: Callable[[], None] = lambda: None) -> None:
        self._changed = changed
        self._objects = objects
        self._entry: dict[int, Entry] = {}
        self._exists: set[int] = set()
        self._known: set[int] = set()
        # Labels begin where no earlier process ended, so that what another run left on the token is not taken for ours.
        self._serial = time_ns()
        self._first = self._serial
        self.numbers: list[int] = []
        self._number()

    def handle(self, index: int) -> int:
        """The concrete handle of an object: the known one, else a stale one, else a number that no object has.

        Index `objects` is handle 0, unless a known object has that number.
        """
        return self._handle(index, self._live())

    def entry(self, index: int) -> Entry | None:
        """What is remembered of an object, also when it is gone; None where the index never stood for one."""
        return self._entry.get(index)

    def kind(self, index: int) -> Kind:
        """The kind of an object, and of one that never was DATA."""
        entry = self._entry.get(index)
        return entry.kind if entry else Kind.DATA

    def known(self) -> dict[int, Entry]:
        """The objects whose handle is valid."""
        return {index: self._entry[index] for index in sorted(self._known)}

    def existing(self) -> dict[int, Entry]:
        """The objects that there are, be it that their handles are not known."""
        return {index: self._entry[index] for index in sorted(self._exists)}

    def new_label(self) -> bytes:
        """A label that no object had yet."""
        self._serial += 1
        return LABEL % self._serial

    def made(self, *made: tuple[int, Entry]) -> Issued:
        """Note objects that one call made, with their handles; the worst kind of handle among them.

        Tokens number their objects each for itself (3.4), so that a number is taken only where its own token has it.
        """
        kinds = []
        for handle, entry in made:
            kinds.append(issued(handle, {x.handle for x in self.known().values() if x.slot == entry.slot}))
            index = next(i for i in count() if i not in self._exists and i != self._objects)
            self._entry[index] = replace(entry, handle=handle)
            self._exists.add(index)
            self._known.add(index)
        self._changed()
        self._number()
        return next((kind for kind in kinds if kind is not Issued.FRESH), Issued.FRESH)

    def relabelled(self, index: int) -> None:
        """Note a C_SetAttributeValue that changed the label."""
        if index in self._exists:
            self._entry[index] = replace(self._entry[index], changed=True)

    def destroyed(self, index: int) -> None:
        """Note a C_DestroyObject that succeeded."""
        self._end(lambda i, _: i == index)

    def sessions_closed(self, still_open: Mapping[int, int]) -> None:
        """Note the end of sessions; those that are left come with their slots.

        Session objects end with their session. Whether a handle on a token object outlives the last session with the
        token is unsaid, so its number may be issued again.
        """
        self._end(lambda _, entry: entry.owner is not None and entry.owner not in still_open)
        self._lose(lambda entry: entry.slot not in still_open.values())

    def logged_out(self, slot: int | None) -> None:
        """Note that nobody is logged in to a token any more: private session objects end, private handles are lost."""
        self._end(lambda _, entry: entry.private and entry.slot == slot and entry.owner is not None)
        self._lose(lambda entry: entry.private and entry.slot == slot)

    def token_initialized(self, slot: int) -> None:
        """Note a C_InitToken that succeeded: what the token held is gone."""
        self._end(lambda _, entry: entry.slot == slot)

    def finalized(self) -> None:
        """Note the end of the library's work: only token objects are left, and no handle is known."""
        self._end(lambda _, entry: entry.owner is not None)
        self._lose(lambda _: True)

    def restored(self) -> None:
        """Start anew: the tokens are back as they were bound, and no handle was ever issued."""
        if self._entry:
            self._changed()
        self._entry.clear()
        self._exists.clear()
        self._known.clear()
        self._number()
        self._first = self._serial

    def find(self, listed: Iterable[tuple[int, bytes]], slot: int | None) -> tuple[int, int]:
        """Take the handles from what a search on a token gave, as (handle, CKA_LABEL), the label empty for none.

        Returns which objects were found, bit `i` for object `i`, and how many were strangers: objects with a label of
        ours that no object of the model has.
        """
        found: dict[int, int] = {}
        strangers = 0
        for handle, label in listed:
            index = self._index(handle, label, slot, found)
            if index is not None:
                found[index] = handle
            elif self._ours(label):
                strangers += 1
        for index, handle in found.items():
            self._entry[index] = replace(self._entry[index], handle=handle)
            self._known.add(index)
        self._number()
        return sum(1 << index for index in found if index < self._objects), strangers

    def _index(self, handle: int, label: bytes, slot: int | None, found: Collection[int]) -> int | None:
        """The object that a search found. A copy may share its label with the original: then the handle tells."""
        fit = [i for i in self._exists if i not in found and self._fits(i, handle, label, slot)]
        return min(fit, key=lambda i: (self._entry[i].handle != handle, i), default=None)

    def _fits(self, index: int, handle: int, label: bytes, slot: int | None) -> bool:
        """Whether it is the object: by its label, or by its handle where the token has dropped the label."""
        entry = self._entry[index]
        if entry.label and label:
            return label in entry.labels
        return index in self._known and (handle, slot) == (entry.handle, entry.slot)

    def _ours(self, label: bytes) -> bool:
        serial = label.removeprefix(PREFIX).rstrip(CHANGED)
        return label.startswith(PREFIX) and serial.isdigit() and self._first < int(serial) <= self._serial

    def _end(self, which: Callable[[int, Entry], bool]) -> None:
        if ended := {i for i in self._exists if which(i, self._entry[i])}:
            self._exists -= ended
            self._known -= ended
            self._number()

    def _lose(self, which: Callable[[Entry], bool]) -> None:
        if lost := {i for i in self._known if which(self._entry[i])}:
            self._known -= lost
            self._number()

    def _number(self) -> None:
        live = self._live()
        self.numbers[:] = [self._handle(index, live) for index in range(self._objects + 1)]

    def _handle(self, index: int, live: Set[int]) -> int:
        if index in self._known:
            return self._entry[index].handle
        entry = self._entry.get(index)
        stale = 0 if index == self._objects else entry.handle if entry else None
        return stale_or_forged(stale, live, range(FORGED + index, 2**32, self._objects + 1))

    def _live(self) -> set[int]:
        return {self._entry[index].handle for index in self._known}
