"""Section 5.14: random number generation."""

from ..call import Args, Data
from ..rule import Function, Rule, Strength
from ..state import State
from ..vocabulary import CKR
from .common import SESSION, arguments_bad
from .conditions import callback_may_cancel, session_valid, slot_of, user_required_but_absent
from .operations import data_empty, data_null, something_active


def no_generator_on_token(s: State, a: Args) -> bool:
    return session_valid(s, a) and not slot_of(s, a).rng


_ROWS = (
    *SESSION,
    *arguments_bad("data-null", data_null, "5.14", ""),
    Rule("data-empty", CKR.ARGUMENTS_BAD, data_empty, "5.14", "", Strength.UNSAID, "A-28"),
    Rule("no-generator-on-token", CKR.RANDOM_NO_RNG, no_generator_on_token, "5.1.6", "", Strength.SHOULD),
    Rule("something-active", CKR.OPERATION_ACTIVE, something_active, "5.1.6", "", Strength.MAY, "A-48"),
    Rule("user-required-but-absent", CKR.USER_NOT_LOGGED_IN, user_required_but_absent, "5.1.6", "", Strength.MAY),
    Rule("callback-may-cancel", CKR.FUNCTION_CANCELED, callback_may_cancel, "5.16", "", Strength.MAY),
)
_DATA = (Data.FITTING, Data.HUGE, Data.EMPTY, Data.NULL)

FUNCTIONS = (
    Function(
        "C_SeedRandom",
        ("session", "data"),
        (*_ROWS, Rule("session-valid", CKR.RANDOM_SEED_NOT_SUPPORTED, session_valid, "5.14", "", Strength.MAY)),
        domains={"data": _DATA},
    ),
    Function("C_GenerateRandom", ("session", "data"), _ROWS, domains={"data": _DATA}),
)
