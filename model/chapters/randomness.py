"""Section 5.14: random number generation."""

from ..call import Args, Data
from ..rule import Function, Rule, Strength
from ..state import State
from ..vocabulary import CKR, Version
from .common import PIN_TO_BE_CHANGED, SESSION, USER_REQUIRED, arguments_bad
from .conditions import callback_may_cancel, session_valid, slot_of
from .operations import PROCESS_ACTIVE, data_empty, data_null, something_active

V2_20, V2_40 = Version.V2_20, Version.V2_40


def no_generator_on_token(s: State, a: Args) -> bool:
    return not slot_of(s, a).rng


_ROWS = (
    *SESSION,
    *arguments_bad(
        "data-null",
        data_null,
        "5.1.6 CKR_ARGUMENTS_BAD",
        "An argument that is not fit for the call; where bytes are to be read or written, NULL is not.",
        unguarded=True,
    ),
    Rule(
        "data-empty",
        CKR.ARGUMENTS_BAD,
        data_empty,
        "5.1.6 CKR_ARGUMENTS_BAD",
        "An argument that is not fit for the call; whether no bytes at all are, is not said.",
        Strength.UNSAID,
        "A-28",
        unguarded=True,
    ),
    Rule(
        "no-generator",
        CKR.RANDOM_NO_RNG,
        no_generator_on_token,
        "5.1.6 CKR_RANDOM_NO_RNG",
        "Both functions can say with this code that the token has no generator.",
        Strength.SHOULD,
    ),
    Rule(
        "something-active",
        CKR.OPERATION_ACTIVE,
        something_active,
        "5.1.6 CKR_OPERATION_ACTIVE",
        "What is under way in the session may keep the token from doing this beside it; both functions list the code.",
        Strength.MAY,
        "A-48",
    ),
    PROCESS_ACTIVE,
    USER_REQUIRED,
    PIN_TO_BE_CHANGED,
    Rule(
        "self-test",
        CKR.FIPS_SELF_TEST_FAILED,
        session_valid,
        "5.1.6 CKR_FIPS_SELF_TEST_FAILED",
        "Both functions are named among those that may find a self-test failing, the generator's own.",
        Strength.MAY,
        "A-55",
        since=V2_40,
    ),
    Rule(
        "callback-cancels",
        CKR.FUNCTION_CANCELED,
        callback_may_cancel,
        "5.16.1 Surrender callbacks",
        "A callback that the session was opened with may have the function stopped.",
        Strength.MAY,
    ),
)
_DATA = (Data.FITTING, Data.HUGE, Data.EMPTY, Data.NULL)

C_SEED_RANDOM = Function(
    "C_SeedRandom",
    ("session", "data"),
    (
        *_ROWS,
        Rule(
            "seed-refused",
            CKR.RANDOM_SEED_NOT_SUPPORTED,
            session_valid,
            "5.1.6 CKR_RANDOM_SEED_NOT_SUPPORTED",
            "A generator need not take seed from applications.",
            Strength.MAY,
        ),
    ),
    given=session_valid,
    domains={"data": _DATA},
)

C_GENERATE_RANDOM = Function(
    "C_GenerateRandom",
    ("session", "data"),
    (
        *_ROWS,
        Rule(
            "seed-perhaps-required",
            CKR.SEED_RANDOM_REQUIRED,
            session_valid,
            "5.1.6 of v3.2 CKR_SEED_RANDOM_REQUIRED",
            "A generator may want to be seeded first, or again.",
            Strength.MAY,
            since=Version.V3_2,
        ),
    ),
    given=session_valid,
    domains={"data": _DATA},
)

FUNCTIONS = (C_SEED_RANDOM, C_GENERATE_RANDOM)
