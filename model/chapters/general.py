"""Section 5.4: general purpose functions."""

from dataclasses import replace

from ..call import Args, InitArgs
from ..rule import Effect, Function, Rule, Strength
from ..state import Login, Object, Session, State, carry_saved, map_objects
from ..vocabulary import CKR, Version
from .common import LIBRARY, NULL_POINTER
from .conditions import reserved_given
from .operations import forget_outputs


def already_initialized(s: State, a: Args) -> bool:
    return s.initialized


def init_reserved_given(s: State, a: Args) -> bool:
    return a.init == InitArgs.RESERVED


def some_mutex_callbacks_missing(s: State, a: Args) -> bool:
    return a.init == InitArgs.PARTIAL


_LOCKING = (
    InitArgs.OS_LOCKING,
    InitArgs.CALLBACKS,
    InitArgs.CALLBACKS_OR_OS,
    InitArgs.NO_THREADS,
    InitArgs.FAILING,
)


def locking_demanded(s: State, a: Args) -> bool:
    return a.init in _LOCKING


def threads_forbidden(s: State, a: Args) -> bool:
    return a.init == InitArgs.NO_THREADS


def library_not_running(s: State, a: Args) -> bool:
    return not s.initialized


def initialize(s: State, a: Args) -> State:
    return replace(s, initialized=True)


def finalize(s: State, a: Args) -> State:
    s = map_objects(carry_saved(forget_outputs(s)), lambda x: replace(x, known=False) if x.token else Object())
    return replace(
        s,
        initialized=False,
        sessions=(Session(),) * len(s.sessions),
        slots=tuple(replace(x, login=Login.NOBODY) for x in s.slots),
    )


FUNCTIONS = (
    Function(
        "C_Initialize",
        ("init",),
        (
            Rule(
                "already-initialized", CKR.CRYPTOKI_ALREADY_INITIALIZED, already_initialized, "5.4", "", reading="A-36"
            ),
            Rule("init-reserved-given", CKR.ARGUMENTS_BAD, init_reserved_given, "5.4", "", Strength.SHOULD, "A-36"),
            Rule(
                "some-mutex-callbacks-missing",
                CKR.ARGUMENTS_BAD,
                some_mutex_callbacks_missing,
                "5.4",
                "",
                Strength.SHOULD,
                "A-36",
            ),
            Rule("locking-demanded", CKR.CANT_LOCK, locking_demanded, "5.4", "", Strength.MAY, "A-36"),
            Rule("threads-forbidden", CKR.NEED_TO_CREATE_THREADS, threads_forbidden, "5.4", "", Strength.MAY, "A-36"),
            *(
                Rule(
                    "library-not-running",
                    code,
                    library_not_running,
                    "5.1.6",
                    "",
                    Strength.MAY,
                    "A-55",
                    since=Version.V2_40,
                )
                for code in (CKR.FIPS_SELF_TEST_FAILED, CKR.LIBRARY_LOAD_FAILED)
            ),
        ),
        effects=(Effect(initialize, "5.4"),),
    ),
    Function(
        "C_Finalize",
        ("reserved",),
        (*LIBRARY, Rule("reserved-given", CKR.ARGUMENTS_BAD, reserved_given, "5.4", "", Strength.SHOULD)),
        effects=(Effect(finalize, "5.4", reading="A-57"),),
    ),
    Function("C_GetInfo", ("null",), (*LIBRARY, *NULL_POINTER)),
    Function("C_GetFunctionList", ("null",), NULL_POINTER),
)
