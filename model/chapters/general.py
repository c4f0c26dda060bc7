"""Section 5.4: general purpose functions."""

from collections.abc import Sequence
from dataclasses import replace

from ..call import Args, Buffer, InitArgs, Interface
from ..rule import Effect, Function, Output, Rule, Strength
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


# Interfaces.


def interfaces_do_not_fit(s: State, a: Args) -> bool:
    return a.buffer == Buffer.SHORT and not a.null


C_GET_INTERFACE_LIST = Function(
    "C_GetInterfaceList",
    ("buffer", "null"),
    (
        *NULL_POINTER,
        Rule(
            "interfaces-do-not-fit",
            CKR.BUFFER_TOO_SMALL,
            interfaces_do_not_fit,
            "5.4 of v3.0 C_GetInterfaceList, second way to call",
            "A list that has no room for all interfaces gets this code; their number was told before.",
        ),
    ),
)


def no_such_interface(s: State, a: Args) -> bool:
    unknown = (Interface.UNKNOWN_NAME, Interface.UNKNOWN_VERSION, Interface.UNKNOWN_FLAG)
    return any(a.interface == x for x in unknown)


def matches(s: State, a: Args) -> Sequence[int]:
    return () if a.interface == Interface.ANY else (1,)


C_GET_INTERFACE = Function(
    "C_GetInterface",
    ("interface", "null"),
    (
        *NULL_POINTER,
        Rule(
            "no-such-interface",
            CKR.ARGUMENTS_BAD,
            no_such_interface,
            "5.4 of v3.0 C_GetInterface, ways to specify an interface",
            "What is returned has to match name, version and flags; where nothing does, no code is given for it.",
            Strength.INFERRED,
            "A-84",
        ),
        Rule(
            "no-such-interface",
            CKR.BUFFER_TOO_SMALL,
            no_such_interface,
            "5.4 of v3.0 C_GetInterface, list of return values",
            "The list has the code, and no buffer is given that could be too small.",
            Strength.UNSAID,
            "A-84",
        ),
    ),
    outputs=(Output("matches", matches, "5.4 of v3.0 C_GetInterface, ways to specify an interface"),),
)

FUNCTIONS = (C_INITIALIZE, C_FINALIZE, C_GET_INFO, C_GET_FUNCTION_LIST, C_GET_INTERFACE_LIST, C_GET_INTERFACE)
