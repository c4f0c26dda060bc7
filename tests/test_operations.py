"""Active operations (5.7 to 5.15): stories told to the oracle, each with all that it may answer to the last call."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from p11conform.model.call import Args, Buffer, Call, Data, Many, Parameter, Want
from p11conform.model.chapters import ciphers, digests, dual, parallel, randomness, searches, signatures
from p11conform.model.chapters.operations import (
    ACTIVITIES,
    end_all_operations,
    forget_outputs,
    lost_key_in_use,
    unsettle_searches,
)
from p11conform.model.mechanisms import with_role
from p11conform.model.oracle import build, in_scope, outputs, permitted, successors
from p11conform.model.state import (
    Kept,
    Kind,
    Login,
    Mech,
    Object,
    Operation,
    Operations,
    Origin,
    Phase,
    Role,
    Search,
    Session,
    Slot,
    State,
    Trait,
    put_object,
    put_session,
    put_slot,
)
from p11conform.model.vocabulary import CKR, Version

OK, SHORT, QUERY = CKR.OK, Buffer.SHORT, Buffer.NULL
AES, SECRET, RSA_PUBLIC, RSA_PRIVATE, CERTIFICATE, NOWHERE = range(6)
KINDS = (Kind.AES, Kind.GENERIC_SECRET, Kind.RSA_PUBLIC, Kind.RSA_PRIVATE, Kind.CERTIFICATE)
USER_IN = State(
    initialized=True,
    slots=(Slot(login=Login.USER), Slot()),
    sessions=(Session(True, 0, True), Session(True, 0, True), Session()),
    objects=tuple(Object(True, True, kind, origin=Origin.GENERATED) for kind in KINDS),
)
MINE = tuple(
    f
    for m in (searches, ciphers, digests, signatures, dual, randomness, parallel)
    for f in m.FUNCTIONS
    if f.signature.since <= Version.V2_40
)
MODEL = build()

Step = Call | tuple[Call, CKR]


def do(function: str, **args: Any) -> Call:
    return Call(function, Args(**{"key": AES, "mechanism": Mech.AES_ECB} | args))


def follow(start: State, steps: Iterable[Step]) -> frozenset[State]:
    """The states that a module may be in after calls that returned OK, or the code beside them."""
    beliefs = frozenset({start})
    for step in steps:
        call, code = step if isinstance(step, tuple) else (step, OK)
        allowing = [s for s in beliefs if code in permitted(MODEL, s, call)]
        assert allowing, f"{call.function} cannot return {code}"
        beliefs = frozenset(t for s in allowing for t in successors(MODEL, s, call, code))
    return beliefs


def union(beliefs: Iterable[State], call: Call) -> frozenset[CKR]:
    return frozenset(code for s in beliefs for code in permitted(MODEL, s, call))


@dataclass(frozen=True)
class Story:
    """Calls that succeed, or return what stands beside them, and the codes that the last call may return then."""

    section: str
    title: str
    steps: tuple[Step, ...]
    last: Call
    codes: frozenset[CKR]
    start: State = USER_IN


def tell(section: str, title: str, *steps: Step, last: Call, codes: str, start: State = USER_IN) -> Story:
    return Story(section, title, steps, last, frozenset(CKR[name] for name in codes.split()), start)


ENCRYPT_INIT, DECRYPT_INIT = do("C_EncryptInit"), do("C_DecryptInit")
DIGEST_INIT = do("C_DigestInit", mechanism=Mech.SHA256)
MAC = {"mechanism": Mech.SHA256_HMAC, "key": SECRET}
SIGN_INIT, VERIFY_INIT = do("C_SignInit", **MAC), do("C_VerifyInit", **MAC)
RSA_SIGN = do("C_SignInit", mechanism=Mech.RSA_PKCS, key=RSA_PRIVATE)
RSA_VERIFY = do("C_VerifyInit", mechanism=Mech.RSA_PKCS, key=RSA_PUBLIC)
SIGN, ENCRYPT, DIGEST = do("C_Sign"), do("C_Encrypt"), do("C_Digest")
SIGNED, ENCRYPTED = (SIGN_INIT, SIGN), (ENCRYPT_INIT, ENCRYPT)
RSA_SIGNED = (RSA_SIGN, SIGN)
GCM_ENCRYPTED = (do("C_EncryptInit", mechanism=Mech.AES_GCM), ENCRYPT)
RECOVERABLE = (do("C_SignRecoverInit", mechanism=Mech.RSA_PKCS, key=RSA_PRIVATE), do("C_SignRecover"))
RECOVER_INIT = do("C_VerifyRecoverInit", mechanism=Mech.RSA_PKCS, key=RSA_PUBLIC)
TAMPERED, CUT, KEPT = Data.TAMPERED, Data.CUT, Data.KEPT

NOT_INITIALIZED = "OPERATION_NOT_INITIALIZED"
PERHAPS = "KEY_SIZE_RANGE MECHANISM_INVALID MECHANISM_PARAM_INVALID"
NOBODY_IN = put_slot(USER_IN, 0, Slot())
CANCELLING = put_session(USER_IN, 0, Session(True, 0, True, notify=True))
NO_USAGE = put_object(USER_IN, AES, Object(True, True, Kind.AES, trait=Trait.NO_USAGE))
HIDDEN = put_object(NOBODY_IN, AES, Object(True, False, Kind.AES, token=True, private=True))
DUAL = put_slot(USER_IN, 0, Slot(login=Login.USER, dual=True))
UNWELL = "FIPS_SELF_TEST_FAILED"
"""What a generator says that fails its own test (A-55)."""
WITHOUT_RNG = put_slot(USER_IN, 0, Slot(login=Login.USER, rng=False))
NOT_OFFERED = put_slot(USER_IN, 0, Slot(login=Login.USER, abilities=((Mech.RSA_PKCS, Role.SIGN),)))
NOT_LISTED = put_slot(USER_IN, 0, Slot(login=Login.USER, mechanisms=(Mech.AES_ECB,)))
OFFERED = put_slot(USER_IN, 0, Slot(login=Login.USER, abilities=((Mech.ECDSA, Role.ENCRYPT),)))
FOREIGN = do("C_EncryptInit", mechanism=Mech.ECDSA)
UNINITIALIZED = replace(USER_IN, initialized=False)
AES_GONE = put_object(USER_IN, AES, Object())
OTHER_SESSION = {"session": 1}

STORIES = (
    # Beginning.
    tell("5.8", "a key that fits", last=ENCRYPT_INIT, codes="OK KEY_SIZE_RANGE"),
    tell("5.8", "no session", last=do("C_EncryptInit", session=3), codes="SESSION_HANDLE_INVALID"),
    tell(
        "5.8",
        "no library",
        start=UNINITIALIZED,
        last=do("C_Encrypt"),
        codes=f"CRYPTOKI_NOT_INITIALIZED {NOT_INITIALIZED}",
    ),
    tell(
        "5.8",
        "no mechanism",
        last=do("C_EncryptInit", null=True),
        codes="ARGUMENTS_BAD MECHANISM_INVALID KEY_SIZE_RANGE MECHANISM_PARAM_INVALID",
    ),
    tell(
        "5.1.6",
        "an unknown mechanism",
        last=do("C_EncryptInit", mechanism=Mech.UNKNOWN),
        codes="MECHANISM_INVALID KEY_SIZE_RANGE ARGUMENTS_BAD",
    ),
    tell(
        "5.1.6",
        "a mechanism of another use",
        last=do("C_EncryptInit", mechanism=Mech.SHA256),
        codes="MECHANISM_INVALID KEY_TYPE_INCONSISTENT KEY_SIZE_RANGE ARGUMENTS_BAD",
    ),
    tell(
        "5.1.6",
        "a bad parameter",
        last=do("C_DecryptInit", mechanism=Mech.AES_CBC, parameter=Parameter.WRONG),
        codes="MECHANISM_PARAM_INVALID ARGUMENTS_BAD KEY_SIZE_RANGE",
    ),
    tell(
        "5.8",
        "the key handle 0",
        last=do("C_EncryptInit", key=5),
        codes="KEY_HANDLE_INVALID ARGUMENTS_BAD OBJECT_HANDLE_INVALID",
    ),
    tell(
        "5.1.6",
        "an object that is no key",
        last=do("C_EncryptInit", key=CERTIFICATE),
        codes="KEY_HANDLE_INVALID ARGUMENTS_BAD OBJECT_HANDLE_INVALID",
    ),
    tell(
        "5.1.6",
        "a key of another type",
        last=do("C_EncryptInit", key=SECRET),
        codes="KEY_TYPE_INCONSISTENT MECHANISM_INVALID KEY_SIZE_RANGE ARGUMENTS_BAD",
    ),
    tell(
        "5.1.6",
        "the wrong half",
        last=do("C_SignInit", mechanism=Mech.SHA256_RSA_PKCS, key=RSA_PUBLIC),
        codes="KEY_FUNCTION_NOT_PERMITTED KEY_TYPE_INCONSISTENT KEY_SIZE_RANGE ARGUMENTS_BAD",
    ),
    tell(
        "5.8",
        "a key not for this",
        start=NO_USAGE,
        last=ENCRYPT_INIT,
        codes="KEY_FUNCTION_NOT_PERMITTED KEY_SIZE_RANGE ARGUMENTS_BAD",
    ),
    tell(
        "5.1.6",
        "type before use",
        start=NO_USAGE,
        last=do("C_SignInit", mechanism=Mech.SHA256_HMAC),
        codes="KEY_TYPE_INCONSISTENT MECHANISM_INVALID KEY_SIZE_RANGE ARGUMENTS_BAD",
    ),
    tell(
        "5.7",
        "a hidden key",
        start=HIDDEN,
        last=ENCRYPT_INIT,
        codes="KEY_HANDLE_INVALID USER_NOT_LOGGED_IN ARGUMENTS_BAD OBJECT_HANDLE_INVALID",
    ),
    tell("5.1.6", "a token that wants a login", start=NOBODY_IN, last=DIGEST_INIT, codes="OK USER_NOT_LOGGED_IN"),
    tell("5.16", "a callback that cancels", start=CANCELLING, last=DIGEST_INIT, codes="OK FUNCTION_CANCELED"),
    tell("5.1.6", "a second operation", DIGEST_INIT, last=SIGN_INIT, codes="OK OPERATION_ACTIVE KEY_SIZE_RANGE"),
    tell("5.1.6", "the same again", VERIFY_INIT, last=VERIFY_INIT, codes="OK OPERATION_ACTIVE KEY_SIZE_RANGE"),
    tell("5.1.6", "a recovering one", last=RECOVERABLE[0], codes="OK KEY_SIZE_RANGE"),
    tell("5.1.6", "a recovered one", last=RECOVER_INIT, codes="OK KEY_SIZE_RANGE PUBLIC_KEY_INVALID"),
    tell(
        "5.1.6",
        "a mechanism not offered",
        start=NOT_OFFERED,
        last=RECOVER_INIT,
        codes="OK KEY_SIZE_RANGE MECHANISM_INVALID MECHANISM_PARAM_INVALID PUBLIC_KEY_INVALID",
    ),
    tell(
        "5.1.6",
        "a mechanism not listed",
        start=NOT_LISTED,
        last=RECOVER_INIT,
        codes="KEY_SIZE_RANGE MECHANISM_INVALID MECHANISM_PARAM_INVALID ARGUMENTS_BAD PUBLIC_KEY_INVALID",
    ),
    tell(
        "5.1.6",
        "a foreign mechanism offered",
        start=OFFERED,
        last=FOREIGN,
        codes="OK KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT ARGUMENTS_BAD",
    ),
    tell(
        "5.1.6",
        "parameters vary",
        last=do("C_EncryptInit", mechanism=Mech.AES_GCM),
        codes="OK ARGUMENTS_BAD KEY_SIZE_RANGE MECHANISM_PARAM_INVALID",
    ),
    tell(
        "5.1.6",
        "after a second began, the first goes on or not",
        DIGEST_INIT,
        SIGN_INIT,
        last=DIGEST,
        codes=f"OK {NOT_INITIALIZED}",
    ),
    tell("5.1.6", "refused, it goes on", DIGEST_INIT, (SIGN_INIT, CKR.OPERATION_ACTIVE), last=DIGEST, codes="OK"),
    tell(
        "5.1.6",
        "other sessions are not concerned",
        DIGEST_INIT,
        last=do("C_DigestInit", session=1, mechanism=Mech.SHA256),
        codes="OK",
    ),
    # Encryption and decryption at once.
    tell("5.8", "not begun", last=ENCRYPT, codes=NOT_INITIALIZED),
    tell("5.8", "once", ENCRYPT_INIT, last=ENCRYPT, codes="OK"),
    tell("5.8", "twice", *ENCRYPTED, last=ENCRYPT, codes=NOT_INITIALIZED),
    tell("5.2", "after a query", ENCRYPT_INIT, do("C_Encrypt", buffer=QUERY), last=ENCRYPT, codes="OK"),
    tell(
        "5.2",
        "after a short buffer",
        ENCRYPT_INIT,
        (do("C_Encrypt", buffer=SHORT), CKR.BUFFER_TOO_SMALL),
        last=ENCRYPT,
        codes="OK",
    ),
    tell("5.8", "an odd length", ENCRYPT_INIT, last=do("C_Encrypt", data=Data.ODD), codes="DATA_LEN_RANGE"),
    tell(
        "5.8",
        "an odd length queried",
        ENCRYPT_INIT,
        last=do("C_Encrypt", data=Data.ODD, buffer=QUERY),
        codes="OK DATA_LEN_RANGE DATA_INVALID",
    ),
    tell(
        "5.8",
        "an error ends it",
        ENCRYPT_INIT,
        (do("C_Encrypt", data=Data.ODD), CKR.DATA_LEN_RANGE),
        last=ENCRYPT,
        codes=NOT_INITIALIZED,
    ),
    tell(
        "5.8",
        "a bad argument ends it",
        ENCRYPT_INIT,
        (do("C_Encrypt", null=True), CKR.ARGUMENTS_BAD),
        last=ENCRYPT,
        codes=NOT_INITIALIZED,
    ),
    tell(
        "5.1.6",
        "too long for RSA",
        do("C_EncryptInit", mechanism=Mech.RSA_PKCS, key=RSA_PUBLIC),
        last=do("C_Encrypt", data=Data.HUGE),
        codes="DATA_LEN_RANGE",
    ),
    tell(
        "5.1.6",
        "above the modulus",
        do("C_EncryptInit", mechanism=Mech.RSA_X_509, key=RSA_PUBLIC),
        last=do("C_Encrypt", data=Data.ABOVE),
        codes="DATA_INVALID DATA_LEN_RANGE",
    ),
    tell(
        "5.8",
        "NULL data",
        ENCRYPT_INIT,
        last=do("C_Encrypt", data=Data.NULL),
        codes="ARGUMENTS_BAD DATA_INVALID DATA_LEN_RANGE",
    ),
    tell(
        "5.8",
        "no data",
        ENCRYPT_INIT,
        last=do("C_Encrypt", data=Data.EMPTY),
        codes="OK ARGUMENTS_BAD DATA_INVALID DATA_LEN_RANGE",
    ),
    tell("5.9", "not begun", last=do("C_Decrypt"), codes=NOT_INITIALIZED),
    tell("5.9", "what was encrypted", *ENCRYPTED, DECRYPT_INIT, last=do("C_Decrypt", data=KEPT), codes="OK"),
    tell(
        "5.9",
        "by RSA",
        do("C_EncryptInit", mechanism=Mech.RSA_PKCS, key=RSA_PUBLIC),
        ENCRYPT,
        do("C_DecryptInit", mechanism=Mech.RSA_PKCS, key=RSA_PRIVATE),
        last=do("C_Decrypt", data=KEPT),
        codes="OK",
    ),
    tell(
        "5.9",
        "by another key",
        *ENCRYPTED,
        do("C_DecryptInit", key=CERTIFICATE),
        last=do("C_Decrypt", data=KEPT),
        codes="OK ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE",
        start=put_object(USER_IN, CERTIFICATE, Object(True, True, Kind.AES)),
    ),
    tell(
        "5.9",
        "by another mechanism",
        *ENCRYPTED,
        do("C_DecryptInit", mechanism=Mech.AES_CBC_PAD),
        last=do("C_Decrypt", data=KEPT),
        codes="OK ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE",
    ),
    tell(
        "5.9",
        "what was cut",
        *ENCRYPTED,
        DECRYPT_INIT,
        last=do("C_Decrypt", data=CUT),
        codes="ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE",
    ),
    tell(
        "5.9",
        "what was forged",
        *GCM_ENCRYPTED,
        do("C_DecryptInit", mechanism=Mech.AES_GCM),
        last=do("C_Decrypt", data=TAMPERED),
        codes="ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE",
    ),
    tell(
        "5.9",
        "without the user",
        *ENCRYPTED,
        DECRYPT_INIT,
        start=NOBODY_IN,
        last=do("C_Decrypt", data=KEPT),
        codes="OK USER_NOT_LOGGED_IN",
    ),
    # In parts.
    tell("5.8", "a part not begun", last=do("C_EncryptUpdate"), codes=NOT_INITIALIZED),
    tell("5.8", "a part", ENCRYPT_INIT, do("C_EncryptUpdate"), last=do("C_EncryptUpdate"), codes="OK"),
    tell(
        "5.8",
        "an odd part",
        ENCRYPT_INIT,
        do("C_EncryptUpdate"),
        last=do("C_EncryptUpdate", data=Data.ODD),
        codes="OK DATA_LEN_RANGE",
    ),
    tell(
        "5.8",
        "all after a part",
        ENCRYPT_INIT,
        do("C_EncryptUpdate"),
        last=ENCRYPT,
        codes=f"OPERATION_ACTIVE {NOT_INITIALIZED} ARGUMENTS_BAD DATA_INVALID DATA_LEN_RANGE",
    ),
    tell(
        "5.8",
        "all after a part, and then",
        ENCRYPT_INIT,
        do("C_EncryptUpdate"),
        (ENCRYPT, CKR.OPERATION_ACTIVE),
        last=do("C_EncryptUpdate"),
        codes=f"OK {NOT_INITIALIZED}",
    ),
    tell(
        "5.2",
        "a part queried may count as one, or as none",
        ENCRYPT_INIT,
        do("C_EncryptUpdate", buffer=QUERY),
        last=ENCRYPT,
        codes=f"OK ARGUMENTS_BAD DATA_INVALID DATA_LEN_RANGE OPERATION_ACTIVE {NOT_INITIALIZED}",
    ),
    tell("5.8", "the end", ENCRYPT_INIT, do("C_EncryptUpdate"), last=do("C_EncryptFinal"), codes="OK DATA_LEN_RANGE"),
    tell("5.8", "the end without a part", ENCRYPT_INIT, last=do("C_EncryptFinal"), codes="OK OPERATION_ACTIVE"),
    tell(
        "5.8",
        "after the end",
        ENCRYPT_INIT,
        do("C_EncryptUpdate"),
        do("C_EncryptFinal"),
        last=do("C_EncryptFinal"),
        codes=NOT_INITIALIZED,
    ),
    tell("5.9", "a part", *ENCRYPTED, DECRYPT_INIT, last=do("C_DecryptUpdate", data=KEPT), codes="OK"),
    tell(
        "5.9",
        "the end",
        DECRYPT_INIT,
        do("C_DecryptUpdate"),
        last=do("C_DecryptFinal"),
        codes="OK ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE",
    ),
    tell(
        "5.9",
        "a mechanism without parts",
        do("C_DecryptInit", mechanism=Mech.RSA_PKCS, key=RSA_PRIVATE),
        last=do("C_DecryptUpdate"),
        codes=f"OK {NOT_INITIALIZED} OPERATION_ACTIVE MECHANISM_INVALID KEY_TYPE_INCONSISTENT ARGUMENTS_BAD"
        " KEY_FUNCTION_NOT_PERMITTED ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE",
    ),
    # Digests.
    tell("5.10", "not begun", last=DIGEST, codes=NOT_INITIALIZED),
    tell("5.10", "a mechanism of another use", last=do("C_DigestInit"), codes="MECHANISM_INVALID ARGUMENTS_BAD"),
    tell("5.10", "into a short buffer", DIGEST_INIT, last=do("C_Digest", buffer=SHORT), codes="BUFFER_TOO_SMALL OK"),
    tell(
        "5.10",
        "all after a part",
        DIGEST_INIT,
        do("C_DigestUpdate"),
        last=DIGEST,
        codes=f"OPERATION_ACTIVE {NOT_INITIALIZED} ARGUMENTS_BAD",
    ),
    tell(
        "5.10",
        "an empty part",
        DIGEST_INIT,
        do("C_DigestUpdate"),
        last=do("C_DigestUpdate", data=Data.EMPTY),
        codes="OK ARGUMENTS_BAD",
    ),
    tell(
        "5.10",
        "a key",
        DIGEST_INIT,
        do("C_DigestUpdate"),
        last=do("C_DigestKey"),
        codes="OK KEY_INDIGESTIBLE KEY_SIZE_RANGE",
    ),
    tell(
        "5.10",
        "no key",
        DIGEST_INIT,
        do("C_DigestUpdate"),
        last=do("C_DigestKey", key=NOWHERE),
        codes="KEY_HANDLE_INVALID ARGUMENTS_BAD OBJECT_HANDLE_INVALID",
    ),
    tell(
        "5.10",
        "after no key",
        DIGEST_INIT,
        do("C_DigestUpdate"),
        (do("C_DigestKey", key=5), CKR.KEY_HANDLE_INVALID),
        last=do("C_DigestFinal"),
        codes=f"OK {NOT_INITIALIZED}",
    ),
    tell("5.10", "the end", DIGEST_INIT, do("C_DigestUpdate"), last=do("C_DigestFinal"), codes="OK"),
    tell("5.10", "the end not begun", last=do("C_DigestFinal"), codes=NOT_INITIALIZED),
    # Signatures.
    tell("5.11", "not begun", last=SIGN, codes=NOT_INITIALIZED),
    tell("5.11", "once", SIGN_INIT, last=SIGN, codes="OK FUNCTION_REJECTED"),
    tell(
        "5.11",
        "into a short buffer",
        SIGN_INIT,
        last=do("C_Sign", buffer=SHORT),
        codes="BUFFER_TOO_SMALL FUNCTION_REJECTED OK",
    ),
    tell("5.11", "a part", SIGN_INIT, do("C_SignUpdate"), last=do("C_SignUpdate"), codes="OK"),
    tell(
        "5.11",
        "the end",
        SIGN_INIT,
        do("C_SignUpdate"),
        last=do("C_SignFinal"),
        codes="OK DATA_LEN_RANGE FUNCTION_REJECTED",
    ),
    tell(
        "5.11",
        "the end without a part",
        SIGN_INIT,
        last=do("C_SignFinal"),
        codes=f"OK OPERATION_ACTIVE {NOT_INITIALIZED} ARGUMENTS_BAD DATA_INVALID DATA_LEN_RANGE FUNCTION_REJECTED",
    ),
    tell("5.11", "what was signed", *SIGNED, VERIFY_INIT, last=do("C_Verify"), codes="OK"),
    tell("5.11", "what RSA signed", *RSA_SIGNED, RSA_VERIFY, last=do("C_Verify"), codes="OK"),
    tell(
        "5.11",
        "in another session",
        *SIGNED,
        replace(VERIFY_INIT, args=replace(VERIFY_INIT.args, session=1)),
        last=do("C_Verify", session=1),
        codes="OK",
    ),
    tell(
        "5.11",
        "by another mechanism",
        *RSA_SIGNED,
        VERIFY_INIT,
        last=do("C_Verify"),
        codes="OK SIGNATURE_INVALID SIGNATURE_LEN_RANGE",
    ),
    tell(
        "5.11",
        "what was forged",
        *RSA_SIGNED,
        RSA_VERIFY,
        last=do("C_Verify", signature=TAMPERED),
        codes="SIGNATURE_INVALID SIGNATURE_LEN_RANGE",
    ),
    tell("5.11", "what was cut", *SIGNED, VERIFY_INIT, last=do("C_Verify", signature=CUT), codes="SIGNATURE_LEN_RANGE"),
    tell(
        "5.11",
        "a verdict ends it",
        *SIGNED,
        VERIFY_INIT,
        (do("C_Verify", signature=CUT), CKR.SIGNATURE_LEN_RANGE),
        last=do("C_Verify"),
        codes=NOT_INITIALIZED,
    ),
    tell("5.11", "a part to verify", VERIFY_INIT, do("C_VerifyUpdate"), last=do("C_VerifyUpdate"), codes="OK"),
    tell(
        "5.11",
        "all to verify after a part",
        *SIGNED,
        VERIFY_INIT,
        do("C_VerifyUpdate"),
        last=do("C_Verify"),
        codes=f"OPERATION_ACTIVE {NOT_INITIALIZED} ARGUMENTS_BAD DATA_INVALID DATA_LEN_RANGE"
        " SIGNATURE_INVALID SIGNATURE_LEN_RANGE",
    ),
    tell(
        "5.11",
        "the verdict on parts",
        VERIFY_INIT,
        do("C_VerifyUpdate"),
        last=do("C_VerifyFinal"),
        codes="OK SIGNATURE_INVALID SIGNATURE_LEN_RANGE DATA_LEN_RANGE",
    ),
    tell(
        "5.11",
        "no signature",
        VERIFY_INIT,
        do("C_VerifyUpdate"),
        last=do("C_VerifyFinal", signature=Data.NULL),
        codes="ARGUMENTS_BAD SIGNATURE_INVALID SIGNATURE_LEN_RANGE DATA_LEN_RANGE",
    ),
    tell("5.11", "a signature to recover", RECOVERABLE[0], last=RECOVERABLE[1], codes="OK EXCEEDED_MAX_ITERATIONS"),
    tell("5.11", "recovery", *RECOVERABLE, RECOVER_INIT, last=do("C_VerifyRecover"), codes="OK"),
    tell(
        "5.11",
        "recovery of what was forged",
        *RECOVERABLE,
        RECOVER_INIT,
        last=do("C_VerifyRecover", signature=TAMPERED),
        codes="SIGNATURE_INVALID SIGNATURE_LEN_RANGE DATA_LEN_RANGE DATA_INVALID",
    ),
    # Dual functions.
    tell(
        "5.12",
        "one of two",
        ENCRYPT_INIT,
        last=do("C_DigestEncryptUpdate"),
        codes=NOT_INITIALIZED,
    ),
    tell(
        "5.12",
        "digest and encrypt",
        DIGEST_INIT,
        ENCRYPT_INIT,
        start=DUAL,
        last=do("C_DigestEncryptUpdate"),
        codes="OK",
    ),
    tell(
        "5.12",
        "decrypt and digest",
        DECRYPT_INIT,
        last=do("C_DecryptDigestUpdate"),
        start=DUAL,
        codes=NOT_INITIALIZED,
    ),
    tell("5.12", "sign and encrypt", last=do("C_SignEncryptUpdate"), codes=NOT_INITIALIZED),
    tell("5.12", "decrypt and verify", last=do("C_DecryptVerifyUpdate"), codes=NOT_INITIALIZED),
    # Searches.
    tell("5.7", "a search", last=do("C_FindObjectsInit"), codes="OK"),
    tell(
        "5.7",
        "a search for what cannot be",
        last=do("C_FindObjectsInit", want=Want.UNKNOWN_TYPE),
        codes="OK ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID ARGUMENTS_BAD",
    ),
    tell("5.7", "two searches", do("C_FindObjectsInit"), last=do("C_FindObjectsInit"), codes="OK OPERATION_ACTIVE"),
    tell("5.7", "found without a search", last=do("C_FindObjects"), codes=NOT_INITIALIZED),
    tell("5.7", "found", do("C_FindObjectsInit"), last=do("C_FindObjects"), codes="OK"),
    tell(
        "5.7", "nowhere to put it", do("C_FindObjectsInit"), last=do("C_FindObjects", null=True), codes="ARGUMENTS_BAD"
    ),
    tell(
        "5.7",
        "and then",
        do("C_FindObjectsInit"),
        (do("C_FindObjects", null=True), CKR.ARGUMENTS_BAD),
        last=do("C_FindObjects"),
        codes=f"OK {NOT_INITIALIZED}",
    ),
    tell(
        "5.7",
        "none wanted",
        do("C_FindObjectsInit"),
        last=do("C_FindObjects", many=Many.ZERO),
        codes="OK ARGUMENTS_BAD",
    ),
    tell("5.7", "the end", do("C_FindObjectsInit"), do("C_FindObjects"), last=do("C_FindObjectsFinal"), codes="OK"),
    tell(
        "5.7",
        "after the end",
        do("C_FindObjectsInit"),
        do("C_FindObjectsFinal"),
        last=do("C_FindObjectsFinal"),
        codes=NOT_INITIALIZED,
    ),
    # Random numbers and legacy functions.
    tell("5.14", "a seed", last=do("C_SeedRandom"), codes=f"OK RANDOM_SEED_NOT_SUPPORTED {UNWELL}"),
    tell(
        "5.14",
        "during an operation",
        DIGEST_INIT,
        last=do("C_GenerateRandom"),
        codes="OK OPERATION_ACTIVE FIPS_SELF_TEST_FAILED",
    ),
    tell(
        "5.14",
        "nowhere to put it",
        last=do("C_GenerateRandom", data=Data.NULL),
        codes="ARGUMENTS_BAD FIPS_SELF_TEST_FAILED",
    ),
    tell(
        "5.14",
        "no generator",
        start=WITHOUT_RNG,
        last=do("C_GenerateRandom"),
        codes="OK RANDOM_NO_RNG FIPS_SELF_TEST_FAILED",
    ),
    tell("5.15", "a legacy function", last=do("C_GetFunctionStatus"), codes="FUNCTION_NOT_PARALLEL"),
    tell(
        "5.15",
        "without a session",
        last=do("C_CancelFunction", session=3),
        codes="FUNCTION_NOT_PARALLEL SESSION_HANDLE_INVALID",
    ),
)


@pytest.mark.parametrize("story", STORIES, ids=lambda x: f"{x.last.function}-{x.title}")
def test_stories(story: Story) -> None:
    assert union(follow(story.start, story.steps), story.last) == story.codes


def test_every_function_is_told_of() -> None:
    assert {story.last.function for story in STORIES} == {f.name for f in MINE}


def test_text_and_versions_differ_where_they_do() -> None:
    (s,) = follow(USER_IN, (ENCRYPT_INIT, do("C_EncryptUpdate")))
    assert OK in permitted(build(Version.V2_01), s, ENCRYPT)
    assert OK in permitted(build(readings={"A-11": "any"}), s, ENCRYPT)
    (s,) = follow(USER_IN, (DIGEST_INIT,))
    assert OK in permitted(build(readings={"A-39": "any"}), s, do("C_Digest", buffer=SHORT))


def test_a_callback_that_cancels_ends_the_operation() -> None:
    (s,) = follow(CANCELLING, (DIGEST_INIT, (DIGEST, CKR.FUNCTION_CANCELED)))
    assert s == CANCELLING
    assert not in_scope(MODEL, s, do("C_Digest", buffer=SHORT))


def test_what_stands_beside_on_a_token_with_dual_functions_is_not_displaced() -> None:
    (s,) = follow(DUAL, (DIGEST_INIT, ENCRYPT_INIT))
    assert s.sessions[0].operations.digest.phase == s.sessions[0].operations.encrypt.phase == Phase.READY
    assert len(follow(USER_IN, (DIGEST_INIT, ENCRYPT_INIT))) == 2
    assert len(follow(DUAL, (SIGN_INIT, VERIFY_INIT))) == 2


def test_an_init_that_fails_may_displace_too() -> None:
    after = follow(USER_IN, (DIGEST_INIT, (do("C_EncryptInit", key=NOWHERE), CKR.KEY_HANDLE_INVALID)))
    assert union(after, DIGEST) == {OK, CKR.OPERATION_NOT_INITIALIZED}


def test_a_key_destroyed_during_an_operation_may_be_missed_or_not() -> None:
    """A-20."""
    (s,) = follow(USER_IN, (ENCRYPT_INIT,))
    assert permitted(MODEL, put_object(s, AES, Object()), ENCRYPT) == {
        OK,
        CKR.KEY_HANDLE_INVALID,
        CKR.OBJECT_HANDLE_INVALID,
        CKR.USER_NOT_LOGGED_IN,
        CKR.OPERATION_NOT_INITIALIZED,
    }


def test_a_handle_of_another_token_is_out_of_scope() -> None:
    s = put_object(USER_IN, AES, Object(True, True, Kind.AES, slot=1))
    assert not in_scope(MODEL, s, ENCRYPT_INIT)
    assert in_scope(MODEL, USER_IN, ENCRYPT_INIT)


# What is kept, and what comes out.


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        ((ENCRYPT_INIT, ENCRYPT), Kept(True, Mech.AES_ECB, AES)),
        ((ENCRYPT_INIT, do("C_Encrypt", data=Data.EMPTY)), Kept(False, Mech.AES_ECB, AES)),
        ((ENCRYPT_INIT, do("C_Encrypt", buffer=QUERY)), Kept()),
        ((ENCRYPT_INIT, do("C_EncryptUpdate"), do("C_EncryptFinal")), Kept(False, Mech.AES_ECB, AES)),
    ],
)
def test_the_ciphertext_that_is_kept(steps: tuple[Call, ...], kept: Kept) -> None:
    assert {s.ciphertext for s in follow(USER_IN, steps)} == {kept}


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        (RSA_SIGNED, Kept(True, Mech.RSA_PKCS, RSA_PRIVATE)),
        (RECOVERABLE, Kept(True, Mech.RSA_PKCS, RSA_PRIVATE)),
        ((SIGN_INIT, do("C_Sign", data=Data.ODD)), Kept(False, Mech.SHA256_HMAC, SECRET)),
        ((SIGN_INIT, do("C_SignUpdate"), do("C_SignFinal")), Kept(False, Mech.SHA256_HMAC, SECRET)),
    ],
)
def test_the_signature_that_is_kept(steps: tuple[Call, ...], kept: Kept) -> None:
    assert {s.signature for s in follow(USER_IN, steps)} == {kept}


@pytest.mark.parametrize(
    ("steps", "lengths"),
    [
        ((DIGEST_INIT, DIGEST), {m.facts.digest for m in with_role(Role.DIGEST)}),
        ((ENCRYPT_INIT, ENCRYPT), {32}),
        ((do("C_EncryptInit", mechanism=Mech.AES_CBC_PAD), ENCRYPT), {48}),
        ((ENCRYPT_INIT, do("C_Encrypt", data=Data.EMPTY)), set()),
        (SIGNED, {32}),
        (RSA_SIGNED, {256}),
    ],
)
def test_lengths(steps: tuple[Call, ...], lengths: set[int]) -> None:
    (s,) = follow(USER_IN, steps)
    assert set(dict(outputs(MODEL, s, steps[-1], OK))["length"]) == lengths


def found(s: State, call: Call) -> dict[str, tuple[int, ...]]:
    return {name: tuple(values) for name, values in outputs(MODEL, s, call, OK)}


def test_a_fresh_search_finds_what_the_session_sees() -> None:
    mine = Object(True, False, Kind.DATA, token=True)
    private, elsewhere = replace(mine, private=True), replace(mine, slot=1)
    start = replace(NOBODY_IN, objects=(Object(), mine, private, elsewhere))
    find, fetch = do("C_FindObjectsInit"), do("C_FindObjects")
    (s,) = follow(start, (find, fetch))
    assert found(s, fetch) == {"found": (0b0010,), "strangers": (0,), "count": ()}
    assert [x.known for x in s.objects] == [False, True, False, False]
    together = follow(put_slot(start, 0, Slot(login=Login.USER)), (find, fetch))
    s, *batches = sorted(together, key=lambda x: x.sessions[0].operations.search != Search.DRAINED)
    assert found(s, fetch)["found"] == (0b0110,)
    assert {mask for x in batches for mask in found(x, fetch)["found"]} == {0b0010, 0b0100, 0b0110, -1}, (
        "-1: none is known"
    )
    (s,) = follow(s, (fetch,))
    assert found(s, fetch)["found"] == ()


@pytest.mark.parametrize(
    "steps",
    [(do("C_FindObjectsInit", want=Want.NOTHING),), (do("C_FindObjectsInit"), do("C_FindObjects", many=Many.ONE))],
)
def test_what_other_searches_find_is_not_followed(steps: tuple[Call, ...]) -> None:
    fetch = do("C_FindObjects")
    (s,) = follow(USER_IN, (*steps, fetch))
    assert found(s, fetch)["found"] == ()
    unknown = put_object(USER_IN, AES, Object(True, False, Kind.AES, token=True))
    assert not in_scope(MODEL, next(iter(follow(unknown, steps))), fetch)


def test_few_handles() -> None:
    (s,) = follow(USER_IN, (do("C_FindObjectsInit"),))
    assert [found(s, do("C_FindObjects", many=many))["count"] for many in (Many.ZERO, Many.ONE)] == [(0,), (0, 1)]


# What other chapters do to operations.


def test_all_operations_of_a_token_end_at_once() -> None:
    both = follow(USER_IN, (ENCRYPT_INIT, do("C_DigestInit", mechanism=Mech.SHA256, **OTHER_SESSION)))
    assert {end_all_operations(s, 0) for s in both} == {USER_IN}
    assert {end_all_operations(s, 1) for s in both} == both


def test_searches_under_way_lose_their_certainty() -> None:
    (s,) = follow(USER_IN, (do("C_FindObjectsInit"),))
    assert unsettle_searches(s).sessions[0].operations.search == Search.UNSURE
    assert unsettle_searches(USER_IN) == USER_IN


def test_outputs_are_forgotten_with_their_keys() -> None:
    (s,) = follow(USER_IN, SIGNED)
    assert forget_outputs(s) == USER_IN


def test_the_number_of_a_lost_key_is_taken_while_an_operation_goes_by_it() -> None:
    (s,) = follow(AES_GONE, (SIGN_INIT,))
    assert [lost_key_in_use(s, k) for k in (AES, SECRET)] == [False, True]
    digesting = Operations(digest=Operation(Phase.READY, Mech.SHA256, AES))
    assert not lost_key_in_use(put_session(USER_IN, 0, Session(True, 0, True, digesting)), AES)


def test_kinds_of_operation_are_those_of_the_state() -> None:
    assert {k.field for k in ACTIVITIES} == {*Operations.__slots__} - {"search", "process", "judged"}
