"""The application's side of the interface: what C_Initialize is given, mutexes that check their use, and Notify."""

from collections.abc import Mapping
from functools import cache
from threading import Lock, get_ident
from typing import Final

from ..model.call import InitArgs
from ..model.vocabulary import CKF, CKR
from .cryptoki import CData, c_string, ffi, initialize_args
from .misuse import SEEN


class _Mutex:
    """A mutex, and the thread that holds it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.owner: int | None = None


class Mutexes:
    """The four mutex callbacks of CK_C_INITIALIZE_ARGS, which keep count of every mutex they made.

    What a module did wrong with them is noted in `misuse`. A module that locks a mutex twice in one thread would hang
    itself; it is told CKR_GENERAL_ERROR instead. Mutexes that do not `work` are made, and then neither locked nor
    unlocked: both callbacks say so (5.1.5), and the module is to make another code of it.
    """

    def __init__(self, misuse: list[str], works: bool = True) -> None:
        self._works = works
        self._misuse = misuse
        self._live: dict[int, _Mutex] = {}
        self._made = 0
        self.callbacks: dict[str, CData] = {
            member: ffi.callback(kind, function, error=CKR.GENERAL_ERROR)
            for member, kind, function in (
                ("CreateMutex", "CK_CREATEMUTEX", self._create),
                ("DestroyMutex", "CK_DESTROYMUTEX", self._destroy),
                ("LockMutex", "CK_LOCKMUTEX", self._lock),
                ("UnlockMutex", "CK_UNLOCKMUTEX", self._unlock),
            )
        }

    def _create(self, out: CData) -> int:
        self._made += 1
        self._live[self._made] = _Mutex()
        out[0] = ffi.cast("void *", self._made)
        return CKR.OK

    def _destroy(self, pointer: CData) -> int:
        mutex = self._find(pointer, "destroyed")
        if mutex is None:
            return CKR.MUTEX_BAD
        del self._live[_name(pointer)]
        return CKR.OK

    def _lock(self, pointer: CData) -> int:
        if not self._works:
            return CKR.MUTEX_BAD
        mutex = self._find(pointer, "locked")
        if mutex is None:
            return CKR.MUTEX_BAD
        if mutex.owner == get_ident():
            return self._blame(CKR.GENERAL_ERROR, "a mutex was locked twice by the same thread")
        mutex.lock.acquire()
        mutex.owner = get_ident()
        return CKR.OK

    def _unlock(self, pointer: CData) -> int:
        if not self._works:
            return CKR.MUTEX_NOT_LOCKED
        mutex = self._find(pointer, "unlocked")
        if mutex is None:
            return CKR.MUTEX_BAD
        if mutex.owner != get_ident():
            return self._blame(CKR.MUTEX_NOT_LOCKED, "a mutex was unlocked that its thread had not locked")
        mutex.owner = None
        mutex.lock.release()
        return CKR.OK

    def _find(self, pointer: CData, done: str) -> _Mutex | None:
        mutex = self._live.get(_name(pointer))
        if mutex is None:
            history = "had been destroyed" if 0 < _name(pointer) <= self._made else "never existed"
            self._blame(CKR.MUTEX_BAD, f"a mutex was {done} that {history}")
        return mutex

    def _blame(self, code: CKR, text: str) -> CKR:
        self._misuse.append(text)
        return code


MUTEXES: Final = Mutexes(SEEN)
"""The mutexes of this process, which is one application. They outlive every adapter: a module may still call them."""


FAILING: Final = Mutexes([], works=False)
"""Mutexes that cannot be locked; what is done with them is nobody's fault."""

_INIT_ARGS: Final[Mapping[InitArgs, tuple[Mapping[str, CData], int]]] = {
    InitArgs.PLAIN: ({}, 0),
    InitArgs.OS_LOCKING: ({}, CKF.OS_LOCKING_OK),
    InitArgs.CALLBACKS: (MUTEXES.callbacks, 0),
    InitArgs.CALLBACKS_OR_OS: (MUTEXES.callbacks, CKF.OS_LOCKING_OK),
    InitArgs.NO_THREADS: ({}, CKF.LIBRARY_CANT_CREATE_OS_THREADS | CKF.OS_LOCKING_OK),
    InitArgs.PARTIAL: ({name: MUTEXES.callbacks[name] for name in ("CreateMutex", "DestroyMutex")}, 0),
    InitArgs.FAILING: (FAILING.callbacks, 0),
}
"""The callbacks and flags of each variant that has no pReserved of its own."""


@cache
def init_args(reserved: str | None) -> Mapping[InitArgs, CData]:
    """What C_Initialize is given, for a module that needs this text in pReserved, or none.

    One that needs a text is never called without it: no other pReserved is among them then, and in the place of NULL
    stands what an ordinary application gives such a module. Nothing of it is ever freed, for a module may look at it as
    long as it is loaded.
    """
    text = ffi.NULL if reserved is None else c_string(reserved)
    made = {variant: _filled(text, *given) for variant, given in _INIT_ARGS.items()}
    if reserved is not None:
        return {**made, InitArgs.NULL: made[InitArgs.OS_LOCKING]}
    return {**made, InitArgs.NULL: ffi.NULL, InitArgs.RESERVED: initialize_args(c_string("p11conform"))}


def _filled(reserved: CData, callbacks: Mapping[str, CData], flags: int) -> CData:
    args = initialize_args(reserved, flags)
    for member, callback in callbacks.items():
        setattr(args[0], member, callback)
    return args


SURRENDER = 0
"""CKN_SURRENDER: the module offers the application to go on or to cancel."""


@ffi.callback("CK_NOTIFY")
def notify(_session: int, _event: int, _application: CData) -> int:
    """A Notify callback (5.16) that lets the module go on."""
    return CKR.OK


@ffi.callback("CK_NOTIFY")
def cancel(_session: int, event: int, _application: CData) -> int:
    """A Notify callback that cancels whatever surrenders to it, and takes no offence at any other event (5.16)."""
    return CKR.CANCEL if event == SURRENDER else CKR.OK


def _name(pointer: CData) -> int:
    return int(ffi.cast("uintptr_t", pointer))
