"""The adapter that calls a module's function list itself: NULL pointers, forged handles, short buffers and all.

It runs in the process of its caller. A module that crashes or hangs takes that process along; one that is left with
mutex callbacks may call them while the process ends, so a process that gave some had better end by `os._exit`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from types import TracebackType
from typing import Final, Self

from ..model.call import Args, Call, Ending, InitArgs, Observation, code_text
from ..model.state import Pin
from ..model.vocabulary import CKF, CKR
from .base import Binding, ModuleUnusable, Ready
from .callbacks import FAILING, MUTEXES
from .calls import objects
from .calls.concrete import CAPACITY, NULL, Concrete, Outputs, Room, arguments, blank, called
from .calls.table import CALLS
from .cryptoki import CData, c_string, ffi, initialize_args, load, new, unpadded
from .handles import NEW_LABEL, Handles, Slots, current
from .objects import Objects
from .ready import Prepared
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
        functions: those of the library, where they are known.

    Raises:
        ModuleUnusable: if the library does not load or has no function list.
    """

    def __init__(
        self,
        library: str,
        binding: Binding,
        restore: Callable[[], None] = lambda: None,
        functions: Mapping[str, CData | None] | None = None,
    ) -> None:
        self.binding = binding
        self.slots = Slots(binding)
        self.handles = Handles(binding.sessions)
        self.objects = Objects(binding.objects, self._changed)
        self.kept = Kept(self._changed)
        self.initialized = False
        self.watchers: list[Callable[[bool], None]] = []
        """Told when that may have changed which a call `remembers`; with True, when slot IDs may have too."""
        self._library = library
        self._restore = restore
        self._functions = load(library) if functions is None else functions

        self.anything = c_string(NEW_LABEL)
        reserved = c_string(binding.init_reserved) if binding.init_reserved is not None else NULL
        self.init_args = self._all_init_args(reserved)
        self.pins = {Pin[name]: (new("CK_UTF8CHAR[]", pin), len(pin)) for name, pin in binding.pins.items()}
        self.pins[Pin.NULL] = (NULL, 0)
        # Every buffer is larger than any capacity that is claimed for it, so a module that overruns a short one
        # damages nothing.
        # The numbers come right behind their length, so that a short list is one piece of memory with it.
        self._counted = new("CK_ULONG[]", 1 + CAPACITY[Room.NUMBERS])
        self.length = ffi.cast("CK_ULONG *", self._counted)
        self.numbers = ffi.from_buffer(
            Room.NUMBERS.value, memoryview(ffi.buffer(self._counted))[ffi.sizeof("CK_ULONG") :]
        )
        self.bytes = new(Room.BYTES.value, CAPACITY[Room.BYTES])
        self.slot_of_event = new("CK_SLOT_ID *")
        self.handle: CData = new("CK_SESSION_HANDLE *")
        self.list_out = new("CK_FUNCTION_LIST_PTR_PTR")
        self.info = new("CK_INFO *")
        self.slot_info: CData = new("CK_SLOT_INFO *")
        self.token_info: CData = new("CK_TOKEN_INFO *")
        self.session_info: CData = new("CK_SESSION_INFO *")
        self.mechanism_info = new("CK_MECHANISM_INFO *")
        self.made = new("CK_OBJECT_HANDLE[2]")
        self.labels = objects.Labels(self.objects.new_label)
        self.asked = objects.Asked()

    def call(self, call: Call) -> Observation:
        """Make one call."""
        function = self.function(call.function)
        if function is None:
            return Observation(ending=Ending.ABSENT)
        concrete, args = CALLS[call.function], call.args
        given = arguments(self, concrete, args)
        if filled := blank(self, concrete, args):
            filled.put()
        code = called(self, concrete, args, function)(*current(given))
        outputs = self.noted(concrete, args, code)
        misuse = MUTEXES.take_misuse()
        return Observation(code, outputs, misuse=misuse) if outputs or misuse else _returned(code)

    def ready(self, calls: Sequence[Call]) -> Ready:
        """The calls of a list, with their arguments made beforehand."""
        return Prepared(self, calls)

    def bare(self, call: Call) -> Callable[[], int]:
        """A call and nothing else, with its arguments as they are now: what there is to measure others by."""
        concrete, args = CALLS[call.function], call.args
        function = self._functions[call.function]
        assert function is not None, f"{call.function} is no function of {self._library}"
        return partial(function, *current(arguments(self, concrete, args)))

    def function(self, name: str) -> CData | None:
        """A function of the module, None where its list holds NULL."""
        return self._functions[name]

    def noted(self, concrete: Concrete, args: Args, code: int) -> Outputs:
        """The outputs of a call that returned; notes what it changed."""
        outputs = concrete.seen(self, args, code)
        return outputs + concrete.done(self, args) if code == CKR.OK else outputs

    def reset(self, restore_token: bool) -> None:
        """Finalise the library and forget all handles; with `restore_token`, put the token's contents back too.

        Raises:
            ModuleUnusable: if C_Finalize fails twice.
        """
        self._finalize()
        MUTEXES.take_misuse()
        self.handles.forget()
        self.objects.finalized()
        self.kept.forget()
        if restore_token:
            self._restore()
            self.objects.restored()
            self.labels.renew()  # since only labels made from now on count as those of objects
            if self.slots.restored():
                self._changed(slots=True)

    def supports(self, call: Call) -> bool:
        """Whether this adapter can make the call.

        Beside PINs that the binding lacks there is no way to make: traits and flaws that are not of the kind
        (CKA_SENSITIVE of what is no guarded key, usage or key type of what is no key), labels of an illegal length,
        copies that miss a required attribute, keys unwrapped or derived that are not secret keys, and pairs with an
        empty private template.
        """
        concrete, args = CALLS.get(call.function), call.args
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
        return [*ffi.unpack(self.numbers, min(self.length[0], CAPACITY[Room.NUMBERS]))]

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
            self._changed(slots=True)

    def _changed(self, slots: bool = False) -> None:
        for watcher in self.watchers:
            watcher(slots)

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


def warm() -> None:
    """Have the C types known that every adapter needs: parsing them takes longer than to load most modules."""
    Raw("", Binding(pins={Pin.USER.name: b""}, init_reserved=""), functions={})


FUNCTIONS: Final = tuple(CALLS)
"""The functions that Raw can call: all of them."""
