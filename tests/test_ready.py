"""Calls made ready do what `Raw.call` does: with a module made of chance that looks at all it gets, and on SoftHSM."""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import pytest
from conftest import OBJECTS

from p11conform.adapters import objects as objects_module
from p11conform.adapters import raw as raw_module
from p11conform.adapters.application import Initialization
from p11conform.adapters.base import Binding, Ready
from p11conform.adapters.cryptoki import ffi, padded
from p11conform.adapters.handles import Handles
from p11conform.adapters.kept import CIPHERTEXT, Kept
from p11conform.adapters.lane import VALUE_CAPACITY
from p11conform.adapters.memory import junk
from p11conform.adapters.modules import module, softhsm2
from p11conform.adapters.objects import Entry, Objects
from p11conform.adapters.raw import Raw
from p11conform.adapters.ready import Plain
from p11conform.adapters.simulated import Simulated
from p11conform.adapters.templates import CKA
from p11conform.model.call import Args, Attribute, Call, Ending, InitArgs, Observation, StateKey
from p11conform.model.interface import SIGNATURES
from p11conform.model.mechanisms import Role
from p11conform.model.oracle import Model, in_scope
from p11conform.model.state import Kind, Mech, Slot, State
from p11conform.model.vocabulary import CKR

PINS = {"SO": b"12345678", "USER": b"1234", "OTHER": b"567890", "WRONG": b"99999999"}
BINDING = Binding((5, 9), ("first", "second"), PINS, objects=len(OBJECTS))
SCOPE = State(slots=(Slot(),) * len(BINDING.slots), objects=OBJECTS)
Scripted = Callable[..., Raw]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """An adapter whose module is the functions given; the others return CKR_OK and do nothing."""

    def make(**functions: Callable[..., int] | None) -> Raw:
        listed = {name: functions.get(name, lambda *_: CKR.OK) for name in SIGNATURES}
        monkeypatch.setattr(raw_module, "load", lambda *_: listed)
        return Raw("scripted", BINDING)

    return make


def made(calls: Ready, number: int) -> Observation:
    """What a call says, made as the tester makes it."""
    answer = (calls.made.get(number) or calls.make(number))()
    return calls.observation(answer)


# What an answer stands for.


def test_an_answer_is_the_code_or_stands_for_what_else_was_seen(scripted: Scripted) -> None:
    handles = iter((41, 42, 42))

    def open_session(*args: Any) -> int:
        args[-1][0] = next(handles)
        return CKR.OK

    raw = scripted(C_OpenSession=open_session, C_GetInfo=lambda _: 0x80000001, C_Logout=None)
    calls = raw.ready([Call(name) for name in ("C_OpenSession", "C_GetInfo", "C_Logout", "C_Finalize")])
    first, second, third, info, absent, done = (calls.make(number)() for number in (0, 0, 0, 1, 2, 3))
    assert (info, done) == (0x80000001, 0)
    assert first == second < 0
    assert len({first, third, absent}) == 3
    assert max(third, absent) < 0
    assert [calls.observation(answer) for answer in (first, third, info, absent)] == [
        Observation(CKR.OK, (("handle", 1),)),
        Observation(CKR.OK, (("handle", 2),)),
        Observation(0x80000001),
        Observation(ending=Ending.ABSENT),
    ]
    with pytest.raises(IndexError):
        calls.observation(-100)


def test_any_adapter_has_calls_made_ready(core: Model) -> None:
    state = State()
    calls = [Call("C_Initialize"), Call("C_GetSlotInfo"), Call("C_Finalize")]
    plain, other = (Simulated(core, state) for _ in range(2))
    numbers = random.Random(1).choices(range(len(calls)), k=60)
    answers = plain.ready(calls)
    assert isinstance(answers, Plain)
    assert [made(answers, n) for n in numbers] == [other.call(calls[n]) for n in numbers]
    assert set(answers.made) == set(numbers)


# What Raw notes beside.


def test_misuse_of_mutexes_belongs_to_the_call_that_it_happens_in(scripted: Scripted) -> None:
    given: list[Any] = []

    def initialize(args: Any) -> int:
        given.append(args[0])
        return CKR.OK

    def unlock(*_: Any) -> int:
        if misusing:
            given[0].UnlockMutex(ffi.cast("void *", 10**6))
        return CKR.OK

    misused = ("a mutex was unlocked that never existed",)
    watched = [Call(f"C_{name}") for name in ("GetInfo", "GetSessionInfo", "CloseSession", "SignInit", "EncryptFinal")]
    raw = scripted(C_Initialize=initialize, **{call.function: unlock for call in watched})
    calls = raw.ready([Call("C_Initialize", Args(init=InitArgs.CALLBACKS)), Call("C_GetSlotInfo"), *watched])
    made(calls, 0)
    for misusing in (False, True, True, False):
        for number in range(2, 2 + len(watched)):
            assert made(calls, number).misuse == (misused if misusing else ())
            assert made(calls, 1).misuse == ()


def test_a_library_that_says_it_is_initialized_is_finalised(scripted: Scripted) -> None:
    finalised: list[int] = []

    def finalize(_: Any) -> int:
        finalised.append(CKR.CRYPTOKI_NOT_INITIALIZED if len(finalised) % 2 else CKR.OK)
        return finalised[-1]

    raw = scripted(C_Finalize=finalize, C_Initialize=lambda *_: CKR.CRYPTOKI_ALREADY_INITIALIZED)
    calls = raw.ready([Call("C_Initialize")])
    for times in range(3):
        assert made(calls, 0) == Observation(CKR.CRYPTOKI_ALREADY_INITIALIZED)
        assert len(finalised) == 2 * times
        raw.reset(restore_token=False)
        assert len(finalised) == 2 * times + 2


def test_a_record_is_read_again_only_where_it_is_another(scripted: Scripted) -> None:
    states, before = iter((0, 0, 3, None, 0)), []

    def session_info(_session: int, info: Any) -> int:
        before.append(bytes(ffi.buffer(info)))
        state = next(states)
        if state is not None:
            info.slotID, info.state, info.flags, info.ulDeviceError = 9, state, 4, 0
        return CKR.OK

    calls = scripted(C_GetSessionInfo=session_info).ready([Call("C_GetSessionInfo")])
    seen = [dict(made(calls, 0).outputs) for _ in range(5)]
    assert [outputs["slot"] for outputs in seen] == [1, 1, 1, -1, 1]
    assert [outputs["state"] for outputs in seen] == [0, 0, 3, int.from_bytes(junk(8), sys.byteorder), 0]
    assert set(before) == {junk(len(before[0]))}


@pytest.mark.parametrize("before", [0, 15, 16, 30])
def test_slots_are_told_apart_however_many_come_before(scripted: Scripted, before: int) -> None:
    others, last = [*range(100, 100 + before)], iter((5, 9, 5, 77, 9))

    def slot_list(_present: int, out: Any, length: Any) -> int:
        out[0:before] = others
        out[before], length[0] = next(last), before + 1
        return CKR.OK

    calls = scripted(C_GetSlotList=slot_list).ready([Call("C_GetSlotList")])
    assert [dict(made(calls, 0).outputs)["slots"] for _ in range(5)] == [1, 2, 1, 0, 2]


@pytest.mark.parametrize("code", [CKR.OPERATION_NOT_INITIALIZED, CKR.DATA_LEN_RANGE])
def test_an_error_ends_an_operation_after_it_ended_none(scripted: Scripted, code: CKR) -> None:
    keys = []

    def set_state(*arguments: Any) -> int:
        keys.append(arguments[-2:])
        return CKR.OK

    raw = scripted(C_SignFinal=lambda *_: code, C_SetOperationState=set_state)
    raw.application.objects.made((70, Entry(Kind.GENERIC_SECRET, 0, None, False, b"")))
    final, init, save, restore = range(4)
    names = ("C_SignFinal", "C_SignInit", "C_GetOperationState", "C_SetOperationState")
    given = Args(authentication_key=StateKey.SAME)
    calls = raw.ready([Call(name, given if name == "C_SetOperationState" else Args()) for name in names])
    for number in (final, final, init, save, restore, final, save, restore, restore):
        made(calls, number)
    assert keys == [(0, 70), (0, 0), (0, 0)]


def test_what_an_attribute_is_called_depends_on_the_object(scripted: Scripted) -> None:
    asked = []

    def attribute_value(_session: int, _object: int, template: Any, _count: int) -> int:
        asked.append(template[0].type)
        return CKR.OK

    raw = scripted(C_GetAttributeValue=attribute_value)
    calls = raw.ready([Call("C_GetAttributeValue", Args(attribute=Attribute.VALUE))])
    for kind in (Kind.AES, Kind.RSA_PUBLIC, Kind.EC_PUBLIC):
        raw.application.objects.made((70, Entry(kind, 0, None, False, b"")))
        made(calls, 0)
        raw.application.objects.destroyed(0)
    assert asked == [CKA.VALUE, CKA.MODULUS, CKA.EC_POINT]


def test_values_count_as_given_only_by_codes_that_let_them_be(scripted: Scripted) -> None:
    answers = iter((CKR.ATTRIBUTE_SENSITIVE, CKR.GENERAL_ERROR) * 2 + (CKR.ATTRIBUTE_SENSITIVE,))
    values = iter((b"", b"value", b"value", b"", b""))
    areas = []

    def attribute_value(_session: int, _object: int, template: Any, _count: int) -> int:
        areas.append(bytes(ffi.buffer(template[0].pValue, template[0].ulValueLen)))
        value = next(values)
        ffi.memmove(template[0].pValue, value, len(value))
        template[0].ulValueLen = len(value) or 5
        return next(answers)

    calls = scripted(C_GetAttributeValue=attribute_value).ready([Call("C_GetAttributeValue")])
    assert [dict(made(calls, 0).outputs)["given"] for _ in range(5)] == [0, 0, 1, 0, 0]
    assert set(areas) == {junk(VALUE_CAPACITY)}


# Labels.


def test_a_label_stands_until_an_object_may_have_it(scripted: Scripted) -> None:
    codes = iter((CKR.HOST_MEMORY, CKR.DEVICE_ERROR, CKR.OK, CKR.HOST_MEMORY, CKR.OK, CKR.OK))
    labels: list[bytes] = []

    def create(_session: int, template: Any, count: int, _object: Any) -> int:
        labels.extend(value for shown, value in _template(template, count) if shown[0] == CKA.LABEL)
        return next(codes)

    raw = scripted(C_CreateObject=create)
    calls = raw.ready([Call("C_CreateObject"), Call("C_CreateObject", Args(null=True))])
    for number in (0, 1, 0, 0, 1, 0):
        made(calls, number)
    groups = [labels[:3], labels[3:5], labels[5:]]
    assert [len(set(group)) for group in groups] == [1, 1, 1]
    assert len(set(labels)) == 3
    entry = raw.application.objects.entry(0)
    assert entry is not None
    assert entry.label == labels[2]


@pytest.mark.parametrize("restored", [False, True])
def test_an_object_of_a_call_that_failed_is_a_stranger(scripted: Scripted, restored: bool) -> None:
    listed: dict[int, bytes] = {}
    codes = iter((CKR.DEVICE_ERROR, CKR.OK))

    def create(_session: int, template: Any, count: int, handle: Any) -> int:
        handle[0] = 50 + len(listed)
        listed[handle[0]] = {shown[0]: value for shown, value in _template(template, count)}[CKA.LABEL]
        return next(codes)

    def find(_session: int, handles: Any, _most: int, length: Any) -> int:
        handles[0 : len(listed)] = [*listed]
        length[0] = len(listed)
        return CKR.OK

    def attribute_value(_session: int, handle: int, template: Any, _count: int) -> int:
        ffi.memmove(template[0].pValue, listed[handle], len(listed[handle]))
        template[0].ulValueLen = len(listed[handle])
        return CKR.OK

    raw = scripted(C_CreateObject=create, C_FindObjects=find, C_GetAttributeValue=attribute_value)
    calls = raw.ready([Call("C_CreateObject", Args(token=True)), Call("C_FindObjects")])
    raw.reset(restored)
    made(calls, 0)
    assert dict(made(calls, 1).outputs) == {"found": 0, "strangers": 1}
    made(calls, 0)
    assert dict(made(calls, 1).outputs) == {"found": 1, "strangers": 1}
    raw.reset(restore_token=False)
    assert dict(made(calls, 1).outputs) == {"found": 1, "strangers": 1}


# When calls have to be made ready anew.


def test_calls_stay_ready_where_nothing_changed(scripted: Scripted) -> None:
    raw = scripted(C_Encrypt=lambda *_: CKR.OPERATION_NOT_INITIALIZED)
    calls = raw.ready([Call("C_Logout"), Call("C_Encrypt"), Call("C_EncryptInit")])
    for number in (0, 1):
        made(calls, number)
    for restore in (False, True):
        raw.reset(restore)
        assert set(calls.made) == {0, 1}
    made(calls, 2)
    assert set(calls.made) == {0, 2}
    made(calls, 1)
    raw.reset(restore_token=False)
    assert set(calls.made) == {0, 2}


def test_calls_are_taken_back_when_slots_move(scripted: Scripted) -> None:
    tokens = {5: "first", 9: "second"}

    def slot_list(_present: int, out: Any, length: Any) -> int:
        out[0 : len(tokens)] = list(tokens)
        length[0] = len(tokens)
        return CKR.OK

    def token_info(slot: int, info: Any) -> int:
        info.label = padded(tokens[slot])
        return CKR.OK

    def session_info(_session: int, info: Any) -> int:
        info.slotID = 5
        return CKR.OK

    raw = scripted(C_GetSlotList=slot_list, C_GetTokenInfo=token_info, C_GetSessionInfo=session_info)
    names = ("C_Initialize", "C_GetSessionInfo", "C_InitToken", "C_Finalize")
    calls = raw.ready([Call(name) for name in names])
    slots = [dict(made(calls, n).outputs).get("slot") for n in (0, 1, 2, 3)]
    tokens = {7: "first", 5: "second"}
    slots += [dict(made(calls, n).outputs).get("slot") for n in (0, 1)]
    assert slots == [None, 0, None, None, None, 1]
    raw.reset(restore_token=True)
    assert calls.made == {}
    assert dict(made(calls, 1).outputs)["slot"] == 0


# What arguments are made of.


def _handles_change(rng: random.Random, handles: Handles) -> None:
    rng.choice(
        (
            lambda: handles.opened(rng.randrange(4), rng.randrange(2)),
            lambda: handles.opened(rng.randrange(4), rng.randrange(2)),
            lambda: handles.closed(rng.randrange(3)),
            lambda: handles.closed_all(rng.choice((0, 1, None))),
            handles.forget,
        )
    )()


def _objects_change(rng: random.Random, objects: Objects) -> None:
    def entry() -> Entry:
        label = rng.choice((b"", objects.new_label()))
        return Entry(rng.choice([*Kind]), rng.randrange(2), rng.choice((None, 0, 1)), rng.random() < 0.5, label)

    rng.choice(
        (
            *(lambda: objects.made((rng.randrange(4), entry())),) * 4,
            lambda: objects.relabelled(rng.randrange(3)),
            lambda: objects.destroyed(rng.randrange(3)),
            lambda: objects.sessions_closed({rng.randrange(2): rng.randrange(2)}),
            lambda: objects.logged_out(rng.randrange(2)),
            lambda: objects.token_initialized(rng.randrange(2)),
            lambda: objects.find(
                [(rng.randrange(9), e.labels[0]) for e in map(objects.entry, range(3)) if e], rng.randrange(2)
            ),
            objects.finalized,
            objects.restored,
        )
    )()


def _kept_changes(rng: random.Random, kept: Kept) -> None:
    session, role, content = rng.randrange(2), rng.choice(ROLES), bytes((rng.randrange(2),))
    rng.choice(
        (
            *(lambda: kept.begin(session, role, rng.choice([*Mech]), rng.choice((None, 0, 1))),) * 2,
            lambda: kept.end(session, role),
            lambda: kept.keep(rng.choice([*kept.output]), content),
            lambda: kept.keep(CIPHERTEXT, kept.add_part(session, content)),
            lambda: kept.save(session, content),
            lambda: kept.restore(session),
            lambda: kept.sessions_closed({session}),
            kept.forget,
        )
    )()


ROLES = (Role.ENCRYPT, Role.SIGN)
CHANGES = 3000


def test_handles_stand_in_their_places() -> None:
    rng, handles, objects = random.Random(1), Handles(2), Objects(3)
    sessions, things = handles.numbers, objects.numbers
    for _ in range(CHANGES):
        _handles_change(rng, handles)
        _objects_change(rng, objects)
        assert sessions == [handles.session(i) for i in range(3)]
        assert things == [objects.handle(i) for i in range(4)]


def test_who_remembers_objects_is_told_of_every_change() -> None:
    told: list[None] = []
    rng, objects = random.Random(1), Objects(3, lambda: told.append(None))

    def remembered() -> Any:
        return [(objects.kind(i), e.label if (e := objects.entry(i)) else None) for i in range(4)]

    _check_told(told, remembered, lambda: _objects_change(rng, objects))


def test_who_remembers_outputs_is_told_of_every_change() -> None:
    told: list[None] = []
    rng, kept = random.Random(1), Kept(lambda: told.append(None))

    def remembered() -> Any:
        mechanisms = [kept.mechanism(session, role) for session in range(2) for role in ROLES]
        return kept.saved, dict(kept.output), mechanisms, kept.saved_key(Role.ENCRYPT), kept.saved_key(Role.SIGN)

    _check_told(told, remembered, lambda: _kept_changes(rng, kept))


def test_what_is_active_stands_in_sets_that_stay() -> None:
    kept = Kept()
    places = [(session, role) for session in range(2) for role in ROLES]
    sets = [kept.active(*place) for place in places]

    def active() -> list[bool]:
        assert all(now is first for now, first in zip((kept.active(*place) for place in places), sets, strict=True))
        return [*map(bool, sets)]

    for session, role in places:
        kept.begin(session, role, Mech.AES_ECB, 0)
    assert active() == [True] * 4
    kept.end(0, Role.SIGN)
    assert active() == [True, False, True, True]
    kept.save(0, b"state")
    kept.restore(1)
    assert active() == [True, False, True, False]
    kept.sessions_closed({1})
    assert active() == [False, False, True, False]
    kept.restore(0)
    assert active() == [True, False, True, False]
    kept.forget()
    assert active() == [False] * 4
    assert kept.saved_key(Role.ENCRYPT) is None


def _check_told(told: list[None], remembered: Callable[[], Any], change: Callable[[], None]) -> None:
    quiet = 0
    for _ in range(CHANGES):
        before = remembered()
        told.clear()
        change()
        assert told or remembered() == before
        quiet += not told
    assert quiet > CHANGES / 5


# The same as Raw.call, whatever the module does.

CODES = (CKR.OK,) * 6 + (
    CKR.BUFFER_TOO_SMALL,
    CKR.SESSION_HANDLE_INVALID,
    CKR.GENERAL_ERROR,
    CKR.CRYPTOKI_ALREADY_INITIALIZED,
    CKR.ATTRIBUTE_SENSITIVE,
)
CONTENT_SHOWN = 512
"""Octets of an argument that the scripted module looks at."""


POINTING = ("CK_MECHANISM", "CK_C_INITIALIZE_ARGS")
"""Records with pointers to what every adapter has of its own."""


def _template(array: Any, count: int) -> list[Any]:
    shown = [(a.type, a.ulValueLen, bool(a.pValue)) for a in array[0:count]]
    values = [bytes(ffi.buffer(a.pValue, a.ulValueLen)) if a.pValue else b"" for a in array[0:count]]
    return [*zip(shown, values, strict=True)]


class Chance:
    """A module that answers at random, by a seed, and remembers all that it was given."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.given: list[Any] = []
        self.functions = {name: self._function(name) for name in SIGNATURES}

    def _function(self, name: str) -> Callable[..., int]:
        def function(*words: Any) -> int:
            following = [*zip(words, (*words[1:], 0), strict=True)]
            self.given.append((name, *(self._shown(word, after) for word, after in following)))
            code = self.random.choice(CODES)
            if self.random.random() < 0.9:
                for word, after in following:
                    self._fill(name, word, after)
            return code

        return function

    def _shown(self, word: Any, after: Any) -> Any:
        if not isinstance(word, ffi.CData):
            return int(word)
        kind = ffi.typeof(word)
        if not word or kind.kind == "function" or kind.item.kind == "void" or kind.item.cname in POINTING:
            return kind.cname, bool(word)
        if kind.item.cname == "CK_ATTRIBUTE":
            return kind.cname, _template(word, after)
        if kind.kind == "array":
            return bytes(ffi.buffer(word))[:CONTENT_SHOWN]
        return kind.cname, bytes(ffi.buffer(word, ffi.sizeof(kind.item)))

    def _fill(self, name: str, word: Any, after: Any) -> None:
        if not isinstance(word, ffi.CData) or not word or ffi.typeof(word).kind == "function":
            return
        kind, number = ffi.typeof(word).cname, self.random.randrange(1, 6)
        if kind.startswith("unsigned long"):
            word[0] = number
        elif "INFO" in kind and "FUNCTION" not in kind:
            ffi.buffer(word)[:] = self.random.choice((junk(1), b"\1", b"\5")) * len(ffi.buffer(word))
        elif name == "C_GetAttributeValue" and "ATTRIBUTE" in kind:
            for wanted in word[0:after]:
                wanted.ulValueLen = number = self.random.choice((1, 8, 2**64 - 1))
                if wanted.pValue and number < 10:
                    ffi.memmove(wanted.pValue, bytes(number), number)
        elif kind == "unsigned char[65536]" and isinstance(after, ffi.CData):  # output, for its length comes back
            word[0:4] = bytes((number,)) * 4


@pytest.fixture(scope="module")
def every_call(model: Model) -> Sequence[Call]:
    return [c for f in model.functions.values() for c in f.calls(SCOPE) if in_scope(model, SCOPE, c)]


STEPS, DIFFERENT = 2500, 60
AGAIN = {"C_OpenSession": 5, "C_CreateObject": 5, "C_DigestInit": 5, "C_EncryptInit": 5}


def _some(rng: random.Random, raw: Raw, every_call: Sequence[Call]) -> list[Call]:
    """Calls of every function, some of which come more often."""
    every = dict.fromkeys(c.function for c in every_call)
    by_function = {name: [c for c in every_call if c.function == name and raw.supports(c)] for name in every}
    names = [*every, *(name for name, times in AGAIN.items() for _ in range(times))]
    return [rng.choice(by_function[name]) for name in (*every, *rng.choices(names, k=DIFFERENT))]


@pytest.mark.parametrize("seed", range(8))
def test_a_module_cannot_tell_ready_calls_from_others(
    every_call: Sequence[Call], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects_module, "time_ns", lambda: 10**18)
    rng = random.Random(seed)
    chances = [Chance(seed) for _ in range(2)]
    adapters = []
    for chance in chances:
        monkeypatch.setattr(raw_module, "load", lambda *_, listed=chance.functions: listed)
        adapters.append(Raw("chance", BINDING))
    plain, quick = adapters
    calls = _some(rng, plain, every_call)
    quickly = quick.ready(calls)
    again = 0
    for _ in range(STEPS):
        number = rng.randrange(len(calls))
        again += number in quickly.made
        expected, seen = plain.call(calls[number]), made(quickly, number)
        assert seen == expected, calls[number]
        assert chances[1].given == chances[0].given, calls[number]
        for chance in chances:
            chance.given.clear()
        if rng.random() < 0.01:
            restore = rng.random() < 0.5
            for adapter, chance in zip(adapters, chances, strict=True):
                adapter.application.initialization = Initialization()  # else chance has C_Finalize fail too often
                adapter.reset(restore)
                chance.given.clear()
    assert again > STEPS / 5, "nearly every call was made for the first time"


# On SoftHSM.

SEQUENCES, LENGTH = 12, 150
START = (Call("C_Initialize"), Call("C_OpenSession"), Call("C_Login"))
KEYLESS = (Mech.SHA256, Mech.UNKNOWN)
MAKERS = {
    "C_GenerateKey": (Mech.AES_KEY_GEN, Mech.GENERIC_SECRET_KEY_GEN),
    "C_GenerateKeyPair": (Mech.EC_KEY_PAIR_GEN,),
    "C_DeriveKey": (Mech.ECDH1_DERIVE,),
}
RARE = frozenset({"C_Finalize", "C_CloseAllSessions", "C_InitToken", "C_CloseSession", "C_Logout"})


@pytest.fixture(scope="module")
def soft() -> Iterator[module.Module]:
    if softhsm2.find() is None:
        pytest.skip("SoftHSM is not installed: install softhsm2")
    found = softhsm2.provision()
    yield found
    found.discard()


def _compare(seed: int, soft: module.Module, every_call: Sequence[Call], out: Connection) -> None:
    """Make sequences twice, and send the first call that differs, or how often each function was called."""
    rng = random.Random(seed)
    raw = Raw(soft.library, soft.binding, soft.restore)
    harmless = [c for c in every_call if c.args.mechanism in MAKERS.get(c.function, KEYLESS)]
    calls = [*START, *_some(rng, raw, harmless)]
    quickly = raw.ready(calls)
    counted = dict.fromkeys((c.function for c in every_call), 0)
    for _ in range(SEQUENCES):
        numbers = [*range(len(START))]
        while len(numbers) < LENGTH:
            number = rng.randrange(len(calls))
            if calls[number].function not in RARE or rng.random() < 0.2:
                numbers.append(number)
        raw.reset(restore_token=True)
        expected = [raw.call(calls[number]) for number in numbers]
        raw.reset(restore_token=True)
        for number, plain in zip(numbers, expected, strict=True):
            seen = made(quickly, number)
            counted[calls[number].function] += 1
            if seen != plain:
                out.send(f"{calls[number]} gives {seen}, not {plain}")
                return
    out.send(counted)


@pytest.mark.module
@pytest.mark.parametrize("seed", range(3))
def test_softhsm_answers_ready_calls_as_it_answers_others(
    soft: module.Module, every_call: Sequence[Call], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in soft.environment.items():
        monkeypatch.setenv(name, value)
    ours, theirs = get_context("fork").Pipe(duplex=False)
    walk = get_context("fork").Process(target=_compare, args=(seed, soft, every_call, theirs))
    walk.start()
    theirs.close()
    try:
        told = ours.recv()
    except EOFError:
        walk.join()
        pytest.skip(f"SoftHSM ended the walk: exit code {walk.exitcode}")
    walk.kill()
    walk.join()
    soft.restore()
    assert isinstance(told, dict), told
    assert min(told.values()) > 0, told
