"""The table against itself and against the lists of return values."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from conftest import CORE, codes, every_call, restricted

from p11conform.model.call import ARGUMENT_NAMES, Args
from p11conform.model.chapters.messages import MESSAGINGS
from p11conform.model.chapters.operations import ACTIVITIES
from p11conform.model.decide import forbids_ok
from p11conform.model.environment import IN_CHILD, LOCKED, OF_SESSIONS, OF_SLOTS
from p11conform.model.interface import COVERED, SIGNATURES
from p11conform.model.interpretations import INTERPRETATIONS, resolve
from p11conform.model.oracle import Model, build, permitted
from p11conform.model.precedence import EITHER_READING, RELATIONS
from p11conform.model.rule import Function, Rule
from p11conform.model.state import (
    Judged,
    Kept,
    Kind,
    Login,
    Mech,
    Messages,
    Object,
    Operation,
    Operations,
    Origin,
    Phase,
    Process,
    Saved,
    Search,
    Session,
    Slot,
    State,
)
from p11conform.model.table import CHAPTERS, TABLE
from p11conform.model.vocabulary import CKR, Version

V2_01 = Version.V2_01
LISTED_IN = COVERED

OFF_LIST = {
    ("C_Initialize", CKR.FIPS_SELF_TEST_FAILED, "not initialized"): "A-55",
    ("C_Initialize", CKR.LIBRARY_LOAD_FAILED, "not initialized"): "A-55",
    ("C_Login", CKR.SESSION_READ_ONLY, "so login through read only session"): "A-58",
    ("C_InitToken", CKR.PIN_LEN_RANGE, "so pin length illegal"): "A-08: no list has a code for a bad SO PIN",
    ("C_InitToken", CKR.PIN_LEN_RANGE, "pin null"): "A-31: the same",
    ("C_InitToken", CKR.PIN_INVALID, "pin null"): "A-31: the same",
    ("C_InitToken", CKR.PIN_INVALID, "so pin chosen"): "A-08",
    ("C_InitToken", CKR.PIN_TOO_WEAK, "so pin chosen"): "A-55: 5.1.6 has the code since v2.40, no list has it",
    ("C_InitPIN", CKR.PIN_TOO_WEAK, "new pin given"): "A-55",
    ("C_InitPIN", CKR.PIN_INCORRECT, "new pin null"): "A-31",
    ("C_InitPIN", CKR.PIN_INCORRECT, "new pin missing"): "A-31",
    ("C_InitPIN", CKR.PIN_EXPIRED, "pin to be changed"): "3.2: any function that needs a user",
    ("C_GetOperationState", CKR.PIN_EXPIRED, "pin to be changed"): "3.2: the same",
    ("C_SetOperationState", CKR.PIN_EXPIRED, "pin to be changed"): "3.2: the same",
    ("C_SetPIN", CKR.PIN_TOO_WEAK, "new pin given"): "A-55",
    ("C_SetPIN", CKR.USER_NOT_LOGGED_IN, "nobody logged in"): "v2.01 bars the R/W public session",
    ("C_SetPIN", CKR.USER_NOT_LOGGED_IN, "user pin unset"): "A-10",
    ("C_SetPIN", CKR.USER_PIN_NOT_INITIALIZED, "user pin unset"): "A-10",
    ("C_SetPIN", CKR.USER_NOT_LOGGED_IN, "user pin not wanted"): "A-10",
    ("C_SetPIN", CKR.USER_PIN_NOT_INITIALIZED, "user pin not wanted"): "A-10",
    ("C_SetOperationState", CKR.KEY_HANDLE_INVALID, "key handle made up"): "5.1.6: the handle is not valid",
    ("C_SetOperationState", CKR.KEY_HANDLE_INVALID, "saved key lost"): "A-20",
    ("C_Login", CKR.USER_NOT_LOGGED_IN, "context specific and nobody"): "A-32",
    ("C_CloseAllSessions", CKR.ARGUMENTS_BAD, "slot id invalid"): "A-60: all others with a slot list it",
    ("C_DigestInit", CKR.OPERATION_NOT_INITIALIZED, "digesting not active and no mechanism"): "v3.0: nothing to cancel",
}
"""Rows of the core whose code is missing from the function's list in some version that they hold in, with the reason.

Those of the other chapters follow, told by their conditions; KIND stands for a kind of operation.
"""

KINDS = "|".join(sorted({k.noun for k in (*ACTIVITIES, *MESSAGINGS)}))

OFF_LIST_ELSEWHERE = {
    "key of KIND lost": (
        "KEY_HANDLE_INVALID OBJECT_HANDLE_INVALID USER_NOT_LOGGED_IN OPERATION_NOT_INITIALIZED",
        "A-20",
    ),
    "KIND without the user": ("USER_NOT_LOGGED_IN", "A-33"),
    "KIND in parts by a mechanism without parts": (
        "OPERATION_ACTIVE MECHANISM_INVALID KEY_TYPE_INCONSISTENT KEY_FUNCTION_NOT_PERMITTED DATA_INVALID"
        " SIGNATURE_INVALID SIGNATURE_LEN_RANGE",
        "no code is for it",
    ),
    "KIND begun without an update": ("OPERATION_ACTIVE DATA_INVALID", "A-11"),
    "KIND at once after parts|KIND at once asked for": ("OPERATION_ACTIVE", "A-11"),
    "length of KIND at once asked after parts": ("OPERATION_ACTIVE", "A-11"),
    "KIND and KIND active without dual functions": ("OPERATION_ACTIVE MECHANISM_INVALID", "5.12 has no code for it"),
    "pointer null": (
        "ARGUMENTS_BAD OPERATION_NOT_INITIALIZED OPERATION_CANCEL_FAILED",
        "A-27: C_EncryptInit alone does not list it; A-76: three Inits of messages are silent",
    ),
    "no mechanism and no session": ("ARGUMENTS_BAD", "C_EncryptInit alone does not list it, and C_MessageEncryptInit"),
    "mechanism invalid|mechanism unlisted|mechanism not for KIND": ("ARGUMENTS_BAD", "A-60"),
    "key invalid and no mechanism": ("OBJECT_HANDLE_INVALID", "A-23"),
    "key type not for KIND|other half of pair given for KIND": ("ARGUMENTS_BAD", "A-60"),
    "key and mechanism not for KIND|key of a kind not meant for KIND": ("ARGUMENTS_BAD", "A-60"),
    "key not permitted for KIND": ("ARGUMENTS_BAD", "A-60"),
    "user required but absent": ("USER_NOT_LOGGED_IN", "5.1.6: cryptography may want the user, whatever is done"),
    "KIND by a public-key mechanism": ("EXCEEDED_MAX_ITERATIONS", "A-55: 5.1.6 names signing"),
    "public key given for KIND": ("PUBLIC_KEY_INVALID", "A-55: 5.1.6 names the functions"),
    "parameter (not wanted|perhaps unsupported|wrong)": ("ARGUMENTS_BAD", "A-26: the same"),
    "point invalid": ("PUBLIC_KEY_INVALID", "5.1.6: the public key is in the parameter"),
    "key usage denied": ("KEY_FUNCTION_NOT_PERMITTED KEY_TYPE_INCONSISTENT", "A-07"),
    "mechanism not allowed": ("KEY_FUNCTION_NOT_PERMITTED ARGUMENTS_BAD", "A-119, A-60: no code is named for it"),
    "key hidden|object hidden": ("USER_NOT_LOGGED_IN", "A-12"),
    "user absent": ("USER_NOT_LOGGED_IN", "A-80: C_DestroyObject and C_SetAttributeValue write as the others do"),
    "pin to be changed|private object while pin to be changed": (
        "PIN_EXPIRED",
        "3.2: any function that needs the login; C_SetAttributeValue writes as the others do",
    ),
    "object invalid": ("ARGUMENTS_BAD", "A-60: C_DestroyObject alone does not list it"),
    "key invalid": ("KEY_HANDLE_INVALID OBJECT_HANDLE_INVALID ARGUMENTS_BAD", "A-23"),
    "other key invalid": ("OBJECT_HANDLE_INVALID", "A-23"),
    "key of a kind not meant for ((authenticated )?(un)?wrapping|deriving|(en|de)capsulation)": (
        "KEY_FUNCTION_NOT_PERMITTED",
        "5.1.6: the attribute is not there",
    ),
    "public key given": ("PUBLIC_KEY_INVALID", "5.1.6 names the function"),
    "session invalid": ("SESSION_HANDLE_INVALID", "A-37: v2.01 lists it for no legacy function"),
    "copy less protected|copy not plain|template flawed": (
        "TEMPLATE_INCOMPLETE",
        "A-13: C_CopyObject lists all template codes but that",
    ),
    "KIND not active and no mechanism|no process of KIND and no mechanism": (
        "ARGUMENTS_BAD OPERATION_NOT_INITIALIZED",
        "v3.0 has no mechanism end what is active, and no code for nothing being so",
    ),
    "no process of KIND": ("OPERATION_NOT_INITIALIZED", "5.1.6: by its definition; v3.2 lists it everywhere"),
    "KIND at once in the middle of one|length of KIND at once asked in the middle of one": (
        "OPERATION_ACTIVE OPERATION_NOT_INITIALIZED",
        "A-73",
    ),
    "KIND in the middle of one": ("OPERATION_ACTIVE", "A-77: v3.2 lists it for the Finals"),
    "process of KIND active": (
        "ARGUMENTS_BAD MECHANISM_INVALID KEY_TYPE_INCONSISTENT KEY_FUNCTION_NOT_PERMITTED OPERATION_NOT_INITIALIZED",
        "CKF_MULTI_MESSAGE has no code for a mechanism without it",
    ),
    "parameter (wrong|not wanted) for KIND|parameter of KIND perhaps unsupported": (
        "MECHANISM_PARAM_INVALID ARGUMENTS_BAD",
        "A-26; v3.2 lists the first",
    ),
    "session invalid for (flags|nothing)": ("SESSION_HANDLE_INVALID", "5.1.2: C_SessionCancel alone does not list it"),
    "flag unknown": ("ARGUMENTS_BAD", "A-88"),
    "validation type unknown": ("ARGUMENTS_BAD", "A-118"),
    "first signature not whole": ("SIGNATURE_LEN_RANGE SIGNATURE_INVALID", "A-110"),
    "key not for the mechanism of (authenticated (un)?wrapping|decapsulation)": ("KEY_TYPE_INCONSISTENT", "A-111"),
    "sealed (broken|not known to be right)": ("AEAD_DECRYPT_FAILED", "A-112"),
    "capsule does not fit|capsule asked": ("BUFFER_TOO_SMALL", "the prose of C_EncapsulateKey has it; A-113"),
    "capsule not known to be right": ("ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE", "A-114"),
    "function unknown": ("FUNCTION_NOT_SUPPORTED ARGUMENTS_BAD", "A-115"),
    "nothing pending": ("OPERATION_NOT_INITIALIZED SESSION_ASYNC_NOT_SUPPORTED ARGUMENTS_BAD", "A-115, A-116"),
    "context specific and nobody|so login through read only session": (
        "USER_NOT_LOGGED_IN SESSION_READ_ONLY",
        "A-32 and A-58: C_LoginUser is as C_Login",
    ),
    "session valid": (
        "TEMPLATE_INCOMPLETE EXCEEDED_MAX_ITERATIONS FIPS_SELF_TEST_FAILED",
        "A-13, A-55: what the token may hold against any template, or meet in any generation",
    ),
}

OF_EVERY_FUNCTION = {CKR.TOKEN_NOT_INITIALIZED}
"""A code that 5.1.3 of v3.2 gives to every function of its class, and no list has."""

FIRM_OFF_LIST = {
    "pointer null",
    "parameter wrong",
    "key usage denied",
    "new pin missing",
    "context specific and nobody",
    "nobody logged in",
    "user pin unset",
    "verification at once after parts",
    "verification of a given signature at once after parts",
    "sealed broken",
    "session invalid for flags",
    *(f"parameter wrong for {kind}crypting messages" for kind in ("en", "de")),
    *(f"no process of {m.noun}" for m in MESSAGINGS),
    *(f"{m.noun} at once in the middle of one" for m in MESSAGINGS),
    *(f"{kind} at once after parts" for kind in ("encryption", "decryption", "digesting", "signing")),
}
"""Conditions among them that forbid success, as some code must stand for them."""


def rows_off_list() -> list[tuple[Function, Rule]]:
    return [
        (f, r)
        for f in TABLE.values()
        for r in f.rules
        if any(
            r.since <= v <= r.until
            and v in f.signature.listed
            and r.code not in f.signature.listed[v]
            # v2.01 defines that code for every function, and names it in the lists of two.
            and not (v is V2_01 and r.code is CKR.ARGUMENTS_BAD)
            for v in LISTED_IN
        )
        and r.code not in OF_EVERY_FUNCTION
        # No list but those of C_OpenSession and C_Login has a code for tokens that were never initialised.
        and r.condition != "token of session uninitialized"
    ]


def test_codes_off_the_lists_are_those_with_a_reason() -> None:
    assert {(f.name, r.code, r.condition) for f, r in rows_off_list() if f.name in CORE} == set(OFF_LIST)
    reasons = {re.compile(text.replace("KIND", f"({KINDS})")): codes(x) for text, (x, _) in OFF_LIST_ELSEWHERE.items()}
    found: dict[re.Pattern[str], set[CKR]] = {pattern: set() for pattern in reasons}
    for f, r in rows_off_list():
        if f.name not in CORE:
            (pattern,) = (x for x in reasons if x.fullmatch(r.condition))
            found[pattern].add(r.code)
    assert found == reasons


def test_few_codes_off_the_lists_are_firm() -> None:
    assert {r.condition for _, r in rows_off_list() if forbids_ok(r)} == FIRM_OFF_LIST


def test_every_function_of_the_standard_is_in_its_chapter_once() -> None:
    assert set(TABLE) == set(SIGNATURES)
    assert [len(build(v).functions) for v in COVERED] == [68, 68, 68, 92, 92, 104]
    assert all(name == f.name for name, f in TABLE.items())
    assert sum(len(chapter.FUNCTIONS) for chapter in CHAPTERS) == len(TABLE)
    later = {f.signature.section for f in TABLE.values() if not f.signature.since <= Version.V2_40}
    assert later == {
        *(f"5.{n} of v3.0" for n in (4, 6, 9, 11, 14, 16)),
        *(f"5.{n} of v3.2" for n in (6, 15, 18, 21)),
    }
    sections = [{f.signature.section for f in chapter.FUNCTIONS} - later for chapter in CHAPTERS]
    ciphers, one_section = {"5.8", "5.9"}, [x for x in sections if len(x) == 1]
    assert [x for x in sections if len(x) > 1] == [ciphers]
    assert set[str]().union(*one_section) | ciphers == {f"5.{n}" for n in range(4, 16)}


def test_sections_are_well_formed() -> None:
    given = {
        x.place for f in TABLE.values() for rows in (f.rules, f.effects, f.outputs) for x in cast(tuple[Any], rows)
    } | {r.section for r in RELATIONS}
    assert given
    assert [s for s in given if not re.fullmatch(r"[2-5](\.\d{1,2}){1,2}( .+)?", s)] == ["5"], "what no call may do"


def test_no_row_stands_twice() -> None:
    for f in TABLE.values():
        for version in LISTED_IN:
            rows = [(r.code, r.when, r.strength) for r in f.rules if r.since <= version <= r.until]
            assert len(rows) == len(set(rows)), f.name


ABOUT_SEQUENCES = {
    "A-00": "the strength SHOULD, not a row",
    "A-03": "a stub is judged beside the table",
    "A-02": "the orders that are recommended, not a row",
}
"""Interpretations that no row, effect or relation names, with what stands for them."""


def test_interpretations_exist_and_are_used() -> None:
    named = (
        {r.reading for f in TABLE.values() for r in f.rules}
        | {e.reading for f in TABLE.values() for e in f.effects}
        | {r.only_under[0] for r in RELATIONS if r.only_under}
        | {r.reading for r in (*OF_SESSIONS, *OF_SLOTS, *IN_CHILD, *LOCKED.values())}
        | {EITHER_READING[0]}
    ) - {None}
    assert set(INTERPRETATIONS) - named == set(ABOUT_SEQUENCES)
    assert named <= set(INTERPRETATIONS)


def test_readings_that_relations_name_exist() -> None:
    for r in RELATIONS:
        if r.only_under:
            id, reading = r.only_under
            resolve({id: reading})


@pytest.mark.parametrize("bad", [{"A-99": "any"}, {"A-01": "backwards"}])
def test_unknown_readings_are_refused(bad: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        build(readings=bad)


# What a function reads of its arguments, seen by a recording stand-in for them.

_READY = Operations(
    encrypt=Operation(Phase.READY, Mech.AES_CBC, 0),
    decrypt=Operation(Phase.READY, Mech.RSA_PKCS, 4),
    digest=Operation(Phase.READY, Mech.SHA256),
    sign=Operation(Phase.READY, Mech.SHA256_RSA_PKCS, 4),
    sign_recover=Operation(Phase.READY, Mech.RSA_X_509, 4),
    verify=Operation(Phase.READY, Mech.SHA256_HMAC, 1),
    verify_recover=Operation(Phase.READY, Mech.RSA_PKCS, 3),
    verify_signature=Operation(Phase.READY, Mech.SHA256_HMAC, 1),
    judged=Judged.TAMPERED,
    search=Search.FRESH,
)
_OBJECTS = tuple(
    Object(True, True, kind)
    for kind in (Kind.AES, Kind.GENERIC_SECRET, Kind.DATA, Kind.RSA_PUBLIC, Kind.RSA_PRIVATE, Kind.EC_PRIVATE)
)
_CAPSULE = tuple(
    Object(True, True, kind, origin=Origin.GENERATED) for kind in (Kind.ML_KEM_PUBLIC, Kind.ML_KEM_PRIVATE)
)
_FREE = (Object(),) * 2
_KEPT = tuple(Kept(True, mech, 0, Kind.AES) for mech in (Mech.AES_CBC, Mech.SHA256_HMAC, Mech.AES_KEY_WRAP))

SCOPES = [
    State(
        initialized=True,
        slots=(
            Slot(login=login, initialized=initialized, shared=True, session_limit=2, protected_path=protected),
            Slot(present=False),
            Slot(recognized=False),
        ),
        sessions=(Session(True, 0, rw, operations), Session(), Session()),
        objects=objects,
        saved=Saved(True, 0, rw, login, _READY),
        ciphertext=_KEPT[0],
        signature=_KEPT[1],
        wrapped=_KEPT[2],
        message=Kept(True, Mech.AES_GCM, 0),
        sealed=Kept(True, Mech.AES_GCM, 0, Kind.AES),
        capsule=Kept(True, Mech.ML_KEM, 0, Kind.AES),
    )
    for objects in ((*_OBJECTS, *_FREE), ())
    for login in (Login.USER, Login.NOBODY, Login.SO)
    for initialized in (True, False)
    for rw in (True, False)
    for operations in (Operations(), _READY)
    for protected in (False, True)
]
SCOPES.append(replace(SCOPES[0], objects=(*_CAPSULE, *_FREE)))
SCOPES += [
    replace(SCOPES[0], sessions=(Session(True, 0, True, Operations(process=process)), Session(), Session()))
    for kind, mech, key in (
        (Messages.ENCRYPT, Mech.AES_GCM, 0),
        (Messages.DECRYPT, Mech.AES_GCM, 0),
        (Messages.SIGN, Mech.SHA256_HMAC, 1),
        (Messages.VERIFY, Mech.SHA256_HMAC, 1),
    )
    for process in (Process(kind, False, mech, key), Process(kind, True, mech, key))
]


class Recorder:
    """Arguments that remember which of them were read."""

    def __init__(self, args: Args, read: set[str]) -> None:
        self._args, self._read = args, read

    def __getattr__(self, name: str) -> Any:
        self._read.add(name)
        return getattr(self._args, name)


def fields_read(f: Function, model: Model) -> set[str]:
    read: set[str] = set()
    conditions: list[Callable[[State, Args], Any]] = [r.when for r in f.rules]
    for s in SCOPES:
        for call in every_call(restricted(model, {f.name}), s):
            a = cast(Args, Recorder(call.args, read))
            for condition in conditions:
                condition(s, a)
            allowed = permitted(model, s, call)
            for e in f.effects:
                if e.on & allowed:
                    s_after = e.change(s, a)
                    for output in f.outputs if CKR.OK in e.on else ():
                        output.permitted(s_after, a)
            if CKR.OK in allowed and not f.effects:
                for output in f.outputs:
                    output.permitted(s, a)
        if read == set(f.uses):
            break
    return read


@pytest.mark.parametrize("name", TABLE)
def test_uses_names_what_the_rows_read(name: str, newest: Model) -> None:
    f = TABLE[name]
    assert set(f.uses) <= set(ARGUMENT_NAMES)
    assert fields_read(f, newest) == set(f.uses)


@pytest.fixture(scope="module")
def newest() -> Model:
    return build(COVERED[-1])


@pytest.mark.parametrize("name", TABLE)
def test_scope_depends_on_what_uses_names(name: str) -> None:
    """The PIN that a function does not have is read too, and is never NULL."""
    f = TABLE[name]
    read: set[str] = set()
    for s in SCOPES:
        f.out_of_scope(s, cast(Args, Recorder(Args(), read)))
    assert read <= {*f.uses, "pin", "new_pin"}


def test_a_row_can_be_dropped(model: Model) -> None:
    f = model.functions["C_Logout"]
    mutant = model.without("C_Logout", f.rules[-1])
    assert mutant.functions["C_Logout"].rules == f.rules[:-1]
    assert model.functions["C_Logout"] == f
