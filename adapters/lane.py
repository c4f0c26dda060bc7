"""What the calls of one thread use of the process: the module's functions, and buffers and records of their own."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ..model.call import Misuse, Parameter
from ..model.state import Mech, Pin
from ..model.vocabulary import CKR
from .application import Application
from .buffers import CANARY, GUARD, area
from .cryptoki import CData, ffi, new, octets
from .library import Functions
from .memory import CAPACITY, Blank, Room, block, junk
from .misuse import SEEN
from .objects import CHANGED
from .parameters import TAG_BITS, authenticated, message_parameter
from .templates import CKA

NULL: Final = ffi.NULL


class Lane:
    """The functions of a module and the memory that calls of one thread are made with; no two threads share a lane.

    `sealing` and `opening` are the parameters of messages that are encrypted and decrypted, with their tags: the last
    one given, and the one of the message that was kept. `wrapping` and `unwrapping` are mechanisms of authenticated
    wrapping by their parameter, likewise.

    Behind what is claimed of each of the `rooms` for output there is a canary, and behind a short one the rest of the
    buffer, so that a module that overruns it damages little.
    """

    def __init__(self, application: Application, functions: Functions) -> None:
        self._functions = functions
        self.pins = {Pin[name]: (new("CK_UTF8CHAR[]", p), len(p)) for name, p in application.binding.pins.items()}
        self.pins[Pin.NULL] = (NULL, 0)
        # The numbers come right behind their length, so that a short list is one piece of memory with it.
        head = ffi.sizeof("CK_ULONG")
        self.rooms = {room: area(room, head if room is Room.NUMBERS else 0) for room in Room}
        self.numbers, self.bytes, self.interfaces = (self.rooms[room].units for room in Room)
        self.length = ffi.cast("CK_ULONG *", self.numbers) - 1
        self.interface_out = new("CK_INTERFACE_PTR *")
        self.tag, self.kept_tag = (new("CK_BYTE[]", TAG_BITS // 8) for _ in range(2))
        self.sealing, self.opening = map(message_parameter, (self.tag, self.kept_tag))
        self.seal, self.kept_seal = (new("CK_BYTE[]", TAG_BITS // 8) for _ in range(2))
        self.wrapping, self.unwrapping = (
            {parameter: authenticated(Mech.AES_GCM, parameter, tag) for parameter in Parameter}
            for tag in (self.seal, self.kept_seal)
        )
        # The handle comes right behind the length, so that both are one piece of memory.
        self.capsule = new("CK_ULONG[2]")
        self.flags = new("CK_FLAGS *")
        self.pending = new("CK_ASYNC_DATA *")
        self.slot_of_event = new("CK_SLOT_ID *")
        self.handle: CData = new("CK_SESSION_HANDLE *")
        self.list_out = new("CK_FUNCTION_LIST_PTR_PTR")
        self.info = new("CK_INFO *")
        self.slot_info: CData = new("CK_SLOT_INFO *")
        self.token_info: CData = new("CK_TOKEN_INFO *")
        self.session_info: CData = new("CK_SESSION_INFO *")
        self.mechanism_info = new("CK_MECHANISM_INFO *")
        self.made = new("CK_OBJECT_HANDLE[2]")
        self.labels = Labels(application.objects.new_label)
        self.asked = Asked()

    def lists(self, name: str) -> bool:
        """Whether the module's list has a place for a function."""
        return name in self._functions

    def function(self, name: str) -> CData | None:
        """A function of the module, None where its list has NULL or no place for it."""
        return self._functions.get(name)

    def own_call(self, name: str, *arguments: CData) -> int:
        """The code of a call of the adapter's own, which the model knows nothing of."""
        function = self.function(name)
        return int(function(*arguments)) if function else CKR.FUNCTION_NOT_SUPPORTED

    def numbers_given(self) -> list[int]:
        """The list that the last call gave."""
        return [*ffi.unpack(self.numbers, min(self.length[0], CAPACITY[Room.NUMBERS]))]

    def bytes_given(self) -> bytes:
        """The output that the last call gave."""
        return bytes(ffi.buffer(self.bytes, min(self.length[0], CAPACITY[Room.BYTES])))


LABEL, OTHER_LABEL = b"label", b"other label"
"""In a template: the new label of the object that a call makes, and of the other one that it makes too."""


class Labels:
    """The new labels of the objects that calls make, where the templates of all calls point to.

    They stay until a call says that it made objects, which has to `renew` them, lest two have the same. What a call
    that failed has left on the token is a stranger under any label, since nobody counts on it. `of` is the label that
    each name stands for. `values` is what it is in C, for a name with CHANGED after it too.
    """

    def __init__(self, new_label: Callable[[], bytes]) -> None:
        self._new_label = new_label
        self.of = {name: new_label() for name in (LABEL, OTHER_LABEL)}
        changed = {name: octets(label + CHANGED) for name, label in self.of.items()}
        self._buffers = {name: ffi.buffer(changed[name], len(label)) for name, label in self.of.items()}
        plain = {name: ffi.from_buffer("CK_BYTE[]", buffer) for name, buffer in self._buffers.items()}
        self.values = {**plain, **{name + CHANGED: value for name, value in changed.items()}}

    def renew(self, names: Iterable[bytes] = (LABEL, OTHER_LABEL)) -> None:
        """Make others of them, which no object has."""
        for name in names:
            self.of[name] = self._buffers[name][:] = self._new_label()


VALUE_CAPACITY: Final = 4096
"""Length of the buffer for an attribute's value, in bytes."""

MOST_ASKED: Final = 3
"""Attributes that one call asks for at most."""

UNTOUCHED: Final = junk(VALUE_CAPACITY)
"""Fills the buffers of attribute values, so that it shows whether one was written."""

ANY_LENGTHS: Final = (VALUE_CAPACITY,) * MOST_ASKED
"""Room for values of any length."""


class Asked:
    """What C_GetAttributeValue fills: a template, the values, and a canary, so that all is put back at one stroke."""

    def __init__(self) -> None:
        self._memory = new("CK_BYTE[]", _TEMPLATE_SIZE + MOST_ASKED * VALUE_CAPACITY + GUARD)
        self._areas = [self._memory + _TEMPLATE_SIZE + i * VALUE_CAPACITY for i in range(MOST_ASKED)]
        self.template = ffi.cast("CK_ATTRIBUTE *", self._memory)
        self.label = self.blank((CKA.LABEL,), ANY_LENGTHS)

    def blank(self, names: Sequence[int], lengths: Sequence[int] | None) -> Blank:
        """A template with room for values of these lengths, or one that asks for the lengths only."""
        room = [(NULL, 0)] * MOST_ASKED if lengths is None else zip(self._areas, lengths, strict=False)
        template = new(_TEMPLATE, [(name, *value) for name, value in zip(names, room, strict=False)])
        content = bytes(ffi.buffer(template)) + (b"" if lengths is None else UNTOUCHED * len(names) + CANARY)
        return block(self._memory, content)

    def look(self, lengths: Sequence[int]) -> None:
        """Note it where something was written behind values that had room for these lengths."""
        for place, length in zip(self._areas, lengths, strict=False):
            if bytes(ffi.buffer(place + length, GUARD)) != CANARY:
                SEEN.append(Misuse.OVERRUN)


_TEMPLATE: Final = f"CK_ATTRIBUTE[{MOST_ASKED}]"
_TEMPLATE_SIZE: Final = ffi.sizeof(_TEMPLATE)
