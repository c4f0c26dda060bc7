"""Section 5.12: dual-function cryptography, one part for two operations."""

from ..call import Data
from ..rule import Condition, Effect, Function, Rule, Strength, named, one_fact
from ..vocabulary import CKR
from .conditions import slot_of
from .operations import (
    DECRYPTION,
    DIGESTING,
    ENCRYPTION,
    ERRORS,
    SIGNING,
    VERIFYING,
    Activity,
    Shape,
    Step,
    active,
    data_unusual,
    ended,
    fed_with_output,
    refusals,
    short_of_unusual,
)

_CIPHER, _OTHER = Shape(Step.PART), Shape(Step.PART, data=False, output=False)
_PARTS = (Data.FITTING, Data.ODD, Data.EMPTY, Data.NULL)


@one_fact
def without_dual(first: Activity, second: Activity) -> Condition:
    """Both operations are active on a token that has no dual functions: which may happen, and then has no code."""
    one, other = active(first), active(second)
    return named(
        f"{first.noun} and {second.noun} active without dual functions",
        lambda s, a: one(s, a) and other(s, a) and not slot_of(s, a).dual,
    )


def _dual(name: str, cipher: Activity, other: Activity, codes: tuple[CKR, ...], data: tuple[Data, ...]) -> Function:
    """An update of a cipher operation and another. `codes` are those of `data` that does not suit them."""
    stray = without_dual(cipher, other)
    rows = (
        *refusals(cipher, _CIPHER),
        *refusals(other, _OTHER),
        *(Rule("data-unusual", code, data_unusual(cipher), "5.12", "", Strength.MAY) for code in codes),
        *(
            Rule("stray", code, stray, "5.12", "", Strength.UNSAID)
            for code in (CKR.OPERATION_NOT_INITIALIZED, CKR.OPERATION_ACTIVE, CKR.MECHANISM_INVALID)
        ),
    )
    return Function(
        name,
        ("session", "data", "buffer", "null"),
        tuple(dict.fromkeys(rows)),
        effects=(
            Effect(fed_with_output(cipher), "5.12"),
            Effect(fed_with_output(other), "5.12"),
            Effect(ended(cipher), "5.12", ERRORS, certain=False, reading="A-18"),
            Effect(ended(other), "5.12", ERRORS, certain=False, reading="A-18"),
        ),
        out_of_scope=short_of_unusual(cipher),
        domains={"data": data},
    )


_LENGTH = (CKR.DATA_LEN_RANGE,)

FUNCTIONS = (
    _dual("C_DigestEncryptUpdate", ENCRYPTION, DIGESTING, _LENGTH, _PARTS),
    _dual("C_DecryptDigestUpdate", DECRYPTION, DIGESTING, DECRYPTION.unfit, (Data.KEPT, *_PARTS)),
    _dual("C_SignEncryptUpdate", ENCRYPTION, SIGNING, _LENGTH, _PARTS),
    _dual("C_DecryptVerifyUpdate", DECRYPTION, VERIFYING, (*DECRYPTION.unfit, *_LENGTH), (Data.KEPT, *_PARTS)),
)
