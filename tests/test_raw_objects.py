"""The raw adapter's objects, operations and keys: against scripted functions in place of a module, and on SoftHSM."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import pytest

from p11conform.adapters import material, values
from p11conform.adapters import raw as raw_module
from p11conform.adapters.base import Binding, run
from p11conform.adapters.calls.sessions import NO_SUCH_KEY
from p11conform.adapters.calls.table import CALLS
from p11conform.adapters.cryptoki import UNAVAILABLE_INFORMATION, ffi, new
from p11conform.adapters.handles import Issued
from p11conform.adapters.isolated import measure_isolated
from p11conform.adapters.modules import module, softhsm2
from p11conform.adapters.objects import CHANGED, Entry, Objects
from p11conform.adapters.parameters import MECHANISM
from p11conform.adapters.raw import Raw
from p11conform.adapters.templates import CKA, FALSE, TRUE, UNKNOWN_TYPE, Way, flawed, number, template
from p11conform.model.attributes import CLASS_NUMBERS, CREATED, GUARDED_KEYS, KEYS
from p11conform.model.call import (
    ARGUMENT_NAMES,
    Args,
    Attribute,
    Buffer,
    Call,
    Data,
    Flaw,
    Many,
    Misuse,
    Parameter,
    Setting,
    StateKey,
    domain,
)
from p11conform.model.interface import SIGNATURES
from p11conform.model.mechanisms import MECHANISMS, Role, with_role
from p11conform.model.state import Kind, Mech, Object, Pin, Slot, State, Trait
from p11conform.model.vocabulary import CKR, Version

Scripted = Callable[..., Raw]
PINS = {"SO": b"12345678", "USER": b"1234", "OTHER": b"567890", "WRONG": b"99999999"}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """An adapter whose module is the functions given; the others return CKR_OK and do nothing."""

    def make(**functions: Callable[..., int]) -> Raw:
        listed = {name: functions.get(name, lambda *_: CKR.OK) for name in SIGNATURES}
        monkeypatch.setattr(raw_module, "load", lambda *_: listed)
        return Raw("scripted", Binding((5, 9), pins=PINS))

    return make


def test_every_function_of_the_interface_can_be_called() -> None:
    assert set(CALLS) == set(SIGNATURES)


# Which objects there are.

PUBLIC, PRIVATE = (Entry(Kind.AES, 0, None, private, b"token") for private in (False, True))
SESSION, SECRET, ELSEWHERE = (
    Entry(Kind.AES, slot, owner, private, b"session")
    for slot, owner, private in ((0, 0, False), (0, 1, True), (1, 2, False))
)
OPEN = {0: 0, 1: 0, 2: 1}
ENDINGS = [
    (lambda o: o.destroyed(1), {0, 2, 3, 4}, {0, 2, 3, 4}),
    (lambda o: o.sessions_closed({1: 0, 2: 1}), {0, 1, 3, 4}, {0, 1, 3, 4}),
    (lambda o: o.sessions_closed({2: 1}), {0, 1, 4}, {4}),
    (lambda o: o.sessions_closed({0: 0, 1: 0}), {0, 1, 2, 3}, {0, 1, 2, 3}),
    (lambda o: o.logged_out(0), {0, 1, 2, 4}, {0, 2, 4}),
    (lambda o: o.logged_out(1), {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}),
    (lambda o: o.finalized(), {0, 1}, set()),
    (lambda o: o.token_initialized(0), {4}, {4}),
    (lambda o: o.restored(), set(), set()),
]


@pytest.mark.parametrize(("event", "exist", "known"), ENDINGS)
def test_objects_end_and_handles_are_lost(event: Callable[[Objects], None], exist: set[int], known: set[int]) -> None:
    objects = Objects(5)
    for handle, entry in enumerate((PUBLIC, PRIVATE, SESSION, SECRET, ELSEWHERE), start=50):
        objects.made((handle, entry))
    event(objects)
    assert set(objects.known()) == known
    gone = sorted({*range(5)} - exist)
    for expected in (*gone, 6):
        objects.made((90 + expected, PUBLIC))
        assert objects.handle(expected) == 90 + expected


def test_object_handles_are_forged_live_then_stale() -> None:
    objects = Objects(2)
    forged = objects.handle(0)
    assert objects.made((41, PUBLIC)) is Issued.FRESH
    assert objects.handle(0) == 41
    objects.destroyed(0)
    assert objects.handle(0) == 41
    assert objects.handle(2) == 0
    objects.made((42, PUBLIC))
    assert objects.made((42, PUBLIC)) is Issued.DUPLICATE
    objects.destroyed(0)
    assert objects.handle(0) not in (0, 42)
    assert forged not in (0, 41, objects.handle(1))
    assert objects.made((0, PUBLIC)) is Issued.ZERO
    assert Objects(5).made((7, PUBLIC), (7, PRIVATE)) is Issued.DUPLICATE


def test_an_object_with_handle_0_goes_on_being_usable() -> None:
    objects = Objects(2)
    assert objects.made((0, PUBLIC)) is Issued.ZERO
    objects.made((41, PUBLIC))
    assert [objects.handle(0), objects.handle(1)] == [0, 41]
    assert objects.handle(2) not in (0, 41)
    objects.destroyed(0)
    assert [objects.handle(0), objects.handle(2)] == [0, 0]


def _labelled(objects: Objects, handle: int, label: bytes) -> None:
    objects.made((handle, Entry(Kind.DATA, 0, None, False, label)))


def test_a_search_finds_objects_by_label_and_counts_strangers() -> None:
    objects = Objects(5)
    first, second, failed = (objects.new_label() for _ in range(3))
    earlier = Objects(5).new_label()
    _labelled(objects, 50, first)
    _labelled(objects, 51, second)
    objects.finalized()
    assert objects.known() == {}
    listed = [(8, b"somebody's"), (70, first + CHANGED), (71, failed), (72, b""), (73, earlier), (74, first)]
    assert objects.find(listed, 0) == (0b01, 2)
    assert [objects.handle(i) for i in range(2)] == [70, 51]
    assert set(objects.known()) == {0}
    assert objects.find([(74, second)], 0) == (0b10, 0)
    objects.restored()
    assert objects.find([(70, first), (71, failed)], 0) == (0, 0)


def test_copies_with_one_label_are_told_apart_by_handle() -> None:
    objects = Objects(5)
    label = objects.new_label()
    for handle in (50, 51):
        _labelled(objects, handle, label)
    assert objects.find([(51, label)], 0) == (0b10, 0)
    assert objects.find([(51, label), (50, label), (52, label)], 0) == (0b11, 1)


# What a call makes of its arguments.


@pytest.mark.parametrize("way", [x for x in Way if x not in (Way.ENCAPSULATE, Way.DECAPSULATE)])
@pytest.mark.parametrize("kind", CREATED)
@pytest.mark.parametrize("trait", Trait)
def test_templates_say_what_the_object_shall_be(way: Way, kind: Kind, trait: Trait) -> None:
    made = template(way, kind, b"label", token=True, private=False, trait=trait)
    said = dict(made)
    assert len(said) == len(made)
    assert (said[CKA.TOKEN], said[CKA.PRIVATE], said[CKA.LABEL]) == (TRUE, FALSE, b"label")
    assert said[CKA.CLASS] == number(dict(CLASS_NUMBERS)[kind])
    usage = {said[u] for u in range(CKA.ENCRYPT, CKA.DERIVE + 1) if u in said}
    keys = kind in KEYS
    assert usage == ({FALSE if trait is Trait.NO_USAGE else TRUE} if keys else set())
    guarded = kind in GUARDED_KEYS
    assert said.get(CKA.SENSITIVE) == ((TRUE if trait is Trait.SENSITIVE else FALSE) if guarded else None)
    assert said.get(CKA.EXTRACTABLE) == ((FALSE if trait is Trait.UNEXTRACTABLE else TRUE) if guarded else None)
    policy = {CKA.MODIFIABLE: Trait.UNMODIFIABLE, CKA.COPYABLE: Trait.UNCOPYABLE, CKA.DESTROYABLE: Trait.UNDESTROYABLE}
    assert {name for name in policy if name in said} == {name for name, t in policy.items() if t is trait}


FLAWED = {
    Flaw.NONE: (set(), set()),
    Flaw.UNKNOWN_TYPE: ({(UNKNOWN_TYPE, TRUE)}, set()),
    Flaw.BAD_VALUE: ({(CKA.MODIFIABLE, b"\1\1")}, set()),
    Flaw.READ_ONLY: ({(CKA.LOCAL, TRUE)}, set()),
    Flaw.INCONSISTENT: ({(CKA.KEY_TYPE, number(0))}, {(CKA.KEY_TYPE, number(0x1F))}),
    Flaw.FOREIGN: ({(CKA.MODULUS, number(0))}, set()),
    Flaw.TWICE: (set(), set()),
    Flaw.TWO_VALUES: ({(CKA.LABEL, b"label*")}, set()),
}


@pytest.mark.parametrize("flaw", FLAWED)
def test_a_flaw_is_the_one_thing_wrong(flaw: Flaw) -> None:
    plain = template(Way.CREATE, Kind.AES, b"label", token=False, private=False, trait=Trait.PLAIN)
    made = flawed(plain, flaw, Kind.AES)
    assert ({*made} - {*plain}, {*plain} - {*made}) == FLAWED[flaw]
    assert len(made) == len(plain) + (flaw not in (Flaw.NONE, Flaw.INCONSISTENT))


MISSING = {
    "C_CreateObject": [CKA.CLASS],
    "C_GenerateKey": [CKA.VALUE_LEN],
    "C_GenerateKeyPair": [CKA.EC_PARAMS],
    "C_UnwrapKey": [CKA.KEY_TYPE],
    "C_DeriveKey": [CKA.KEY_TYPE],
}


@pytest.mark.parametrize("name", MISSING)
def test_what_the_module_sees_of_a_template(scripted: Scripted, name: str) -> None:
    seen: list[list[int]] = []
    nulls = []

    def make(*arguments: Any) -> int:
        after = dict(pairwise(arguments))
        given = [a for a in arguments if isinstance(a, ffi.CData) and ffi.typeof(a) is ffi.typeof("CK_ATTRIBUTE[]")]
        seen.append([attribute.type for template in given for attribute in template[0 : after[template]]])
        nulls.append(after.get(ffi.NULL))
        return int(CKR.HOST_MEMORY)

    raw = scripted(**{name: make})
    for flaw in (Flaw.NONE, Flaw.MISSING, Flaw.NULL, Flaw.EMPTY):
        raw.call(Call(name, Args(flaw=flaw, mechanism=Mech.EC_KEY_PAIR_GEN)))
    whole, missing, null, empty = seen
    assert [*(Counter(whole) - Counter(missing))] == MISSING[name]
    assert nulls[2] == 1
    assert null == empty == (whole[: len(null)] if name == "C_GenerateKeyPair" else [])


DATA = [
    (Data.FITTING, b"abcd"),
    (Data.KEPT, b"kept"),
    (Data.TAMPERED, b"kepu"),
    (Data.CUT, b"kep"),
    (Data.ODD, bytes(range(5))),
    (Data.HUGE, bytes(300)),
    (Data.ABOVE, b"\xff" * 256),
    (Data.EMPTY, b""),
]


@pytest.mark.parametrize(("data", "content"), DATA)
def test_data_is_what_its_name_says(data: Data, content: bytes) -> None:
    pointer, length = values.given(data, b"abcd", b"kept")
    assert bytes(ffi.buffer(pointer, length)) == content
    assert pointer != ffi.NULL
    assert values.given(Data.NULL, b"abcd") == (ffi.NULL, 8)
    assert bytes(ffi.buffer(*values.given(Data.KEPT, b"abcd"))) == b"abcd"


@pytest.mark.parametrize("mech", Mech)
def test_a_wrong_parameter_is_of_another_length_and_an_impossible_one_looks_right(mech: Mech) -> None:
    right, wrong, impossible = (MECHANISM[mech, p] for p in Parameter)
    wanted = mech in MECHANISMS and MECHANISMS[mech].parameter
    assert bool(right.pParameter) is wanted
    assert wrong.ulParameterLen != right.ulParameterLen
    assert wrong.pParameter
    looks_right = mech in (Mech.ECDH1_DERIVE, Mech.ECDH1_COFACTOR_DERIVE, Mech.RSA_PKCS_OAEP)
    assert (impossible.ulParameterLen == right.ulParameterLen) is looks_right


def test_parameters_are_what_the_mechanisms_want() -> None:
    structs: Iterator[Any] = (
        ffi.cast(f"CK_{kind} *", MECHANISM[mech, Parameter.RIGHT].pParameter)
        for kind, mech in (
            ("GCM_PARAMS", Mech.AES_GCM),
            ("AES_CTR_PARAMS", Mech.AES_CTR),
            ("RSA_PKCS_OAEP_PARAMS", Mech.RSA_PKCS_OAEP),
            ("RSA_PKCS_PSS_PARAMS", Mech.RSA_PKCS_PSS),
            ("ECDH1_DERIVE_PARAMS", Mech.ECDH1_DERIVE),
        )
    )
    gcm, ctr, oaep, pss, ecdh = structs
    assert (gcm.ulIvLen, gcm.ulIvBits, gcm.ulAADLen, gcm.ulTagBits) == (12, 96, 0, 128)
    assert ctr.ulCounterBits == 128
    assert (oaep.hashAlg, oaep.mgf, oaep.source, oaep.ulSourceDataLen) == (0x220, 1, 1, 0)
    assert (pss.hashAlg, pss.mgf, pss.sLen) == (0x250, 2, 32)
    assert (ecdh.kdf, ecdh.ulSharedDataLen, ecdh.ulPublicDataLen) == (1, 0, 65)
    assert MECHANISM[Mech.AES_CBC, Parameter.RIGHT].ulParameterLen == 16


def _on_p256(point: bytes) -> bool:
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    x, y = int.from_bytes(point[1:33]), int.from_bytes(point[33:])
    return point[0] == 4 and len(point) == 65 and (y * y - x**3 + 3 * x - b) % p == 0


def test_key_material_is_sound() -> None:
    rsa = {name: int.from_bytes(getattr(material.RSA, name)) for name in material.Rsa.__slots__}
    p, q, d = rsa["prime_1"], rsa["prime_2"], rsa["private_exponent"]
    assert (rsa["modulus"], rsa["public_exponent"], material.MODULUS_BYTES) == (p * q, 65537, 256)
    assert (rsa["exponent_1"], rsa["exponent_2"]) == (d % (p - 1), d % (q - 1))
    assert rsa["coefficient"] * q % p == 1
    assert material.EC_POINT[:2] == b"\x04\x41"
    assert material.EC_POINT[2:] in material.CERTIFICATE
    points = (material.EC_POINT[2:], material.PEER_POINT, material.OFF_CURVE)
    assert [*map(_on_p256, points)] == [True, True, False]


# Output buffers and what is kept of them.


def _gives(content: bytes, ended: list[int] | None = None) -> Callable[..., int]:
    def function(*arguments: Any) -> int:
        *_, out, length = arguments
        if ended is not None:
            ended.append(length[0] if out else -1)
        room, length[0] = length[0], len(content)
        if not out:
            return CKR.OK
        if room < len(content):
            return CKR.BUFFER_TOO_SMALL
        out[0 : len(content)] = content
        return CKR.OK

    return function


def test_a_short_buffer_is_one_byte_short_and_the_length_is_told(scripted: Scripted) -> None:
    claims: list[int] = []
    raw = scripted(C_Encrypt=_gives(b"sealed", claims))
    told = [raw.call(Call("C_Encrypt", Args(buffer=buffer))) for buffer in Buffer]
    assert [(seen.code, seen.outputs) for seen in told] == [
        (CKR.OK, (("length", 6),)),
        (CKR.OK, (("length", 6),)),
        (CKR.BUFFER_TOO_SMALL, (("length", 6),)),
        (CKR.OK, (("length", 6),)),
    ]
    assert claims[1:] == [-1, -1, 5, -1, 6]


CONTENT = bytes(range(16))
RANDOM = Call("C_GenerateRandom")


def _past(*words: Any) -> int:
    """Says the right thing, and writes a byte too much."""
    *_, out, length = words
    room = length[0]
    code = _gives(CONTENT)(*words)
    if out:
        ffi.cast("CK_BYTE *", out)[room] = 0
    return code


def _tells(told: int) -> Callable[..., int]:
    """Gives what it says when it is asked, and tells another length of it."""

    def function(*words: Any) -> int:
        *_, out, length = words
        code = _gives(CONTENT)(*words)
        length[0] = told if out else length[0]
        return code

    return function


def _random(written: int) -> Callable[..., int]:
    def function(_session: int, out: Any, _length: int) -> int:
        ffi.memmove(out, bytes(written), written)
        return CKR.OK

    return function


def _two_handles(_session: int, out: Any, _most: int, count: Any) -> int:
    """Writes a second handle behind the first, whatever it was told."""
    ffi.cast("CK_ULONG *", out)[0:2] = 7, 8
    count[0] = 1
    return CKR.OK


def _value_and_more(_session: int, _object: int, wanted: Any, _count: int) -> int:
    """Ends the label with a NUL, for which there is no room."""
    if wanted[0].pValue:
        ffi.memmove(wanted[0].pValue, b"label\0", 6)
    wanted[0].ulValueLen = 5
    return CKR.OK


def _encrypt(buffer: Buffer) -> Call:
    return Call("C_Encrypt", Args(buffer=buffer))


BUFFERS: list[tuple[Call, Callable[..., int], tuple[Misuse, ...]]] = [
    *((_encrypt(buffer), _gives(CONTENT), ()) for buffer in Buffer),
    *((_encrypt(x), _past, (Misuse.OVERRUN,)) for x in Buffer if x != Buffer.NULL),
    (_encrypt(Buffer.NULL), _past, ()),
    (_encrypt(Buffer.EXACT), _tells(17), (Misuse.MORE_THAN_ROOM,)),
    (Call("C_GetOperationState", Args(buffer=Buffer.EXACT)), _past, (Misuse.OVERRUN,)),
    (RANDOM, _random(32), ()),
    (RANDOM, _random(33), (Misuse.OVERRUN,)),
    (RANDOM, _random(20), (Misuse.UNWRITTEN,)),
    (Call("C_FindObjects", Args(many=Many.ONE)), _two_handles, (Misuse.OVERRUN,)),
    (Call("C_FindObjects"), _two_handles, ()),
    *(
        (Call("C_GetAttributeValue", Args(buffer=x)), _value_and_more, (Misuse.OVERRUN,))
        for x in (Buffer.SHORT, Buffer.EXACT)
    ),
    (Call("C_GetAttributeValue"), _value_and_more, ()),
]


@pytest.mark.parametrize(("call", "function", "misuse"), BUFFERS)
def test_what_is_written_behind_a_buffer_is_seen_in_the_call_that_it_happens_in(
    scripted: Scripted, call: Call, function: Callable[..., int], misuse: tuple[Misuse, ...]
) -> None:
    raw = scripted(**{call.function: function})
    ready = raw.ready([call])
    for _ in range(2):
        assert raw.call(call).misuse == ready.observation(ready.make(0)()).misuse == misuse


def test_an_output_that_was_not_written_wholly_is_seen(scripted: Scripted) -> None:
    def half(*words: Any) -> int:
        *_, out, length = words
        length[0] = 32
        if out:
            ffi.memmove(out, CONTENT, len(CONTENT))
        return CKR.OK

    raw = scripted(C_Encrypt=half)
    assert raw.call(_encrypt(Buffer.EXACT)).misuse == (Misuse.UNWRITTEN,)
    # How much of it is written of a large one is not looked at.
    assert raw.call(_encrypt(Buffer.ENOUGH)).misuse == ()


def _lists(many: int) -> Callable[..., int]:
    def function(*arguments: Any) -> int:
        *_, out, length = arguments
        room, length[0] = length[0], many
        return CKR.BUFFER_TOO_SMALL if out and room < many else CKR.OK

    return function


@pytest.mark.parametrize("function", ["C_GetSlotList", "C_GetMechanismList"])
def test_o10_how_many_a_list_would_have_is_told(scripted: Scripted, function: str) -> None:
    raw = scripted(**{function: _lists(3)})
    calls = [Call(function, Args(buffer=buffer)) for buffer in (Buffer.NULL, Buffer.SHORT)]
    ready = raw.ready(calls)
    for _ in range(2):
        seen = [ready.observation(ready.make(n)()) for n in range(len(calls))]
        assert seen == [raw.call(call) for call in calls]
        assert [(x.code, dict(x.outputs)["length"]) for x in seen] == [(CKR.OK, 3), (CKR.BUFFER_TOO_SMALL, 3)]


def test_a_length_query_that_fails_is_the_answer(scripted: Scripted) -> None:
    """It may have ended the operation, and then the call itself would be blamed for finding none."""
    answers = iter((CKR.DATA_LEN_RANGE, CKR.OPERATION_NOT_INITIALIZED))
    raw = scripted(C_Encrypt=lambda *_: next(answers))
    assert raw.call(Call("C_Encrypt", Args(buffer=Buffer.SHORT))).code == CKR.DATA_LEN_RANGE
    assert len([*answers]) == 1


def _takes(taken: list[bytes], position: int = 1) -> Callable[..., int]:
    def function(*arguments: Any) -> int:
        taken.append(bytes(ffi.buffer(arguments[position], arguments[position + 1])))
        return CKR.OK

    return function


def _last_of(content: list[bytes]) -> bytes:
    return content[-1]


KEPT = [
    (("C_Encrypt",), "C_Decrypt", 1, b"C_Encrypt"),
    (
        ("C_EncryptUpdate", "C_EncryptUpdate", "C_EncryptFinal"),
        "C_DecryptUpdate",
        1,
        b"C_EncryptUpdate" * 2 + b"C_EncryptFinal",
    ),
    (("C_DigestEncryptUpdate", "C_EncryptFinal"), "C_DecryptDigestUpdate", 1, b"C_DigestEncryptUpdateC_EncryptFinal"),
    (("C_Encrypt", "C_EncryptUpdate"), "C_Decrypt", 1, b"C_Encrypt"),
    (("C_Sign",), "C_Verify", 3, b"C_Sign"),
    (("C_SignFinal",), "C_VerifyFinal", 1, b"C_SignFinal"),
    (("C_SignRecover",), "C_VerifyRecover", 1, b"C_SignRecover"),
    (("C_WrapKey",), "C_UnwrapKey", 3, b"C_WrapKey"),
]


@pytest.mark.parametrize(("makers", "taker", "position", "expected"), KEPT)
def test_output_is_kept_for_later_input(
    scripted: Scripted, makers: tuple[str, ...], taker: str, position: int, expected: bytes
) -> None:
    taken: list[bytes] = []
    raw = scripted(**{name: _gives(name.encode()) for name in makers}, **{taker: _takes(taken, position)})
    raw.call(Call(makers[0]))  # of an operation that is given up, so that its output is not part of the next one's
    raw.call(Call("C_EncryptInit", Args(mechanism=Mech.AES_ECB)))
    for name in makers:
        raw.call(Call(name))
    raw.call(Call(makers[-1], Args(buffer=Buffer.NULL)))
    for data in (Data.KEPT, Data.CUT):
        raw.call(Call(taker, Args(data=data, signature=data)))
    raw.call(Call("C_EncryptInit"))
    raw.call(Call(taker, Args(data=Data.KEPT, signature=Data.KEPT)))
    assert taken == [expected, expected[:-1], expected]


def test_saved_operations_take_their_keys_along(scripted: Scripted) -> None:
    given: list[tuple[int, ...]] = []

    def create(*arguments: Any) -> int:
        arguments[-1][0] = next(handles)
        return CKR.OK

    def restore(*arguments: Any) -> int:
        given.append(arguments[-2:])
        return CKR.OK

    def restored() -> tuple[int, ...]:
        raw.call(Call("C_GetOperationState"))
        raw.call(Call("C_SetOperationState", Args(encryption_key=same, authentication_key=same)))
        return given[-1]

    same = StateKey.SAME
    handles = iter((70, 71))
    raw = scripted(C_CreateObject=create, C_GetOperationState=_gives(b"state"), C_SetOperationState=restore)
    for _ in range(2):
        raw.call(Call("C_CreateObject"))
    assert restored() == (0, 0)
    raw.call(Call("C_DigestInit"))
    assert restored() == (0, 0)
    raw.call(Call("C_EncryptInit", Args(key=1)))
    raw.call(Call("C_SignInit", Args(key=0)))
    assert restored() == (71, 70)
    raw.call(Call("C_Sign", Args(buffer=Buffer.NULL)))
    assert restored() == (71, 70)
    raw.call(Call("C_Sign"))
    assert restored() == (71, 0)
    raw.call(Call("C_SetOperationState", Args(encryption_key=StateKey.DIFFERENT)))
    assert given[-1] == (NO_SUCH_KEY, 0)
    raw.call(Call("C_CloseSession"))
    assert restored() == (0, 0)


@pytest.mark.parametrize(("notify", "answer"), [(False, CKR.OK), (True, CKR.CANCEL)])
def test_a_session_may_cancel_what_surrenders(scripted: Scripted, notify: bool, answer: CKR) -> None:
    answers = []

    def open_session(_slot: int, _flags: int, application: Any, callback: Any, session: Any) -> int:
        answers.append([callback(1, event, application) for event in (0, 1)])
        session[0] = 1
        return CKR.OK

    scripted(C_OpenSession=open_session).call(Call("C_OpenSession", Args(notify=notify)))
    assert answers == [[answer, CKR.OK]]


# When objects end, in calls.

MADE = (
    *(Call("C_OpenSession", Args(slot=slot)) for slot in (0, 0, 1)),
    Call("C_CreateObject", Args(token=True)),
    Call("C_CreateObject", Args(token=True, private=True)),
    Call("C_GenerateKeyPair", Args(session=1, private=True)),
    Call("C_CopyObject", Args(session=2)),
)
CLOSE = Call("C_CloseSession", Args(session=1)), Call("C_CloseSession")
STORIES = [
    ((Call("C_DestroyObject", Args(object=1)),), {0, 2, 3, 4}),
    (CLOSE[:1], {0, 1, 4}),
    (CLOSE, {4}),
    ((Call("C_CloseAllSessions"),), {4}),
    ((Call("C_CloseAllSessions", Args(slot=1)),), {0, 1, 2, 3}),
    ((Call("C_Logout", Args(session=1)),), {0, 2, 4}),
    ((Call("C_Logout", Args(session=2)),), {0, 1, 2, 3, 4}),
    ((Call("C_InitToken", Args(pin=Pin.SO)),), {4}),
    ((Call("C_Finalize"),), set()),
]


@pytest.mark.parametrize(("story", "known"), STORIES)
def test_calls_end_objects(scripted: Scripted, story: tuple[Call, ...], known: set[int]) -> None:
    handles = iter(range(50, 90))

    def make(*arguments: Any) -> int:
        arguments[-1][0] = next(handles)
        return CKR.OK

    def make_pair(*arguments: Any) -> int:
        return make(arguments[-2]) or make(arguments[-1])

    raw = scripted(C_OpenSession=make, C_CreateObject=make, C_CopyObject=make, C_GenerateKeyPair=make_pair)
    for call in MADE:
        assert raw.call(call).outputs == (("handle", 1),)
    assert set(raw.application.objects.known()) == {0, 1, 2, 3, 4}
    for call in story:
        raw.call(call)
    assert set(raw.application.objects.known()) == known


# Attributes.


def _attributes(code: CKR, *written: bytes | None) -> Callable[..., int]:
    def function(_session: int, _object: int, template: Any, count: int) -> int:
        assert count == len(written)
        for i, value in enumerate(written):
            room, template[i].ulValueLen = (
                template[i].ulValueLen,
                UNAVAILABLE_INFORMATION if value is None else len(value),
            )
            if value is not None and template[i].pValue:
                if room < len(value):
                    template[i].ulValueLen = UNAVAILABLE_INFORMATION
                else:
                    ffi.memmove(template[i].pValue, value, len(value))
        return code

    return function


OK, HIDDEN, NO_SUCH, INVALID = (
    CKR.OK,
    CKR.ATTRIBUTE_SENSITIVE,
    CKR.ATTRIBUTE_TYPE_INVALID,
    CKR.OBJECT_HANDLE_INVALID,
)
READ = [
    (Attribute.CLASS, OK, (number(4),), {"given": 0, "value": 4}),
    (Attribute.CLASS, OK, (b"\4",), {"given": 0, "value": -1}),
    (Attribute.TOKEN, OK, (TRUE,), {"given": 0, "value": 1}),
    (Attribute.SENSITIVE, OK, (b"\2",), {"given": 0, "value": -1}),
    (Attribute.LABEL, OK, (b"else",), {"given": 0, "value": -1}),
    (Attribute.VALUE, OK, (b"secret",), {"given": 0}),
    (Attribute.VALUE, HIDDEN, (None,), {"given": 0}),
    (Attribute.VALUE, HIDDEN, (b"secret",), {"given": 1}),
    (Attribute.UNKNOWN, NO_SUCH, (None,), {"given": 0}),
    (Attribute.SEVERAL, NO_SUCH, (number(4), None, b"label"), {"given": 1}),
    (Attribute.SEVERAL, NO_SUCH, (number(4), None, None), {"given": 0}),
]


@pytest.mark.parametrize(("attribute", "code", "written", "outputs"), READ)
def test_what_attributes_were_given(
    scripted: Scripted, attribute: Attribute, code: CKR, written: tuple[bytes | None, ...], outputs: dict[str, int]
) -> None:
    raw = scripted(C_GetAttributeValue=_attributes(code, *written))
    raw.application.objects.made((7, PUBLIC))
    assert dict(raw.call(Call("C_GetAttributeValue", Args(attribute=attribute))).outputs) == outputs


def test_a_call_that_fails_early_gives_no_attribute(scripted: Scripted) -> None:
    raw = scripted(C_GetAttributeValue=lambda *_: INVALID)
    for buffer in Buffer:
        assert raw.call(Call("C_GetAttributeValue", Args(buffer=buffer))).outputs == (("given", 0),)


POSSIBLE = [
    (Call("C_CreateObject", Args(kind=Kind.DATA, trait=Trait.SENSITIVE)), False),
    (Call("C_CreateObject", Args(kind=Kind.DATA, trait=Trait.UNCOPYABLE)), True),
    (Call("C_CreateObject", Args(kind=Kind.RSA_PUBLIC, trait=Trait.UNEXTRACTABLE)), False),
    (Call("C_CreateObject", Args(kind=Kind.RSA_PUBLIC, trait=Trait.NO_USAGE)), True),
    (Call("C_CreateObject", Args(kind=Kind.CERTIFICATE, trait=Trait.NO_USAGE)), False),
    (Call("C_CreateObject", Args(kind=Kind.CERTIFICATE, flaw=Flaw.INCONSISTENT)), False),
    (Call("C_CopyObject", Args(flaw=Flaw.MISSING)), False),
    (Call("C_CopyObject", Args(flaw=Flaw.EMPTY)), True),
    (Call("C_CopyObject", Args(setting=Setting.ILLEGAL)), False),
    (Call("C_CopyObject", Args(attribute=Attribute.TOKEN, setting=Setting.ILLEGAL)), True),
    (Call("C_SetAttributeValue", Args(setting=Setting.ILLEGAL)), False),
    (Call("C_GenerateKeyPair", Args(flaw=Flaw.EMPTY)), False),
    (Call("C_UnwrapKey", Args(kind=Kind.RSA_PRIVATE)), False),
    (Call("C_DeriveKey", Args(kind=Kind.GENERIC_SECRET)), True),
    (Call("C_EncryptInit", Args(key=5)), True),
    (Call("C_EncryptInit", Args(key=6)), False),
]


@pytest.mark.parametrize(("call", "supported"), POSSIBLE)
def test_supports_what_can_be_made_concrete(scripted: Scripted, call: Call, supported: bool) -> None:
    assert scripted().supports(call) is supported


# On SoftHSM.


@pytest.fixture(scope="module")
def soft() -> Iterator[module.Module]:
    if softhsm2.find() is None:
        pytest.skip("SoftHSM is not installed: install softhsm2")
    ready = softhsm2.provision()
    yield ready
    ready.discard()


@pytest.fixture
def soft_raw(soft: module.Module, monkeypatch: pytest.MonkeyPatch) -> Iterator[Raw]:
    for name, value in soft.environment.items():
        monkeypatch.setenv(name, value)
    with Raw(soft.library, soft.binding, soft.restore) as raw:
        raw.reset(restore_token=True)
        yield raw


@pytest.fixture(scope="module")
def soft_mechanisms(soft: module.Module) -> tuple[Mech, ...]:
    """The mechanisms of SoftHSM that have a record."""
    listed = measure_isolated(soft.library, soft.environment, None, 20.0).slots[0].mechanisms
    # Single DES is listed, and where its OpenSSL has none begins nothing.
    return tuple(m for m, x in MECHANISMS.items() if x.number in listed and Kind.DES not in x.private)


START = (Call("C_Initialize"), Call("C_OpenSession"), Call("C_Login"))


def _succeed(raw: Raw, *calls: Call) -> list[dict[str, int]]:
    """The outputs of calls that all succeed, from the start of a user's session."""
    seen = run(raw, (*START, *calls))[len(START) :]
    assert [(c.function, s.text) for c, s in zip(calls, seen, strict=True) if s.code != CKR.OK] == []
    return [dict(s.outputs) for s in seen]


def _keys(mech: Mech) -> tuple[Call, ...]:
    """Keys for a mechanism: object 0 for public roles, object 1 for private ones."""
    facts = MECHANISMS[mech]
    return tuple(Call("C_CreateObject", Args(kind=kind)) for kind in (facts.public[0], facts.private[0]))


@pytest.mark.module
@pytest.mark.parametrize("mech", with_role(Role.ENCRYPT))
def test_softhsm_decrypts_what_it_encrypted(soft_raw: Raw, soft_mechanisms: tuple[Mech, ...], mech: Mech) -> None:
    if mech not in soft_mechanisms:
        pytest.skip("not of this token")
    begin = Call("C_EncryptInit", Args(mechanism=mech)), Call("C_DecryptInit", Args(mechanism=mech, key=1))
    kept = Args(data=Data.KEPT)
    *_, out = _succeed(soft_raw, *_keys(mech), begin[0], Call("C_Encrypt"), begin[1], Call("C_Decrypt", kept))
    assert out == {"length": 256 if mech is Mech.RSA_X_509 else 32}
    if MECHANISMS[mech].parts:
        parts = Call("C_EncryptUpdate"), Call("C_EncryptUpdate"), Call("C_EncryptFinal")
        *_, out, rest = _succeed(
            soft_raw, *_keys(mech), begin[0], *parts, begin[1], Call("C_DecryptUpdate", kept), Call("C_DecryptFinal")
        )
        assert out["length"] + rest["length"] == 64


@pytest.mark.module
@pytest.mark.parametrize("mech", [m for m in with_role(Role.SIGN) if m.facts.since <= Version.V2_40])
@pytest.mark.parametrize(
    ("signature", "code"),
    [(Data.KEPT, CKR.OK), (Data.TAMPERED, CKR.SIGNATURE_INVALID), (Data.CUT, CKR.SIGNATURE_LEN_RANGE)],
)
def test_softhsm_verifies_what_it_signed(
    soft_raw: Raw, soft_mechanisms: tuple[Mech, ...], mech: Mech, signature: Data, code: CKR
) -> None:
    if mech not in soft_mechanisms:
        pytest.skip("not of this token")
    keys, key = _keys(mech), 1
    if Kind.GENERIC_SECRET in mech.facts.private:  # An imported secret is too short for it, as SoftHSM sees it.
        keys, key = (Call("C_GenerateKey", Args(mechanism=Mech.GENERIC_SECRET_KEY_GEN)),), 0
    _succeed(soft_raw, *keys, Call("C_SignInit", Args(mechanism=mech, key=key)), Call("C_Sign"))
    assert soft_raw.call(Call("C_VerifyInit", Args(mechanism=mech))).code == CKR.OK
    assert soft_raw.call(Call("C_Verify", Args(signature=signature))).code == code


@pytest.mark.module
@pytest.mark.parametrize("mech", [Mech.AES_KEY_WRAP, Mech.RSA_PKCS, Mech.RSA_PKCS_OAEP])
@pytest.mark.parametrize("kind", [Kind.AES, Kind.GENERIC_SECRET])
def test_softhsm_unwraps_what_it_wrapped(soft_raw: Raw, mech: Mech, kind: Kind) -> None:
    *_, out = _succeed(
        soft_raw,
        *_keys(mech),
        Call("C_CreateObject", Args(kind=kind)),
        Call("C_WrapKey", Args(mechanism=mech, other_key=2)),
        Call("C_UnwrapKey", Args(mechanism=mech, key=1, kind=kind, data=Data.KEPT)),
    )
    assert out == {"handle": 1}


@pytest.mark.module
@pytest.mark.parametrize("kind", CREATED)
@pytest.mark.parametrize("token", [False, True])
def test_softhsm_makes_what_the_template_says(soft_raw: Raw, kind: Kind, token: bool) -> None:
    asked = (Attribute.CLASS, Attribute.TOKEN, Attribute.PRIVATE, Attribute.MODIFIABLE, Attribute.LABEL)
    made, *told = _succeed(
        soft_raw,
        Call("C_CreateObject", Args(kind=kind, token=token, private=True, trait=Trait.UNMODIFIABLE)),
        *(Call("C_GetAttributeValue", Args(attribute=a)) for a in asked),
        Call("C_GetAttributeValue", Args(attribute=Attribute.VALUE)),
    )
    assert made == {"handle": 1}
    assert [t.get("value") for t in told] == [dict(CLASS_NUMBERS)[kind], token, 1, 0, 0, None]


SEARCH = tuple(map(Call, ("C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal")))


@pytest.mark.module
def test_softhsm_finds_token_objects_again(soft_raw: Raw) -> None:
    made = (
        Call("C_GenerateKeyPair", Args(mechanism=Mech.EC_KEY_PAIR_GEN, token=True, private=True)),
        Call("C_DeriveKey", Args(mechanism=Mech.ECDH1_DERIVE, key=1, kind=Kind.GENERIC_SECRET)),
        Call("C_CopyObject", Args(token=True)),
        Call("C_GenerateKey", Args(mechanism=Mech.AES_KEY_GEN)),
    )
    look = Call("C_GetAttributeValue", Args(object=1))
    _succeed(soft_raw, *made, Call("C_SetAttributeValue"))
    # The label of the private half, the copy and all: 0 and 3 are public, 2 and 4 are session objects.
    story = (*SEARCH, Call("C_Logout"), *SEARCH, look, Call("C_Finalize"), *START, look, *SEARCH, look)
    seen = [soft_raw.call(call) for call in story]
    assert [dict(s.outputs)["found"] for s in seen if s.outputs and s.outputs[0][0] == "found"] == [31, 29, 11]
    assert [s.code for s, call in zip(seen, story, strict=True) if call is look] == [INVALID, INVALID, OK]


@pytest.mark.module
def test_softhsm_lets_the_label_be_changed(soft_raw: Raw) -> None:
    *_, changed, copied, found = _succeed(
        soft_raw,
        Call("C_CreateObject"),
        Call("C_SetAttributeValue"),
        Call("C_CopyObject", Args(flaw=Flaw.EMPTY)),
        Call("C_FindObjectsInit"),
        Call("C_GetAttributeValue"),
        Call("C_GetAttributeValue", Args(object=1)),
        Call("C_FindObjects"),
    )
    assert (changed["value"], copied["value"], found) == (1, 0, {"found": 3, "strangers": 0})


SEQUENCES, LENGTH = 30, 60
SCOPE = State(slots=(Slot(),) * 3, objects=(Object(),) * 5)
DOMAINS = {name: domain(name, SCOPE) for name in ARGUMENT_NAMES}
OFTEN = 6 * (*MISSING, "C_CopyObject", "C_Initialize", "C_OpenSession", "C_Login")
MAKERS = {
    "C_GenerateKey": (Mech.AES_KEY_GEN, Mech.GENERIC_SECRET_KEY_GEN),
    "C_GenerateKeyPair": (Mech.EC_KEY_PAIR_GEN,),
    "C_DeriveKey": (Mech.ECDH1_DERIVE,),
}
RARE = frozenset({"C_Finalize", "C_CloseAllSessions", "C_InitToken", "C_CloseSession", "C_Logout"})
KEYLESS = (Mech.SHA256, Mech.UNKNOWN)
"""For all other functions: SoftHSM 2.6.1 dies of operations begun with a key of a type that is not the mechanism's."""


def _random_call(rng: random.Random, raw: Raw) -> Call:
    """A call whose arguments are mostly the harmless ones, of a function that mostly keeps what there is."""
    while True:
        name = rng.choice((*CALLS, *OFTEN))
        if name in RARE and rng.random() < 0.8:
            continue
        args = {n: rng.choice(values) for n, values in DOMAINS.items() if rng.random() < 0.15 and n != "null"}
        args |= {n: rng.randrange(2) for n in ("session", "object", "key", "other_key") if rng.random() < 0.5}
        args |= {"token": rng.random() < 0.4, "private": rng.random() < 0.4, "kind": rng.choice(CREATED)}
        args["mechanism"] = rng.choice(MAKERS.get(name, KEYLESS))
        call = Call(name, Args(**args))
        if raw.supports(call):
            return call


def _walk(seed: int, library: str, binding: Binding, restore: Callable[[], None], out: Connection) -> None:
    """Make calls at random; send how many objects answered to their handle, or the first that did not."""
    rng, answered, story = random.Random(seed), 0, []
    raw = Raw(library, binding, restore)
    ask = new("CK_ATTRIBUTE[1]")
    for _ in range(SEQUENCES):
        raw.reset(restore_token=True)
        story = [*START]
        for call in START:
            raw.call(call)
        for _ in range(LENGTH):
            for index, entry in raw.application.objects.known().items():
                session = next((s for s, slot in raw.application.handles.open.items() if slot == entry.slot), None)
                if session is None:
                    continue
                ask[0] = (CKA.CLASS, ffi.NULL, 0)
                handles = raw.application.handles.session(session), raw.application.objects.handle(index)
                if raw.lane.own_call("C_GetAttributeValue", *handles, ask, 1) != CKR.OK:
                    out.send(f"object {index} is gone after {story[-3:]}")
                    return
                answered += 1
            story.append(_random_call(rng, raw))
            raw.call(story[-1])
    out.send(answered)


@pytest.mark.module
@pytest.mark.parametrize("seed", range(2))
def test_no_object_is_believed_in_that_softhsm_does_not_have(
    soft: module.Module, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in soft.environment.items():
        monkeypatch.setenv(name, value)
    ours, theirs = get_context("fork").Pipe(duplex=False)
    walk = get_context("fork").Process(target=_walk, args=(seed, soft.library, soft.binding, soft.restore, theirs))
    walk.start()
    theirs.close()
    try:
        answered = ours.recv()
    except EOFError:
        walk.join()
        assert (walk.exitcode or 0) < 0, "the walk failed, and not SoftHSM: see above"
        pytest.skip(f"SoftHSM ended the walk: exit code {walk.exitcode}")
    walk.kill()
    walk.join()
    soft.restore()
    assert isinstance(answered, int), answered
    assert answered > 1000
