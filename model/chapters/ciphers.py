"""Sections 5.8 and 5.9: encryption and decryption."""

from ..call import Args, Buffer, Data
from ..mechanisms import Role, with_role
from ..rule import Effect, Function, Output, Rule, Strength
from ..state import Mech, Phase, State
from ..vocabulary import CKR
from .conditions import halves, one_of
from .operations import (
    DECRYPTION,
    ENCRYPTION,
    Shape,
    Step,
    active,
    ciphertext_of,
    ends,
    init,
    lengths,
    operation,
    plaintext_rows,
    refusals,
    short,
    short_of_unusual,
    short_while_cancelled,
)

_BLOCKS = (Mech.AES_ECB, Mech.AES_CBC, Mech.AES_CBC_PAD)
_SYMMETRIC = (*_BLOCKS, Mech.AES_CTR, Mech.AES_GCM)
_STREAMED = (Mech.AES_ECB, Mech.AES_CBC, Mech.AES_CTR)
"""Mechanisms that decrypt anything of a fitting length."""

_LENGTHS = (
    (Mech.AES_ECB, 32),
    (Mech.AES_CBC, 32),
    (Mech.AES_CBC_PAD, 48),
    (Mech.AES_CTR, 32),
    (Mech.AES_GCM, 48),
    (Mech.RSA_PKCS, 256),
    (Mech.RSA_X_509, 256),
    (Mech.RSA_PKCS_OAEP, 256),
)
"""The length of what 32 bytes, for RSA_X_509 a modulus, encrypt to; RSA keys here have 2048 bits."""


# C_Encrypt, C_EncryptFinal.


def keep_ciphertext(s: State, a: Args) -> State:
    whole = operation(s, a, ENCRYPTION).phase == Phase.READY
    return ciphertext_of(s, a, ENCRYPTION, whole and a.data == Data.FITTING)


def keep_ciphertext_of_parts(s: State, a: Args) -> State:
    """What went in is not tracked."""
    return ciphertext_of(s, a, ENCRYPTION, False)


def ciphertext_length(s: State, a: Args) -> tuple[int, ...]:
    return lengths(_LENGTHS, s.ciphertext) if a.buffer == Buffer.ENOUGH and a.data == Data.FITTING else ()


# C_Decrypt, C_DecryptUpdate, C_DecryptFinal.


def _matching(s: State, a: Args) -> bool:
    """The kept ciphertext is of known data, and was made by the operation's mechanism and key."""
    o, kept = operation(s, a, DECRYPTION), s.ciphertext
    if not (o.phase == Phase.READY and kept.valid and kept.mechanism == o.mechanism):
        return False
    return kept.key == o.key if one_of(o.mechanism, _SYMMETRIC) else halves(s, kept.key, o.key)


def _decrypts(s: State, a: Args) -> bool:
    if a.data == Data.KEPT:
        return _matching(s, a)
    return a.data == Data.FITTING and one_of(operation(s, a, DECRYPTION).mechanism, _STREAMED)


_decrypting = active(DECRYPTION)


def ciphertext_doubtful(s: State, a: Args) -> bool:
    return _decrypting(s, a) and not _decrypts(s, a)


def ciphertext_of_impossible_length(s: State, a: Args) -> bool:
    if not _decrypting(s, a) or a.buffer == Buffer.NULL:
        return False
    odd = a.data == Data.ODD or (a.data == Data.CUT and s.ciphertext.valid)
    return odd and one_of(operation(s, a, DECRYPTION).mechanism, _BLOCKS)


def _authentic_before(s: State, a: Args) -> bool:
    if not _decrypting(s, a) or a.buffer == Buffer.NULL:
        return False
    return operation(s, a, DECRYPTION).mechanism == Mech.AES_GCM and _matching(s, a)


def authenticated_ciphertext_tampered_with(s: State, a: Args) -> bool:
    return a.data == Data.TAMPERED and _authentic_before(s, a)


def authenticated_ciphertext_cut(s: State, a: Args) -> bool:
    return a.data == Data.CUT and _authentic_before(s, a)


def short_of_doubtful_plaintext(s: State, a: Args) -> bool:
    """Where the adapter's own length query fails, it ends the operation."""
    return short_while_cancelled(s, a) or (a.buffer == Buffer.SHORT and ciphertext_doubtful(s, a))


_WHOLE, _PART, _LAST = Shape(Step.WHOLE), Shape(Step.PART), Shape(Step.LAST, data=False)
_CODES = DECRYPTION.unfit
_FORGED = (
    *(Rule("ciphertext-of-impossible-length", code, ciphertext_of_impossible_length, "5.9", "") for code in _CODES),
    Rule(
        "authenticated-ciphertext-tampered-with",
        CKR.ENCRYPTED_DATA_INVALID,
        authenticated_ciphertext_tampered_with,
        "5.1.6",
        "",
        Strength.INFERRED,
    ),
    *(
        Rule("authenticated-ciphertext-cut", code, authenticated_ciphertext_cut, "5.9", "", Strength.INFERRED)
        for code in _CODES
    ),
)
_DOUBTFUL = tuple(Rule("ciphertext-doubtful", code, ciphertext_doubtful, "5.9", "", Strength.MAY) for code in _CODES)

_PLAINTEXTS = (Data.FITTING, Data.ODD, Data.HUGE, Data.ABOVE, Data.EMPTY, Data.NULL)
_CIPHERTEXTS = (Data.KEPT, Data.FITTING, Data.TAMPERED, Data.CUT, Data.ODD, Data.EMPTY, Data.NULL)
_PARTS = (Data.FITTING, Data.ODD, Data.EMPTY, Data.NULL)


FUNCTIONS = (
    init("C_EncryptInit", ENCRYPTION, (*with_role(Role.ENCRYPT), Mech.SHA256, Mech.UNKNOWN)),
    Function(
        "C_Encrypt",
        ("session", "data", "buffer", "null"),
        (*refusals(ENCRYPTION, _WHOLE), *plaintext_rows(ENCRYPTION, Step.WHOLE)),
        effects=(Effect(keep_ciphertext, "5.8"), *ends(ENCRYPTION, _WHOLE)),
        outputs=(Output("length", ciphertext_length, "5.2"),),
        out_of_scope=short_of_unusual(ENCRYPTION),
        domains={"data": _PLAINTEXTS},
    ),
    Function(
        "C_EncryptUpdate",
        ("session", "data", "buffer", "null"),
        (*refusals(ENCRYPTION, _PART), *plaintext_rows(ENCRYPTION, Step.PART)),
        effects=ends(ENCRYPTION, _PART),
        out_of_scope=short_of_unusual(ENCRYPTION),
        domains={"data": _PARTS},
    ),
    Function(
        "C_EncryptFinal",
        ("session", "buffer", "null"),
        (
            *refusals(ENCRYPTION, _LAST),
            *plaintext_rows(ENCRYPTION, Step.LAST),
            Rule("short", CKR.OPERATION_NOT_INITIALIZED, short(ENCRYPTION), "5.8", "", Strength.UNSAID),
        ),
        effects=(Effect(keep_ciphertext_of_parts, "5.8"), *ends(ENCRYPTION, _LAST)),
    ),
    init("C_DecryptInit", DECRYPTION, (*with_role(Role.DECRYPT), Mech.SHA256, Mech.UNKNOWN)),
    Function(
        "C_Decrypt",
        ("session", "data", "buffer", "null"),
        (*refusals(DECRYPTION, _WHOLE), *_FORGED, *_DOUBTFUL),
        effects=ends(DECRYPTION, _WHOLE),
        out_of_scope=short_of_doubtful_plaintext,
        domains={"data": _CIPHERTEXTS},
    ),
    Function(
        "C_DecryptUpdate",
        ("session", "data", "buffer", "null"),
        (*refusals(DECRYPTION, _PART), *_DOUBTFUL),
        effects=ends(DECRYPTION, _PART),
        out_of_scope=short_of_doubtful_plaintext,
        domains={"data": (Data.KEPT, *_PARTS)},
    ),
    Function(
        "C_DecryptFinal",
        ("session", "buffer", "null"),
        (
            *refusals(DECRYPTION, _LAST),
            *(Rule("decrypting", code, _decrypting, "5.9", "", Strength.MAY) for code in _CODES),
            Rule("short", CKR.OPERATION_NOT_INITIALIZED, short(DECRYPTION), "5.9", "", Strength.UNSAID),
        ),
        effects=ends(DECRYPTION, _LAST),
    ),
)
