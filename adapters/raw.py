"""The adapter that calls a module's function list itself: NULL pointers, forged handles, short buffers and all.

It runs in the process of its caller. A module that crashes or hangs takes that process along; one that is left with
mutex callbacks may call them while the process ends, so a process that gave some had better end by `os._exit`.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import TracebackType
from typing import Final, Self

from ..model.call import Args, Buffer, Call, Ending, InitArgs, Observation, code_text
from ..model.state import Pin
from ..model.vocabulary import CKF, CKR
from .base import Binding, ModuleUnusable
from .callbacks import FAILING, MUTEXES
from .calls import keys, objects, operations, sessions
from .calls.concrete import CAPACITY, NULL, Arguments, Concrete, Room
from .cryptoki import CData, c_string, ffi, initialize_args, load, new, unpadded
from .handles import NEW_LABEL, Handles, Slots
from .objects import Entry, Objects
from .values import Kept

_INIT_ARGS: Mapping[InitArgs, tuple[Mapping[str, CData], int]] = {
    InitArgs.PLAIN: ({}, 0),
    InitArgs.OS_LOCKING: ({}, CKF.OS_LOCKING_OK),
    InitArgs.CALLBACKS: (MUTEXES.callbacks, 0),
    InitArgs.CALLBACKS_OR_OS: (MUTEXES.callbacks, CKF.OS_LOCKING_OK),
    InitArgs.NO_THREADS: ({}, CKF.LIBRARY_CANT_CREATE_OS_THREADS | CKF.OS_LOCKING_OK),
    InitArgs.PARTIAL: ({name: MUTEXES.callbacks[name] for name in ("CreateMutex", "DestroyMutex")}, 0),
    InitArgs.RESERVED: ({}, 0),
    InitArgs.FAILING: (FAILING.callbacks, 0),
}


class Raw:
    """A module called through its function list (implements `Adapter`).

    Args:
        library: the shared library, as dlopen takes it.
        binding: what the names of a call stand for.
        restore: puts the token's contents back; called while the library is finalised.

    Raises:
        ModuleUnusable: if the library does not load or has no function list.
    """

    def __init__(self, library: str, binding: Binding, restore: Callable[[], None] = lambda: None) -> None:
        self.binding = binding
        self.slots = Slots(binding)
        self.handles = Handles(binding.sessions)
        self.objects = Objects(binding.objects)
        self.kept = Kept()
        self.initialized = False
        self._library = library
        self._restore = restore
        self._functions = load(library)

        self.anything = c_string(NEW_LABEL)
        reserved = c_string(binding.init_reserved) if binding.init_reserved is not None else NULL
        self.init_args = self._all_init_args(reserved)
        self.pins = {Pin[name]: (new("CK_UTF8CHAR[]", pin), len(pin)) for name, pin in binding.pins.items()}
        self.pins[Pin.NULL] = (NULL, 0)
        # Every buffer is larger than any capacity that is claimed for it, so a module that overruns a short one
        # damages nothing.
        self.length = new("CK_ULONG *")
        self.numbers, self.bytes = (new(room.value, CAPACITY[room]) for room in (Room.NUMBERS, Room.BYTES))
        self.slot_of_event = new("CK_SLOT_ID *")
        self.handle = new("CK_SESSION_HANDLE *")
        self.list_out = new("CK_FUNCTION_LIST_PTR_PTR")
        self.info = new("CK_INFO *")
        self.slot_info = new("CK_SLOT_INFO *")
        self.token_info = new("CK_TOKEN_INFO *")
        self.session_info = new("CK_SESSION_INFO *")
        self.mechanism_info = new("CK_MECHANISM_INFO *")
        self.made = new("CK_OBJECT_HANDLE[2]")
        self.expected: tuple[Entry, ...] = ()
        self.asked = new("CK_ATTRIBUTE[1]")
        self.areas = [new("CK_BYTE[]", objects.VALUE_CAPACITY) for _ in range(objects.MOST_ASKED)]

    def call(self, call: Call) -> Observation:
        """Make one call."""
        function = self._functions[call.function]
        if function is None:
            return Observation(ending=Ending.ABSENT)
        concrete, args = _CONCRETE[call.function], call.args
        given = concrete.build(self, args)
        code = self._fill(function, given, concrete.room, args) if concrete.room else function(*given)
        outputs = concrete.seen(self, args, code)
        if code == CKR.OK:
            outputs += concrete.done(self, args)
        elif code == CKR.CRYPTOKI_ALREADY_INITIALIZED:  # perhaps by a C_Initialize that failed half-way
            self.initialized = True
        misuse = MUTEXES.take_misuse()
        return Observation(code, outputs, misuse=misuse) if outputs or misuse else _returned(code)

    def reset(self, restore_token: bool) -> None:
        """Finalise the library and forget all handles; with `restore_token`, put the token's contents back too.

        Raises:
            ModuleUnusable: if C_Finalize fails twice.
        """
        self._finalize()
        MUTEXES.take_misuse()
        self.handles.forget()
        self.objects.finalized()
        self.kept = Kept()
        if restore_token:
            self._restore()
            self.slots.restored()
            self.objects.restored()

    def supports(self, call: Call) -> bool:
        """Whether this adapter can make the call.

        Beside PINs that the binding lacks there is no way to make: traits and flaws that are not of the kind
        (CKA_SENSITIVE of what is no guarded key, usage or key type of what is no key), labels of an illegal length,
        copies that miss a required attribute, keys unwrapped or derived that are not secret keys, and pairs with an
        empty private template.
        """
        concrete, args = _CONCRETE.get(call.function), call.args
        return (
            concrete is not None
            and args.slot <= len(self.binding.slots)
            and args.session <= self.binding.sessions
            and max(args.object, args.key, args.other_key) <= self.binding.objects
            and concrete.possible(args)
            and all(getattr(args, name) in self.pins for name in concrete.pins)
        )

    def close(self) -> None:
        """Finalise the library; it stays loaded.

        Raises:
            ModuleUnusable: if C_Finalize fails twice.
        """
        self._finalize()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def own_call(self, name: str, *arguments: CData) -> int:
        """The code of a call of the adapter's own, which the model knows nothing of."""
        function = self._functions[name]
        return int(function(*arguments)) if function else CKR.FUNCTION_NOT_SUPPORTED

    def numbers_given(self) -> list[int]:
        """The list that the last call gave."""
        return list(self.numbers[0 : min(self.length[0], CAPACITY[Room.NUMBERS])])

    def bytes_given(self) -> bytes:
        """The output that the last call gave."""
        return bytes(ffi.buffer(self.bytes, min(self.length[0], CAPACITY[Room.BYTES])))

    def find_slots(self) -> None:
        """Find the tokens again, by label, after a C_InitToken: a module may make its slot IDs from serial numbers."""
        self.length[0] = CAPACITY[Room.NUMBERS]
        if self.own_call("C_GetSlotList", 0, self.numbers, self.length) == CKR.OK:
            token = self.token_info
            self.slots.find(
                (unpadded(token.label), slot_id)
                for slot_id in self.numbers_given()
                if self.own_call("C_GetTokenInfo", slot_id, token) == CKR.OK
            )

    def _fill(self, function: CData, given: Arguments, room: Room, a: Args) -> int:
        """Make a call that ends in an output buffer and its length (5.2).

        A short buffer is one unit shorter than what a length query says. A query that fails may have ended an
        operation, so that its code is the answer: the call itself would only see what the query left.
        """
        self.length[0] = CAPACITY[room]
        if a.buffer == Buffer.SHORT and not a.null:
            self.length[0] = 0
            code = int(function(*given, NULL, self.length))
            if code not in (CKR.OK, CKR.BUFFER_TOO_SMALL):
                return code
            self.length[0] = max(0, min(self.length[0], CAPACITY[room]) - 1)
        buffer = self.numbers if room is Room.NUMBERS else self.bytes
        return int(function(*given, NULL if a.buffer == Buffer.NULL else buffer, NULL if a.null else self.length))

    def _finalize(self) -> None:
        finalize = self._functions["C_Finalize"]
        if not self.initialized or finalize is None:
            return
        done = (CKR.OK, CKR.CRYPTOKI_NOT_INITIALIZED)
        code = finalize(NULL)
        if code not in done and (code := finalize(NULL)) not in done:
            raise ModuleUnusable(f"{self._library}: C_Finalize gives {code_text(code)}; restart the tester")
        self.initialized = False

    def _all_init_args(self, reserved: CData) -> dict[InitArgs, CData]:
        made: dict[InitArgs, CData] = {}
        for variant, (callbacks, flags) in _INIT_ARGS.items():
            made[variant] = initialize_args(self.anything if variant is InitArgs.RESERVED else reserved, flags)
            for member, callback in callbacks.items():
                setattr(made[variant][0], member, callback)
        return {InitArgs.NULL: made[InitArgs.PLAIN] if reserved else NULL, **made}


@lru_cache(1024)
def _returned(code: int) -> Observation:
    return Observation(code)


_CONCRETE: Mapping[str, Concrete] = {**sessions.CALLS, **objects.CALLS, **operations.CALLS, **keys.CALLS}

FUNCTIONS: Final = tuple(_CONCRETE)
"""The functions that Raw can call: all of them."""
