"""A sequence of calls as a program would make them: what each is given, in C, without a module to give it to.

The calls are made concrete as the adapter `raw` does it, beside an application that is told what the trace observed.
Handles and outputs that a call gave stand in later ones by the number of what gave them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final, TypeAlias

from ..model.call import Buffer, Call
from ..model.state import Pin
from ..model.vocabulary import CKR
from .application import Application
from .base import Binding
from .callbacks import FAILING, cancel, notify
from .calls.concrete import SOMETHING, arguments, blank, noted
from .calls.table import CALLS
from .cryptoki import CData, ffi
from .handles import Place
from .lane import NULL, Lane
from .memory import Room
from .objects import PREFIX
from .parameters import kept_records
from .templates import CKA


@dataclass(frozen=True, slots=True)
class Named:
    """A variable of the program: an output, a buffer, a callback, a PIN, a slot, a handle that a call made."""

    name: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Again:
    """Bytes that earlier calls gave, one behind the other: as they were, or with the last bit flipped or byte cut."""

    outputs: tuple[int, ...]
    flipped: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A C record: its type and its members, by name."""

    kind: str
    members: tuple[tuple[str, "Value"], ...]


@dataclass(frozen=True, slots=True)
class Records:
    """An array of records; an empty one has no members to point to."""

    kind: str
    items: tuple[Record, ...]


Value: TypeAlias = "int | bytes | tuple[int, ...] | Named | Again | Record | Records | None"
"""What a program hands over: a number, a pointer to bytes, bytes inside a record, NULL, or one of the above."""


@dataclass(frozen=True, slots=True)
class Known:
    """An object that there is: its number in the model, its labels at first and after a change, its handle if known."""

    index: int
    labels: tuple[bytes, bytes]
    handle: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """A call of a program.

    `observed` is what the trace has of it. A call with `less` is made with a buffer of what a first call tells, or so
    many units shorter. `handles` numbers what it makes, `output` the bytes that it gives. `taken` are the handles that
    were in use before it of what it makes, `objects` all that there were.
    """

    function: str
    words: tuple[Value, ...]
    observed: str
    less: int | None = None
    handles: tuple[int, ...] = ()
    output: int | None = None
    taken: tuple[int, ...] = ()
    objects: tuple[Known, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output of the last call that failed, by the model's name, and what it may be."""

    name: str
    permitted: tuple[int, ...] = ()
    at_least: int | None = None

    @property
    def text(self) -> str:
        """What it may be, in words."""
        return f"{self.at_least} or more" if self.at_least is not None else " or ".join(map(str, self.permitted))


@dataclass(frozen=True, slots=True)
class Told:
    """What a program says beside its calls: what it shows, in lines, and what is permitted at its end."""

    lines: tuple[str, ...]
    permitted: tuple[str, ...]
    output: Wanted | None = None


class NotReached(Exception):
    """A library cannot make a call as it is; the text says why, as the rest of a sentence."""


@dataclass(frozen=True, slots=True)
class Library:
    """How a Python program makes calls: what it wants installed, what it begins with, a call, and outputs by name.

    The text for a call leaves its code in `rv` and raises `NotReached` where the library cannot make it.
    """

    name: str
    head: str
    call: Callable[[Step], Iterator[str]]
    outputs: Mapping[str, str]


def labels(steps: Iterable[Step]) -> tuple[bytes, ...]:
    """The labels that a program gives to objects."""
    records = (item for step in steps for word in step.words if isinstance(word, Records) for item in word.items)
    given = (dict(record.members) for record in records)
    values = (x["pValue"] for x in given if x["type"] == CKA.LABEL)
    return tuple(dict.fromkeys(v for v in values if isinstance(v, bytes) and v.startswith(PREFIX)))


def original_label(step: Step) -> bytes:
    """The label that the object of a call had at first."""
    return next((x.labels[0] for x in step.objects if Named("handle", x.handle or 0) in step.words), b"")


_LESS: Final = {Buffer.SHORT: 1, Buffer.EXACT: 0}
"""How many units a buffer is shorter than what a first call tells."""

_CREATES, _WORKS, _FAILS = Named("create mutex"), Named("mutex"), Named("no mutex")
"""Mutex callbacks of the program: what they are given is no matter to it."""

OBJECTS, SESSIONS, SLOTS = 5, 3, 8

_HANDLE, _SLOT = 0x10000, 0x20000
"""First numbers of handles and slots while the program is made: no forged one is among them."""

PINS: Final = {
    int(Pin.SO): ("P11CONFORM_SO_PIN", ""),
    int(Pin.USER): ("P11CONFORM_PIN", ""),
    int(Pin.OTHER): ("", "567890"),
    int(Pin.WRONG): ("", "99999999"),
    int(Pin.SHORT): ("", "1"),
    int(Pin.LONG): ("", "1" * 300),
    int(Pin.NULL): ("", ""),
}
"""Where a program has each PIN from: a variable of the environment, or, of those that guard nothing, its text."""

_PINS: Final = {pin.name: f"the {pin.name} PIN".encode() for pin in Pin if pin is not Pin.NULL}


def steps(trace: Iterable[tuple[Call, str]]) -> tuple[Step, ...]:
    """The calls of a trace, each with what was observed of it."""
    app = Application(Binding(tuple(range(_SLOT, _SLOT + SLOTS)), pins=_PINS, sessions=SESSIONS, objects=OBJECTS))
    writer = _Writer(app, Lane(app, {}))
    return tuple(writer.step(call, observed) for call, observed in trace)


@dataclass(slots=True)
class _Writer:
    """Makes one step after the other."""

    app: Application
    lane: Lane
    handles: Iterator[int] = field(default_factory=count)
    given: list[bytes] = field(default_factory=list)

    def step(self, call: Call, observed: str) -> Step:
        concrete, a = CALLS[call.function], call.args
        objects = tuple(
            Known(n, x.labels, x.handle - _HANDLE if n in self.app.objects.known() else None)
            for n, x in self.app.objects.existing().items()
        )
        sessions = tuple(self.app.handles.session(n) - _HANDLE for n in self.app.handles.open)
        known = tuple(x.handle for x in objects if x.handle is not None)
        words = [*arguments(self.app, self.lane, concrete, a)]
        if filled := blank(self.app, self.lane, concrete, a):
            filled.put()
        values = tuple(self._values(words))
        less = None if a.null else _LESS.get(a.buffer)
        code = CKR.__members__.get(observed.removeprefix("CKR_"))
        made: tuple[int, ...] = ()
        output = None
        if code is CKR.OK:
            makes = sum(isinstance(x, Named) and x.name == "made" for x in values)
            made = tuple(next(self.handles) for _ in range(makes))
            for n, k in enumerate(made):
                self.lane.made[n] = self.lane.handle[0] = _HANDLE + k
            self.lane.length[0] = 0
            if concrete.room is Room.BYTES and a.buffer != Buffer.NULL and not a.null:
                output = len(self.given)
                self.given.append(bytes([0xC3, output]) + bytes(range(0x80, 0xAE)) + bytes([output + 1]))
                self.lane.length[0] = len(self.given[output])
                ffi.buffer(self.lane.bytes)[: len(self.given[output])] = self.given[output]
        if code is not None:
            noted(self.app, self.lane, concrete, a, int(code))
        taken = sessions if call.function == "C_OpenSession" else known
        return Step(call.function, values, observed, less, made, output, taken, objects)

    def _values(self, words: Sequence[CData | Place]) -> Iterator[Value]:
        """What stands for each word; the length behind bytes that were given before is theirs."""
        left = list(words)
        while left:
            word = left.pop(0)
            following = left[0] if left and isinstance(left[0], int) else None
            value = self._value(word, following)
            yield value
            if isinstance(value, Again):
                left.pop(0)
                yield Named("again length")
            elif isinstance(value, Named) and value.name == "pin":
                left.pop(0)
                yield Named("pin length", value.index)

    def _value(self, word: CData | Place, following: int | None) -> Value:
        if isinstance(word, Place):
            return self._number(word.numbers[word.index])
        if isinstance(word, bool | int):
            return int(word)
        if word == NULL:
            return None
        known = self._known().get(_address(word))
        if known is not None:
            return known if known.name != "asked" else self._attributes(word, following or 0)
        kind = ffi.typeof(word)
        if kind.cname.startswith("CK_ATTRIBUTE"):
            return self._attributes(word, len(word) if kind.kind == "array" else following or 0, following)
        if kind.cname == "CK_C_INITIALIZE_ARGS[2]":
            return self._init(word[0])
        if kind.kind == "array":
            return self._bytes(bytes(ffi.buffer(word))[: following if following is not None else None])
        return self._record(word)

    def _known(self) -> dict[int, Named]:
        lane = self.lane
        scratch = (lane.info, lane.slot_info, lane.token_info, lane.session_info, lane.mechanism_info)
        more = (lane.slot_of_event, lane.list_out)
        return {
            **{_address(x): Named("scratch") for x in (*scratch, *more)},
            **{_address(content): Named("pin", int(pin)) for pin, (content, _) in lane.pins.items() if content != NULL},
            _address(lane.bytes): Named("bytes"),
            _address(lane.numbers): Named("numbers"),
            _address(lane.length): Named("length"),
            _address(lane.handle): Named("made", 0),
            _address(lane.made): Named("made", 0),
            _address(lane.made + 1): Named("made", 1),
            _address(lane.asked.template): Named("asked"),
            _address(notify): Named("notify"),
            _address(cancel): Named("cancel"),
            _address(SOMETHING): Named("something"),
        }

    def _number(self, number: int) -> Value:
        if _SLOT <= number < _SLOT + SLOTS:
            return Named("slot", number - _SLOT)
        return Named("handle", number - _HANDLE) if _HANDLE <= number < _SLOT else number

    def _bytes(self, content: bytes) -> Value:
        for flipped, cut, whole in (
            (False, False, content),
            (True, False, content[:-1] + bytes([content[-1] ^ 1]) if content else b""),
            *((False, True, content + given[-1:]) for given in self.given),
        ):
            outputs = self._outputs(whole)
            if outputs:
                return Again(outputs, flipped, cut)
        return content

    def _outputs(self, content: bytes) -> tuple[int, ...]:
        """The outputs that bytes are made of, one behind the other; empty where they are not."""
        found: list[int] = []
        while content:
            n = next((n for n, given in enumerate(self.given) if content.startswith(given)), None)
            if n is None:
                return ()
            found.append(n)
            content = content[len(self.given[n]) :]
        return tuple(found)

    def _attributes(self, word: CData, number: int, count: int | None = None) -> Value:
        number = number if count is None else min(number, count)
        return Records("CK_ATTRIBUTE", tuple(self._attribute(n, word[n]) for n in range(number)))

    def _attribute(self, n: int, x: CData) -> Record:
        value: Value = None
        inside = self.lane.asked.template
        if x.pValue != NULL:
            asked = 0 <= _address(x.pValue) - _address(inside) < ffi.sizeof("CK_ATTRIBUTE[3]") + 3 * 4096
            value = Named("value", n) if asked else bytes(ffi.buffer(ffi.cast("CK_BYTE *", x.pValue), x.ulValueLen))
        members: tuple[tuple[str, Value], ...] = (
            ("type", x.type),
            ("pValue", value),
            ("ulValueLen", int(x.ulValueLen)),
        )
        return Record("CK_ATTRIBUTE", members)

    def _init(self, x: CData) -> Value:
        names = ("CreateMutex", "DestroyMutex", "LockMutex", "UnlockMutex")
        failing = {_address(FAILING.callbacks[member]) for member in ("LockMutex", "UnlockMutex")}
        members: list[tuple[str, Value]] = []
        for name in names:
            callback = getattr(x, name)
            known = _CREATES if name == "CreateMutex" else _FAILS if _address(callback) in failing else _WORKS
            members.append((name, None if callback == NULL else known))
        reserved: Value = None if x.pReserved == NULL else Named("something")
        return Record("CK_C_INITIALIZE_ARGS", (*members, ("flags", x.flags), ("pReserved", reserved)))

    def _record(self, pointer: CData) -> Record:
        """A record that a pointer leads to, with what its own pointers lead to."""
        kind = ffi.typeof(pointer).item
        members: list[tuple[str, Value]] = []
        for name, member in kind.fields:
            value = getattr(pointer, name)
            if member.type.kind == "primitive":
                members.append((name, int(value)))
            elif member.type.kind == "array":
                members.append((name, tuple(bytes(ffi.buffer(value)))))
            elif value == NULL:
                members.append((name, None))
            else:
                members.append((name, self._pointed(value)))
        return Record(kind.cname, tuple(members))

    def _pointed(self, value: CData) -> Value:
        target = kept_records()[_address(value)]
        if ffi.typeof(target).kind == "array":
            return bytes(ffi.buffer(target))
        return self._record(target)


def _address(word: CData) -> int:
    return int(ffi.cast("uintptr_t", word))
