"""What an honest module may answer about objects and keys, by the items of an audit of the table against the text.

Each case is a habit that the text allows, and that a table once called a fault.
"""

from dataclasses import dataclass
from typing import Any

import pytest
from conftest import INIT, LOGIN, LOGIN_SO, OBJECTS, OPEN, OPEN_RO, Step, after, codes

from p11conform.adapters.handles import Issued
from p11conform.adapters.objects import Entry, Objects
from p11conform.model.call import Args, Attribute, Buffer, Call, Data, Flaw, Observation, Setting
from p11conform.model.decide import forbids_ok
from p11conform.model.oracle import build, in_scope, outputs, permitted, successors
from p11conform.model.rule import Rule, Strength
from p11conform.model.state import Kept, Kind, Login, Mech, Object, Origin, Pin, Session, Slot, State, Trait
from p11conform.model.table import TABLE
from p11conform.model.vocabulary import CKR, Version
from p11conform.properties.engine.verdict import Outcome, judge

MODEL = build()
ONE = State(objects=OBJECTS)
TEMPLATE = (
    "ATTRIBUTE_READ_ONLY ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID TEMPLATE_INCOMPLETE TEMPLATE_INCONSISTENT"
)


def of(function: str, **given: Any) -> Call:
    return Call(function, Args(**given))


def holding(*objects: Object, login: Login = Login.USER, rw: bool = True, **slot: Any) -> State:
    """A session, and objects whose handles are known."""
    free = (Object(),) * 2
    return State(True, (Slot(login=login, **slot),), (Session(True, 0, rw), Session()), (*objects, *free))


def there(kind: Kind = Kind.AES, **given: Any) -> Object:
    return Object(True, True, kind, **given)


NOBODY = Login.NOBODY
GENERATE = of("C_GenerateKey", mechanism=Mech.AES_KEY_GEN)
PAIR = of("C_GenerateKeyPair", mechanism=Mech.EC_KEY_PAIR_GEN)
DERIVE = of("C_DeriveKey", mechanism=Mech.ECDH1_DERIVE)
UNWRAP = of("C_UnwrapKey", mechanism=Mech.AES_KEY_WRAP, data=Data.KEPT)
WRAP = of("C_WrapKey", mechanism=Mech.AES_KEY_WRAP, other_key=1)
CREATE, COPY, DESTROY = (of(f"C_{x}Object") for x in ("Create", "Copy", "Destroy"))
READ, CHANGE, SIZE = of("C_GetAttributeValue"), of("C_SetAttributeValue"), of("C_GetObjectSize")
DATA, CERTIFICATE = of("C_CreateObject", kind=Kind.DATA), of("C_CreateObject", kind=Kind.CERTIFICATE)
PUBLIC = of("C_CreateObject", kind=Kind.RSA_PUBLIC)

WRITING = (CREATE, DATA, COPY, DESTROY, CHANGE, GENERATE, PAIR, UNWRAP, DERIVE)


def with_args(call: Call, **given: Any) -> Call:
    """A call with other arguments beside its own."""
    own = {name: getattr(call.args, name) for name in Args.__slots__}
    return Call(call.function, Args(**{**own, **given}))


@dataclass(frozen=True)
class Habit:
    """What a module may answer, by the item of the audit."""

    item: str
    state: State
    call: Call
    answers: str

    def __str__(self) -> str:
        given = {k: v for k in Args.__slots__ if (v := getattr(self.call.args, k)) != getattr(Args(), k)}
        words = ",".join(f"{k}={getattr(v, 'name', v)}" for k, v in given.items())
        return f"{self.item}-{self.call.function}({words})"


TWO_VALUES = {"flaw": Flaw.TWO_VALUES}
AES, SECRET, PLAIN_DATA = there(), there(Kind.GENERIC_SECRET), there(Kind.DATA)
PRIVATE = there(private=True)
KEYS = holding(AES, SECRET)
WRAPPED = Kept(True, Mech.AES_KEY_WRAP, 0, Kind.AES)
EXPIRED: dict[str, Any] = {"user_pin_to_be_changed": True}
RSA = Mech.RSA_PKCS

HABITS = [
    *(
        Habit("W1", KEYS, with_args(call, **TWO_VALUES), "OK TEMPLATE_INCONSISTENT")
        for call in (CREATE, COPY, GENERATE, PAIR)
    ),
    Habit("W1", holding(AES, AES), with_args(UNWRAP, **TWO_VALUES), "TEMPLATE_INCONSISTENT OK"),
    Habit("W1", holding(there(Kind.EC_PRIVATE)), with_args(DERIVE, **TWO_VALUES), "OK"),
    Habit("W3", KEYS, with_args(WRAP, buffer=Buffer.SHORT), "OK BUFFER_TOO_SMALL"),
    Habit("W3", holding(AES, there(Kind.RSA_PRIVATE)), with_args(WRAP, buffer=Buffer.SHORT), "BUFFER_TOO_SMALL"),
    Habit("W5", KEYS, with_args(CHANGE, attribute=Attribute.CLASS), "OK ATTRIBUTE_READ_ONLY"),
    Habit("W5", KEYS, with_args(CHANGE, attribute=Attribute.LOCAL), "OK ATTRIBUTE_READ_ONLY"),
    Habit(
        "W5",
        holding(there(origin=Origin.IMPORTED)),
        with_args(CHANGE, attribute=Attribute.VALUE),
        "OK ATTRIBUTE_READ_ONLY",
    ),
    *(Habit("M2", KEYS, call, f"OK {TEMPLATE}") for call in (DATA, CERTIFICATE, COPY, GENERATE, PAIR)),
    Habit("M2", holding(there(Kind.EC_PRIVATE)), DERIVE, f"OK {TEMPLATE}"),
    *(
        Habit("M3", holding(AES, login=NOBODY), call, "USER_NOT_LOGGED_IN TOKEN_WRITE_PROTECTED")
        for call in WRITING
        if call is not DERIVE
    ),
    Habit("M3", holding(there(Kind.EC_PRIVATE), login=NOBODY), DERIVE, "OK USER_NOT_LOGGED_IN TOKEN_WRITE_PROTECTED"),
    *(
        Habit("M3", holding(AES, login=Login.SO), call, "USER_NOT_LOGGED_IN TOKEN_WRITE_PROTECTED")
        for call in (CREATE, DESTROY)
    ),
    *(Habit("M3", holding(AES, write_protected=True), call, "OK TOKEN_WRITE_PROTECTED") for call in (CREATE, CHANGE)),
    *(Habit("M4", KEYS, call, "OK ACTION_PROHIBITED") for call in (COPY, CHANGE, DESTROY)),
    Habit("M4", holding(PLAIN_DATA, rw=False), DESTROY, "OK ACTION_PROHIBITED"),
    Habit("M5", KEYS, CHANGE, "OK ATTRIBUTE_READ_ONLY"),
    Habit("M5", KEYS, COPY, "OK ATTRIBUTE_READ_ONLY TEMPLATE_INCONSISTENT"),
    *(Habit("M6", KEYS, with_args(call, object=2), "ARGUMENTS_BAD") for call in (READ, CHANGE, SIZE, DESTROY, COPY)),
    *(Habit("M6", KEYS, with_args(call, key=2), "ARGUMENTS_BAD") for call in (WRAP, UNWRAP)),
    Habit("M6", KEYS, with_args(WRAP, other_key=2), "ARGUMENTS_BAD"),
    Habit("M6", KEYS, with_args(READ, attribute=Attribute.UNKNOWN), "ARGUMENTS_BAD"),
    *(Habit("M6", KEYS, with_args(call, flaw=Flaw.BAD_VALUE), "ARGUMENTS_BAD") for call in (CREATE, GENERATE)),
    *(Habit("M7", holding(PRIVATE, **EXPIRED), call, "OK PIN_EXPIRED") for call in (READ, SIZE)),
    *(Habit("M8", KEYS, call, "OK EXCEEDED_MAX_ITERATIONS") for call in (GENERATE, PAIR)),
    Habit("M8", KEYS, PAIR, "FIPS_SELF_TEST_FAILED"),
    Habit("M9", KEYS, PUBLIC, "OK PUBLIC_KEY_INVALID"),
    Habit(
        "M10",
        holding(there(Kind.RSA_PRIVATE), SECRET),
        with_args(WRAP, mechanism=RSA),
        "KEY_FUNCTION_NOT_PERMITTED WRAPPING_KEY_TYPE_INCONSISTENT",
    ),
    Habit(
        "M10",
        holding(there(Kind.RSA_PUBLIC)),
        with_args(UNWRAP, mechanism=RSA),
        "KEY_FUNCTION_NOT_PERMITTED UNWRAPPING_KEY_TYPE_INCONSISTENT",
    ),
    Habit("M11", KEYS, with_args(WRAP, key=2), "KEY_HANDLE_INVALID WRAPPING_KEY_HANDLE_INVALID"),
    Habit("M11", holding(PLAIN_DATA, SECRET), WRAP, "WRAPPING_KEY_HANDLE_INVALID WRAPPING_KEY_TYPE_INCONSISTENT"),
    Habit("M11", holding(PLAIN_DATA), UNWRAP, "UNWRAPPING_KEY_HANDLE_INVALID UNWRAPPING_KEY_TYPE_INCONSISTENT"),
    *(Habit("A-23", KEYS, with_args(call, key=2), "OBJECT_HANDLE_INVALID") for call in (WRAP, UNWRAP, DERIVE)),
    Habit("A-23", KEYS, with_args(WRAP, other_key=2), "KEY_HANDLE_INVALID OBJECT_HANDLE_INVALID"),
    *(
        Habit("M16", holding(PRIVATE, SECRET, login=NOBODY, login_required=False), call, "USER_NOT_LOGGED_IN")
        for call in (WRAP, with_args(DERIVE), with_args(WRAP, key=1, other_key=0))
    ),
    Habit("O11", KEYS, with_args(WRAP, other_key=0), "OK ARGUMENTS_BAD KEY_HANDLE_INVALID"),
]


@pytest.mark.parametrize("habit", HABITS, ids=str)
def test_an_honest_module_may_answer_so(habit: Habit) -> None:
    assert codes(habit.answers) <= permitted(MODEL, habit.state, habit.call)


ADVICE = [
    ("W1", CREATE.function, CKR.TEMPLATE_INCONSISTENT, "attribute with two values", Strength.SHOULD),
    ("W1", GENERATE.function, CKR.TEMPLATE_INCONSISTENT, "attribute with two values", Strength.SHOULD),
    ("W5", CHANGE.function, CKR.ATTRIBUTE_READ_ONLY, "attribute read only", Strength.SHOULD),
    ("W5", CHANGE.function, CKR.ATTRIBUTE_READ_ONLY, "value of key set", Strength.SHOULD),
    ("L2", UNWRAP.function, CKR.WRAPPED_KEY_LEN_RANGE, "blob of impossible length", Strength.INFERRED),
    *(
        ("L2", name, CKR.SESSION_READ_ONLY, "token object in read only session", Strength.INFERRED)
        for name in ("C_CreateObject", "C_CopyObject", "C_GenerateKey", "C_GenerateKeyPair", "C_UnwrapKey")
    ),
    *(
        ("L2", call.function, CKR.SESSION_READ_ONLY, "writing token object in read only session", Strength.INFERRED)
        for call in (DESTROY, CHANGE)
    ),
]


def rows(function: str, code: CKR, condition: str) -> list[Rule]:
    return [r for r in TABLE[function].rules if r.code is code and r.condition == condition]


@pytest.mark.parametrize(("item", "function", "code", "condition", "strength"), ADVICE)
def test_a_row_is_as_firm_as_the_text(item: str, function: str, code: CKR, condition: str, strength: Strength) -> None:
    for version in Version:
        held = [r for r in rows(function, code, condition) if r.since <= version <= r.until]
        assert {r.strength for r in held} == {strength}, item


PLACES = [
    (UNWRAP.function, CKR.WRAPPED_KEY_INVALID, "blob fails integrity check", "5.1.6 CKR_WRAPPED_KEY_INVALID"),
    *(
        (name, CKR.SESSION_READ_ONLY, "token object in read only session", "5.1.6 CKR_SESSION_READ_ONLY")
        for name in ("C_GenerateKey", "C_GenerateKeyPair", "C_UnwrapKey", "C_DeriveKey")
    ),
]


@pytest.mark.parametrize(("function", "code", "condition", "place"), PLACES)
def test_a_row_cites_where_its_sentence_stands(function: str, code: CKR, condition: str, place: str) -> None:
    """L1: not the section of the function, whose prose does not name the code."""
    assert {r.place for r in rows(function, code, condition)} == {place}


def test_two_labels_leave_either() -> None:
    """W1: a token that takes the second of two labels shows it afterwards."""
    call = with_args(CREATE, **TWO_VALUES)
    made = successors(MODEL, KEYS, call, CKR.OK)
    assert {s.objects[2].labelled for s in made} == {False, True}
    pair = successors(MODEL, KEYS, with_args(PAIR, **TWO_VALUES), CKR.OK)
    assert {(s.objects[2].labelled, s.objects[3].labelled) for s in pair} == {(False, False), (False, True)}
    assert all(not x.labelled for s in successors(MODEL, KEYS, CREATE, CKR.OK) for x in s.objects)


def test_a_wrapped_key_is_kept_whatever_room_was_told() -> None:
    """W3: a buffer one below an overstated length is large enough."""
    for buffer, kept in ((Buffer.ENOUGH, True), (Buffer.SHORT, True), (Buffer.NULL, False)):
        (s,) = successors(MODEL, KEYS, with_args(WRAP, buffer=buffer), CKR.OK)
        assert s.wrapped.valid is kept


def test_nobody_sets_a_key_to_another_value() -> None:
    """W5: where success is no fault, what the key is afterwards must be known."""
    value = with_args(CHANGE, attribute=Attribute.VALUE)
    for origin, setting, followed in (
        (Origin.IMPORTED, Setting.LEGAL, True),
        (Origin.IMPORTED, Setting.ILLEGAL, False),
        (Origin.GENERATED, Setting.LEGAL, False),
    ):
        call = with_args(value, setting=setting)
        assert in_scope(MODEL, holding(there(origin=origin)), call) is followed


BUSY = (INIT, OPEN, LOGIN, CREATE, CREATE, Call("C_FindObjectsInit"))
FIND = Call("C_FindObjects")


def found(steps: tuple[Step, ...], mask: int) -> bool:
    """Whether a search may give these objects."""
    beliefs = after(MODEL, ONE, steps)
    verdict, _ = judge(MODEL, beliefs, FIND, Observation(CKR.OK, (("found", mask), ("strangers", 0))))
    return verdict.outcome is Outcome.PASS


@pytest.mark.parametrize(("mask", "legal"), [(0b11, True), (0b01, True), (0b10, True), (0, False)])
def test_a_search_may_come_in_batches_but_not_empty(mask: int, legal: bool) -> None:
    """E4: the end of a search is told by 0 only."""
    assert found(BUSY, mask) is legal


def test_a_search_for_one_object_finds_it() -> None:
    """E4: a batch of none is the end."""
    one = tuple(step for k, step in enumerate(BUSY) if k != 3)
    assert found(one, 0b1)
    assert not found(one, 0)


def test_what_a_batch_left_out_may_be_unknown() -> None:
    """E4: handles lost with the library are known again once they were given."""
    kept = with_args(CREATE, token=True)
    lost = (INIT, OPEN, LOGIN, kept, kept, Call("C_Finalize"), INIT, OPEN, LOGIN, Call("C_FindObjectsInit"))
    beliefs = after(MODEL, ONE, lost)
    _, left = judge(MODEL, beliefs, FIND, Observation(CKR.OK, (("found", 0b01), ("strangers", 0))))
    assert all(s.objects[0].known for s in left)
    assert {s.objects[1].known for s in left} == {False, True}
    _, all_met = judge(MODEL, beliefs, FIND, Observation(CKR.OK, (("found", 0b11), ("strangers", 0))))
    assert any(s.objects[1].known for s in all_met)


def test_an_object_whose_label_a_token_dropped_is_found_by_its_handle() -> None:
    objects = Objects(2)
    objects.made((7, Entry(Kind.AES, 0, None, False, objects.new_label())))
    assert objects.find([(7, b"")], 0) == (0b1, 0)
    assert objects.find([(8, b"")], 0) == (0, 0)


def test_tokens_number_their_objects_each_for_itself() -> None:
    """E11: a handle is its token's (3.4), so that another token may give the same one."""
    objects = Objects(4)
    here, there = (Entry(Kind.AES, slot, None, False, b"") for slot in (0, 1))
    assert [objects.made((7, here)), objects.made((7, there))] == [Issued.FRESH] * 2
    assert objects.find([(7, b"")], 1) == (0b10, 0)
    assert objects.made((7, there)) is Issued.DUPLICATE
    assert objects.made((8, here), (8, here)) is Issued.DUPLICATE


def test_a_key_is_not_made_without_a_template() -> None:
    """E10: CKA_PRIVATE and what the key may serve for would be the token's choice."""
    assert Flaw.EMPTY not in MODEL.functions["C_GenerateKey"].domain("flaw", ONE)


def test_what_no_template_says_is_not_counted_on() -> None:
    """Only an object made unmodifiable says of itself that it is."""
    modifiable = with_args(READ, attribute=Attribute.MODIFIABLE)

    def said(trait: Trait) -> list[int]:
        (values,) = (v for n, v in outputs(MODEL, holding(there(trait=trait)), modifiable, CKR.OK) if n == "value")
        return list(values)

    assert said(Trait.PLAIN) == []
    assert said(Trait.UNMODIFIABLE) == [0]


def test_the_so_makes_no_private_object() -> None:
    """What the audit leaves firm: 5.1.6 has it for an example of the code."""
    s = after(MODEL, ONE, (INIT, OPEN, LOGIN_SO))
    assert all(CKR.OK not in permitted(MODEL, x, with_args(CREATE, private=True)) for x in s)
    assert any(forbids_ok(r) for r in rows("C_CreateObject", CKR.USER_NOT_LOGGED_IN, "private without user"))


def test_a_read_only_session_makes_no_token_object() -> None:
    """And this: it is inferred, and no less firm."""
    for s in after(MODEL, ONE, (INIT, OPEN_RO, LOGIN)):
        assert CKR.OK not in permitted(MODEL, s, with_args(CREATE, token=True))


@pytest.mark.parametrize("function", ["C_CreateObject", "C_GenerateKey", "C_CopyObject"])
def test_private_objects_where_there_are_no_users_are_not_followed(function: str) -> None:
    """On a token that needs no login and has no user PIN the text does not say whom they are for."""
    model, call = build(), Call(function, Args(private=True, mechanism=Mech.AES_KEY_GEN))
    for needed, pin in ((False, Pin.NULL), (True, Pin.NULL), (False, Pin.USER)):
        slot = Slot(login_required=needed, user_pin=pin)
        s = State(initialized=True, slots=(slot,), sessions=(Session(open=True, rw=True),), objects=(Object(),) * 3)
        assert in_scope(model, s, call) is (needed or pin is Pin.USER)


@pytest.mark.parametrize("call", [CREATE, DATA, GENERATE, PAIR, CHANGE])
def test_a_template_that_the_token_does_not_want_is_no_fit_argument_either(call: Call) -> None:
    s = holding(there())
    assert {CKR.OK, CKR.ARGUMENTS_BAD} <= permitted(MODEL, s, call)
    strict = build(readings={"A-60": "specific code only"})
    assert CKR.ARGUMENTS_BAD not in permitted(strict, s, call)
