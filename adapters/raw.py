"""The adapter that calls a module's function list itself: NULL pointers, forged handles, short buffers and all.

It runs in the process of its caller. A module that crashes or hangs takes that process along; one that is left with
mutex callbacks may call them while the process ends, so a process that gave some had better end by `os._exit`.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

from ..model.call import Call, Ending, Observation
from ..model.state import Pin
from ..model.vocabulary import CKR, CKU
from .application import Application
from .base import Binding, Closing, Ready, risk
from .calls.concrete import arguments, blank, called, noted
from .calls.table import CALLS
from .handles import current
from .lane import NULL, Lane
from .library import load
from .misuse import take
from .ready import Prepared
from .threads import call_both


class Raw(Closing):
    """A module called through its function list (implements `Adapter`): one application with one lane.

    Args:
        library: the shared library, as dlopen takes it.
        binding: what the names of a call stand for.
        restore: puts the token's contents back; called while the library is finalised.
        functions: those of the library, where they are known.

    Raises:
        ModuleUnusable: if the library does not load, has no function list, or no interface of the version.
    """

    def __init__(self, library: str, binding: Binding, restore: Callable[[], bool | None] = lambda: None) -> None:
        self.application = Application(binding)
        self._functions = load(library, binding.interface)
        self.lane = Lane(self.application, self._functions)
        self._beside: Lane | None = None
        self._library = library
        self._restore = restore

    def call(self, call: Call) -> Observation:
        """Make one call."""
        app, lane, concrete, args = self.application, self.lane, CALLS[call.function], call.args
        function = lane.function(call.function)
        if function is None:
            return Observation(ending=Ending.ABSENT)
        given = arguments(app, lane, concrete, args)
        if filled := blank(app, lane, concrete, args):
            filled.put()
        code = called(app, lane, concrete, args, function)(*current(given))
        outputs = noted(app, lane, concrete, args, code)
        misuse = take()
        return Observation(code, outputs, misuse=misuse) if outputs or misuse else _returned(code)

    def ready(self, calls: Sequence[Call]) -> Ready:
        """The calls of a list, with their arguments made beforehand."""
        return Prepared(self.application, self.lane, calls)

    def call_both(self, calls: tuple[Call, Call]) -> tuple[Observation, Observation]:
        """Make two calls at a time, each in a thread of its own."""
        if self._beside is None:
            self._beside = Lane(self.application, self._functions)
        return call_both(self.application, (self.lane, self._beside), calls)

    def bare(self, call: Call) -> Callable[[], int]:
        """A call and nothing else, with its arguments as they are now: what there is to measure others by."""
        concrete, args = CALLS[call.function], call.args
        function = self.lane.function(call.function)
        assert function is not None, f"{call.function} is no function of {self._library}"
        return partial(function, *current(arguments(self.application, self.lane, concrete, args)))

    def reset(self, restore_token: bool) -> bool | None:
        """Finalise the library and forget all handles; with `restore_token`, put the token's contents back too.

        False if they could not be.

        Raises:
            StillInitialized: if the library may still be initialised.
        """
        self._finalize()
        take()
        self.application.forget()
        if not restore_token:
            return None
        put_back = self._restore()
        self.application.restored()
        self.lane.labels.renew()  # since only labels made from now on count as those of objects
        return put_back

    def supports(self, call: Call) -> bool:
        """Whether this adapter can make the call.

        Beside PINs that the binding lacks there is no way to make: C_Initialize with another pReserved than the one
        that the binding says the module needs, traits and flaws that are not of the kind (CKA_SENSITIVE of what is no
        guarded key, usage or key type of what is no key), labels of an illegal length, copies that miss a required
        attribute, keys unwrapped or derived that are not secret keys, and pairs with an empty private template.
        """
        app, concrete = self.application, CALLS.get(call.function)
        return (
            concrete is not None
            and self.lane.lists(call.function)
            and app.knows(call.args, concrete.pins)
            and concrete.possible(app.binding, call.args)
        )

    def tries_left(self, user: CKU) -> bool:
        """Whether the first slot's token has none of the flags `RISKS` of a user; False where it does not tell."""
        lane = self.lane
        code = lane.own_call("C_GetTokenInfo", self.application.slots.id(0), lane.token_info)
        return code == CKR.OK and risk(lane.token_info.flags, user) is None

    def close(self) -> None:
        """Finalise the library; it stays loaded.

        Raises:
            StillInitialized: if the library may still be initialised.
        """
        self._finalize()

    def _finalize(self) -> None:
        self.application.initialization.end(self._library, lambda: self.lane.own_call("C_Finalize", NULL))


@lru_cache(1024)
def _returned(code: int) -> Observation:
    return Observation(code)


def warm() -> None:
    """Have the C types known that every adapter needs: parsing them takes longer than to load most modules."""
    Lane(Application(Binding(pins={Pin.USER.name: b""}, init_reserved="")), {})
