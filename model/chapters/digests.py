"""Section 5.10: message digesting."""

from ..attributes import SECRET_KEYS
from ..call import Args, Buffer, Data
from ..mechanisms import MECHANISMS, Role, with_role
from ..rule import Effect, Function, Output, Rule, Strength
from ..state import Mech, State
from ..vocabulary import CKR
from .common import SESSION
from .conditions import callback_may_cancel, key_hidden, key_invalid, key_of_another_token, key_valid
from .operations import (
    DIGESTING,
    ERRORS,
    Shape,
    Step,
    begun,
    ended,
    ends,
    fed,
    init,
    not_active,
    refusals,
    short_while_cancelled,
)

_DIGESTS = with_role(Role.DIGEST)
_LENGTHS = tuple(sorted({MECHANISMS[m].output for m in _DIGESTS}))
_DATA = (Data.FITTING, Data.HUGE, Data.EMPTY, Data.NULL)
_WHOLE, _PART, _LAST = Shape(Step.WHOLE), Shape(Step.PART, output=False), Shape(Step.LAST, data=False)


def key_secret(s: State, a: Args) -> bool:
    return key_valid(s, a) and s.objects[a.key].kind in SECRET_KEYS


def key_not_secret(s: State, a: Args) -> bool:
    return key_valid(s, a) and s.objects[a.key].kind not in SECRET_KEYS


def digest_length(s: State, a: Args) -> tuple[int, ...]:
    """The length of a digest: the operation that knew which one is over."""
    return _LENGTHS if a.buffer == Buffer.ENOUGH else ()


FUNCTIONS = (
    init("C_DigestInit", DIGESTING, (Mech.SHA256, Mech.SHA_1, Mech.AES_ECB, Mech.UNKNOWN)),
    Function(
        "C_Digest",
        ("session", "data", "buffer", "null"),
        refusals(DIGESTING, _WHOLE, _DIGESTS),
        effects=ends(DIGESTING, _WHOLE),
        outputs=(Output("length", digest_length, "5.2"),),
        out_of_scope=short_while_cancelled,
        domains={"data": _DATA},
    ),
    Function(
        "C_DigestUpdate",
        ("session", "data"),
        refusals(DIGESTING, _PART),
        effects=ends(DIGESTING, _PART),
        domains={"data": _DATA},
    ),
    Function(
        "C_DigestKey",
        ("session", "key"),
        (
            *SESSION,
            Rule("not-active", CKR.OPERATION_NOT_INITIALIZED, not_active(DIGESTING), "5.10", ""),
            Rule("begun", CKR.OPERATION_ACTIVE, begun(DIGESTING), "5.10", "", Strength.UNSAID, "A-11"),
            Rule("key-invalid", CKR.KEY_HANDLE_INVALID, key_invalid, "5.10", "", reading="A-23"),
            Rule("key-hidden", CKR.USER_NOT_LOGGED_IN, key_hidden, "5.1.6", "", Strength.UNSAID, "A-12"),
            Rule("key-secret", CKR.KEY_INDIGESTIBLE, key_secret, "5.10", "", Strength.MAY),
            Rule("key-not-secret", CKR.KEY_INDIGESTIBLE, key_not_secret, "5.1.6", "", Strength.MAY),
            Rule("key-valid", CKR.KEY_SIZE_RANGE, key_valid, "5.10", "", Strength.MAY),
            Rule("callback-may-cancel", CKR.FUNCTION_CANCELED, callback_may_cancel, "5.16", "", Strength.MAY),
        ),
        effects=(
            Effect(fed(DIGESTING), "5.10"),
            Effect(ended(DIGESTING), "5.10", ERRORS, certain=False, reading="A-18"),
        ),
        out_of_scope=key_of_another_token,
    ),
    Function(
        "C_DigestFinal",
        ("session", "buffer", "null"),
        refusals(DIGESTING, _LAST, _DIGESTS),
        effects=ends(DIGESTING, _LAST),
        outputs=(Output("length", digest_length, "5.2"),),
        out_of_scope=short_while_cancelled,
    ),
)
