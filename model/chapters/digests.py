"""Section 5.10: message digesting."""

from ..attributes import SECRET_KEYS
from ..call import Args, Buffer, Data
from ..mechanisms import Role, with_role
from ..rule import Effect, Function, Rule, Strength
from ..state import Mech, State
from ..vocabulary import CKR
from .common import PIN_TO_BE_CHANGED, SESSION, USER_REQUIRED
from .conditions import key_of_another_token, key_valid, session_valid
from .operations import (
    DIGESTING,
    ERRORS,
    KEY_HANDLE_ROWS,
    SURRENDER,
    Shape,
    Step,
    asked_while_cancelled,
    ended,
    ends,
    fed,
    init,
    key_hidden_row,
    not_active_row,
    refusals,
    told_length,
)

_DIGESTS = with_role(Role.DIGEST)
_DATA = (Data.FITTING, Data.HUGE, Data.EMPTY, Data.NULL)
_WHOLE, _PART, _LAST = Shape(Step.WHOLE), Shape(Step.PART, output=False), Shape(Step.LAST, data=False)


# C_DigestInit.


_OTHER_DIGESTS = tuple(m for m in _DIGESTS if m is not Mech.SHA256)

C_DIGEST_INIT = init(DIGESTING, (Mech.SHA256, *_OTHER_DIGESTS, Mech.AES_ECB, Mech.UNKNOWN))


# C_Digest.


_LENGTHS = tuple((m, m.facts.digest) for m in _DIGESTS)


def digest_length(s: State, a: Args) -> tuple[int, ...]:
    """The length of a digest: the operation that knew which one is over."""
    return tuple(sorted({n for _, n in _LENGTHS})) if a.buffer != Buffer.NULL else ()


C_DIGEST = Function(
    "C_Digest",
    ("session", "data", "buffer", "null"),
    refusals(DIGESTING, _WHOLE, _DIGESTS),
    effects=ends(DIGESTING, _WHOLE),
    outputs=(told_length(DIGESTING, _LENGTHS, digest_length),),
    out_of_scope=asked_while_cancelled,
    domains={"data": _DATA},
    given=session_valid,
)


# C_DigestUpdate.


C_DIGEST_UPDATE = Function(
    "C_DigestUpdate",
    ("session", "data"),
    refusals(DIGESTING, _PART),
    effects=ends(DIGESTING, _PART),
    domains={"data": _DATA},
    given=session_valid,
)


# C_DigestKey.


def key_secret(s: State, a: Args) -> bool:
    return key_valid(s, a) and s.objects[a.key].kind in SECRET_KEYS


def key_not_secret(s: State, a: Args) -> bool:
    return key_valid(s, a) and s.objects[a.key].kind not in SECRET_KEYS


C_DIGEST_KEY = Function(
    "C_DigestKey",
    ("session", "key"),
    (
        *SESSION,
        not_active_row(DIGESTING, "5.10 C_DigestKey"),
        *KEY_HANDLE_ROWS,
        key_hidden_row(Strength.UNSAID),
        Rule(
            "key-secret",
            CKR.KEY_INDIGESTIBLE,
            key_secret,
            "5.1.6 CKR_KEY_INDIGESTIBLE",
            "A token may be unable to digest a key, whatever the reason.",
            Strength.MAY,
        ),
        Rule(
            "key-not-secret",
            CKR.KEY_INDIGESTIBLE,
            key_not_secret,
            "5.1.6 CKR_KEY_INDIGESTIBLE",
            "The function is for secret keys; this is another kind of key.",
            Strength.MAY,
        ),
        Rule(
            "key-valid",
            CKR.KEY_SIZE_RANGE,
            key_valid,
            "5.10 C_DigestKey, on the key's length",
            "A key that cannot be digested for its length alone has a code of its own.",
            Strength.MAY,
        ),
        USER_REQUIRED,
        PIN_TO_BE_CHANGED,
        SURRENDER,
    ),
    effects=(
        Effect("part-taken", fed(DIGESTING), "5.10 C_DigestKey, first sentence"),
        Effect("operation-perhaps-ended", ended(DIGESTING), "5.10 C_DigestKey", ERRORS, certain=False, reading="A-18"),
    ),
    out_of_scope=key_of_another_token,
    given=session_valid,
)


# C_DigestFinal.


C_DIGEST_FINAL = Function(
    "C_DigestFinal",
    ("session", "buffer", "null"),
    refusals(DIGESTING, _LAST, _DIGESTS),
    effects=ends(DIGESTING, _LAST),
    outputs=(told_length(DIGESTING, _LENGTHS, digest_length),),
    out_of_scope=asked_while_cancelled,
    given=session_valid,
)


FUNCTIONS = (C_DIGEST_INIT, C_DIGEST, C_DIGEST_UPDATE, C_DIGEST_KEY, C_DIGEST_FINAL)
