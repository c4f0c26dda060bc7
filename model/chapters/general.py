"""Section 5.4: general purpose functions."""

from dataclasses import replace

from ..call import Args, InitArgs
from ..rule import Effect, Function, Rule, Strength
from ..state import Login, Object, Session, State, carry_saved, map_objects
from ..vocabulary import CKR, Version
from .common import LIBRARY, NULL_POINTER
from .conditions import not_initialized, reserved_given
from .operations import forget_outputs

# C_Initialize.


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
    InitArgs.PARTIAL,
)


def locking_demanded(s: State, a: Args) -> bool:
    return a.init in _LOCKING


def threads_forbidden(s: State, a: Args) -> bool:
    return a.init == InitArgs.NO_THREADS


def initialize(s: State, a: Args) -> State:
    return replace(s, initialized=True)


C_INITIALIZE = Function(
    "C_Initialize",
    ("init",),
    (
        Rule(
            "already-initialized",
            CKR.CRYPTOKI_ALREADY_INITIALIZED,
            already_initialized,
            "5.1.6 CKR_CRYPTOKI_ALREADY_INITIALIZED",
            "An earlier call initialised the library, and no C_Finalize came since.",
            reading="A-36",
        ),
        Rule(
            "init-reserved-given",
            CKR.ARGUMENTS_BAD,
            init_reserved_given,
            "5.4 C_Initialize, paragraph on pInitArgs",
            "The reserved field of the arguments is to be NULL, and the code is recommended where it is not.",
            Strength.SHOULD,
            "A-36",
        ),
        Rule(
            "mutex-callbacks-missing",
            CKR.ARGUMENTS_BAD,
            some_mutex_callbacks_missing,
            "5.4 C_Initialize, paragraph below the four ways",
            "The code is recommended where some of the four mutex functions are given, and others are not.",
            Strength.SHOULD,
            "A-36",
        ),
        Rule(
            "locking-demanded",
            CKR.CANT_LOCK,
            locking_demanded,
            "5.4 C_Initialize, ways 2 to 4",
            "A library that cannot lock in the way that is asked for says so with this code.",
            Strength.MAY,
            "A-36",
        ),
        Rule(
            "threads-forbidden",
            CKR.NEED_TO_CREATE_THREADS,
            threads_forbidden,
            "5.4 C_Initialize, paragraph on CKF_LIBRARY_CANT_CREATE_OS_THREADS",
            "A library that cannot work without threads of its own says so with this code.",
            Strength.MAY,
            "A-36",
        ),
        Rule(
            "library-starts",
            CKR.FIPS_SELF_TEST_FAILED,
            not_initialized,
            "5.1.6 CKR_FIPS_SELF_TEST_FAILED",
            "The function is named among those that may find a self-test of the token failing.",
            Strength.MAY,
            "A-55",
            since=Version.V2_40,
        ),
        Rule(
            "library-starts",
            CKR.LIBRARY_LOAD_FAILED,
            not_initialized,
            "5.1.6 CKR_LIBRARY_LOAD_FAILED",
            "A shared library that this one depends on may fail to load, and that is when it is wanted first.",
            Strength.MAY,
            "A-55",
            since=Version.V2_40,
        ),
    ),
    effects=(Effect("library-initialized", initialize, "5.4 C_Initialize, paragraph on what the function does"),),
)


# C_Finalize.


def finalize(s: State, a: Args) -> State:
    s = map_objects(carry_saved(forget_outputs(s)), lambda x: x if x.token else Object())
    return replace(
        s,
        initialized=False,
        sessions=(Session(),) * len(s.sessions),
        slots=tuple(replace(x, login=Login.NOBODY) for x in s.slots),
    )


def forget_all_handles(s: State, a: Args) -> State:
    """A handle need not be the same for as long as its object is there (3.4), but may."""
    return map_objects(s, lambda x: replace(x, known=False))


C_FINALIZE = Function(
    "C_Finalize",
    ("reserved",),
    (
        *LIBRARY,
        Rule(
            "reserved-given",
            CKR.ARGUMENTS_BAD,
            reserved_given,
            "5.4 C_Finalize, paragraph on pReserved",
            "The reserved pointer is to be NULL, and the code is recommended where it is not.",
            Strength.SHOULD,
        ),
    ),
    effects=(
        Effect("library-finalized", finalize, "5.4 C_Finalize, first paragraph", reading="A-57"),
        Effect("handles-forgotten", forget_all_handles, "3.4 CK_OBJECT_HANDLE", certain=False, reading="A-57"),
    ),
)


# What is told of the library.


C_GET_INFO = Function("C_GetInfo", ("null",), (*LIBRARY, *NULL_POINTER))

C_GET_FUNCTION_LIST = Function("C_GetFunctionList", ("null",), NULL_POINTER)

FUNCTIONS = (C_INITIALIZE, C_FINALIZE, C_GET_INFO, C_GET_FUNCTION_LIST)
