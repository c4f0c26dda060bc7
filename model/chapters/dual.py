"""Section 5.12: dual-function cryptography, one part for two operations."""

from functools import cache

from ..call import Data
from ..rule import Condition, Effect, Function, Rule, Strength, named
from ..vocabulary import CKR
from .conditions import session_valid, slot_of
from .operations import (
    DECRYPTION,
    DIGESTING,
    ENCRYPTION,
    ERRORS,
    SIGNING,
    TAKES_NOTHING,
    VERIFYING,
    Activity,
    Shape,
    Step,
    active,
    asked_of_unusual,
    data_unusual_rows,
    ended,
    fed,
    fed_with_output,
    refusals,
)

_PARTS = (Data.FITTING, Data.ODD, Data.EMPTY, Data.NULL)


@cache
def without_dual(first: Activity, second: Activity) -> Condition:
    """Both operations are active on a token that has no dual functions: which may happen, and then has no code."""
    one, other = active(first), active(second)
    return named(
        f"{first.noun} and {second.noun} active without dual functions",
        lambda s, a: one(s, a) and other(s, a) and not slot_of(s, a).dual,
    )


def _dual(name: str, cipher: Activity, other: Activity, codes: tuple[CKR, ...], data: tuple[Data, ...]) -> Function:
    """An update of a cipher operation and another. `codes` are those of `data` that does not suit them."""
    stray, place = without_dual(cipher, other), f"5.12 {name}"
    rows = (
        *refusals(cipher, Shape(Step.PART, dual=name)),
        *refusals(other, Shape(Step.PART, data=False, output=False, dual=name)),
        *data_unusual_rows(cipher, codes),
        *(
            Rule(
                "dual-functions-absent",
                code,
                stray,
                "3.2 CK_TOKEN_INFO, on CKF_DUAL_CRYPTO_OPERATIONS",
                "Without the flag a session does not work on two operations at once; no code is given for trying.",
                Strength.UNSAID,
            )
            for code in (CKR.OPERATION_NOT_INITIALIZED, CKR.OPERATION_ACTIVE, CKR.MECHANISM_INVALID)
        ),
    )
    return Function(
        name,
        ("session", "data", "buffer", "null"),
        tuple(dict.fromkeys(rows)),
        effects=(
            Effect("part-taken", fed_with_output(cipher), f"{place}, first sentence"),
            Effect("part-taken", fed_with_output(other), f"{place}, on calls without output"),
            Effect("part-taken", fed(cipher), "5.2 first way to call", TAKES_NOTHING, certain=False, reading="A-70"),
            Effect("operation-perhaps-ended", ended(cipher), place, ERRORS, certain=False, reading="A-18"),
            Effect("operation-perhaps-ended", ended(other), place, ERRORS, certain=False, reading="A-18"),
        ),
        out_of_scope=asked_of_unusual(cipher),
        domains={"data": data},
        given=session_valid,
    )


_LENGTH = (CKR.DATA_LEN_RANGE,)

C_DIGEST_ENCRYPT_UPDATE = _dual("C_DigestEncryptUpdate", ENCRYPTION, DIGESTING, _LENGTH, _PARTS)

C_DECRYPT_DIGEST_UPDATE = _dual("C_DecryptDigestUpdate", DECRYPTION, DIGESTING, DECRYPTION.unfit, (Data.KEPT, *_PARTS))

C_SIGN_ENCRYPT_UPDATE = _dual("C_SignEncryptUpdate", ENCRYPTION, SIGNING, _LENGTH, _PARTS)

C_DECRYPT_VERIFY_UPDATE = _dual(
    "C_DecryptVerifyUpdate", DECRYPTION, VERIFYING, (*DECRYPTION.unfit, *_LENGTH), (Data.KEPT, *_PARTS)
)

FUNCTIONS = (C_DIGEST_ENCRYPT_UPDATE, C_DECRYPT_DIGEST_UPDATE, C_SIGN_ENCRYPT_UPDATE, C_DECRYPT_VERIFY_UPDATE)
