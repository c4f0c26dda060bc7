"""What each policy lets through, for every call and every state that it leads to."""

from dataclasses import replace
from itertools import chain, combinations

import pytest
from conftest import CORE, OBJECTS, ONE_SLOT, restricted

from p11conform.model.call import Args, Call, Flaw
from p11conform.model.oracle import Model, build, in_scope, permitted, successors
from p11conform.model.rule import Effect, Function
from p11conform.model.state import Kind, Login, Object, Pin, Session, Slot, State, Trait
from p11conform.model.table import TABLE
from p11conform.model.vocabulary import CKU, Version
from p11conform.properties.policy import (
    KNOWN,
    NOTHING,
    Level,
    Policy,
    Rights,
    Touches,
    anything,
    makes_objects,
    on_token,
)
from p11conform.properties.search.goals import all_calls


def harmless(users: frozenset[CKU]) -> Policy:
    return on_token(Level.SESSION_OBJECTS, users)


expendable = on_token(Level.EVERYTHING, frozenset(CKU))

USERS = (CKU.SO, CKU.USER)
GIVEN = [frozenset(x) for x in chain.from_iterable(combinations(USERS, n) for n in range(3))]

SLOTS = [
    Slot(login=login, user_pin=user_pin, so_failed=failed, user_failed=failed)
    for login in Login
    for user_pin in (Pin.USER, Pin.NULL)
    for failed in (False, True)
    if not (login == Login.USER and user_pin == Pin.NULL)
]
STATES = [
    State(initialized=True, slots=(slot,), sessions=sessions)
    for slot in SLOTS
    for sessions in (
        (Session(), Session()),
        (Session(open=True, rw=True), Session()),
        (Session(open=True, rw=True), Session(open=True)),
    )
    if not (slot.login == Login.SO and Session(open=True) in sessions)
    if slot.login == Login.NOBODY or sessions[0].open
]

KNOWN_OBJECT, UNKNOWN = Object(True, True, Kind.AES), Object(True, False, token=True)
WITH_OBJECTS = [
    State(
        initialized=True,
        slots=(Slot(login=login),),
        sessions=(Session(open=True, rw=True), Session(open=True, rw=False)),
        objects=objects,
    )
    for login in (Login.USER, Login.NOBODY)
    for objects in (
        OBJECTS,
        (KNOWN_OBJECT, Object(), Object()),
        (KNOWN_OBJECT, UNKNOWN, Object()),
        (replace(KNOWN_OBJECT, kind=Kind.EC_PRIVATE, token=True), Object(), Object()),
    )
]


def changes(model: Model, policy: Policy) -> list[tuple[Call, Slot, Slot]]:
    """What allowed calls may do to the token: each call, and the slot before and after it."""
    return [
        (call, before, t.slots[0])
        for s in STATES
        for call in all_calls(model, s)
        if in_scope(model, s, call) and policy(s, call)
        for code in permitted(model, s, call)
        for t in successors(model, s, call, code)
        for before in s.slots
    ]


def allowed(model: Model, policy: Policy) -> set[Call]:
    return {call for s in STATES for call in all_calls(model, s) if policy(s, call)}


def kept(slot: Slot) -> Slot:
    """What a token holds, less who is logged in and which PINs were tried."""
    return replace(slot, login=Login.NOBODY, so_failed=False, user_failed=False)


def guessed(before: Slot, now: Slot) -> list[str]:
    return [who for who in ("so_failed", "user_failed") if getattr(now, who) and not getattr(before, who)]


def objects_of_tokens(model: Model, policy: Policy) -> set[str]:
    """The functions by which allowed calls make, change or destroy a token's objects."""
    return {
        call.function
        for s in WITH_OBJECTS
        for f in restricted(model, set(model.functions) - CORE).functions.values()
        if f.effects
        for call in f.calls(s)
        if in_scope(model, s, call) and policy(s, call)
        for code in permitted(model, s, call)
        for t in successors(model, s, call, code)
        if [x for x in t.objects if x.token] != [x for x in s.objects if x.token]
    }


def test_objects_and_operations_leave_the_rest_of_a_token_alone(model: Model) -> None:
    """So that the tests of PINs need only look at the core."""
    others = restricted(model, set(model.functions) - CORE)
    assert {call.function for call, before, now in changes(others, anything) if before != now} == set()


CHANGERS = {"C_DestroyObject", "C_SetAttributeValue"}
MAKERS = {
    *(f"C_{x}" for x in ("CreateObject", "CopyObject", "GenerateKey", "GenerateKeyPair", "UnwrapKey", "DeriveKey")),
}
LATER_MAKERS = {"C_EncapsulateKey", "C_DecapsulateKey", "C_UnwrapKeyAuthenticated"}
"""Those that came with v3.2."""


def test_harmless_leaves_the_objects_of_a_token_alone(model: Model) -> None:
    assert objects_of_tokens(model, harmless(frozenset(CKU))) == set()
    assert objects_of_tokens(model, anything) == MAKERS | CHANGERS


@pytest.mark.parametrize("users", GIVEN, ids=lambda users: "+".join(sorted(u.name for u in users)) or "nobody")
@pytest.mark.parametrize("version", [Version.V2_01, Version.V2_40])
def test_harmless_neither_writes_nor_guesses(users: frozenset[CKU], version: Version) -> None:
    seen = changes(restricted(build(version)), harmless(users))
    assert len(seen) > 100
    assert [call for call, before, now in seen if kept(before) != kept(now)] == []
    assert [call for call, before, now in seen if guessed(before, now)] == []


@pytest.mark.parametrize("users", GIVEN)
def test_harmless_logs_in_only_those_whose_pin_was_given(users: frozenset[CKU], model: Model) -> None:
    own = {CKU.SO: Pin.SO, CKU.USER: Pin.USER}
    made = allowed(restricted(model, {"C_Login"}), harmless(users))
    logins = {(c.args.user, c.args.pin) for c in made}
    assert logins == {(u, own[u]) for u in users}
    assert not harmless(frozenset(CKU))(ONE_SLOT, Call("C_Login", Args(user=CKU.CONTEXT_SPECIFIC)))


def test_harmless_changes_only_objects_of_our_own(model: Model) -> None:
    s = WITH_OBJECTS[2]
    calls = [c for name in CHANGERS for c in model.functions[name].calls(s) if harmless(frozenset())(s, c)]
    assert {(c.function, c.args.object) for c in calls} == {(name, 0) for name in CHANGERS}


def test_harmless_lets_everything_else_through(model: Model) -> None:
    let = allowed(model, harmless(frozenset()))
    barred = allowed(model, anything) - let
    wholly = {"C_InitToken", "C_InitPIN", "C_SetPIN", "C_Login"}
    assert {c.function for c in barred} - {c.function for c in let} == wholly | CHANGERS, "no object here is ours"
    assert {c.function for c in barred} - wholly - CHANGERS == MAKERS
    elsewhere = [c for c in barred if c.function not in wholly | CHANGERS and not c.args.token]
    assert {(c.function, c.args.flaw) for c in elsewhere} == {("C_CopyObject", Flaw.EMPTY)}, (
        "copies of what is not ours"
    )


def test_expendable_never_changes_the_so_pin(core: Model) -> None:
    assert [call for call, before, now in changes(core, expendable) if now.so_pin != before.so_pin] == []


def test_expendable_never_guesses_the_so_pin(core: Model) -> None:
    """By C_SetPIN neither, which is about the SO PIN while the SO is logged in."""
    seen = changes(core, expendable)
    assert [call for call, before, now in seen if "so_failed" in guessed(before, now)] == []
    so_in = [call for call, before, _ in seen if before.login == Login.SO]
    assert {"C_InitPIN", "C_Logout"} <= {call.function for call in so_in}


def test_expendable_still_tests_pins(model: Model) -> None:
    made = allowed(model, expendable)
    assert {c.function for c in made} == set(model.functions)
    assert {c.args.pin for c in made if c.function == "C_Login" and c.args.user is CKU.USER} == set(Pin)
    assert {c.args.pin for c in made if c.function == "C_InitToken"} == {Pin.SO}


def test_anything_is_everything(model: Model) -> None:
    assert allowed(model, anything) == {call for s in STATES for call in all_calls(model, s)}


def functions(wanted: str) -> set[str]:
    touches = {name: KNOWN.whatever(name) for name in TABLE}
    assert None not in touches.values(), "every effect can be run"
    return {name for name, touch in touches.items() if touch and getattr(touch, wanted)}


def test_what_functions_do_to_a_token_follows_from_their_effects() -> None:
    assert functions("writes") == {"C_InitToken", "C_InitPIN", "C_SetPIN"}
    assert functions("makes") == functions("makes_kept") == MAKERS | LATER_MAKERS == set(filter(makes_objects, TABLE))
    assert functions("changes") == CHANGERS
    assert functions("counts") == {"C_InitToken", "C_SetPIN", "C_Login", "C_LoginUser"}


def test_a_right_pin_is_not_tried_under_a_name_that_the_token_may_not_have() -> None:
    for level in STRANGERS:
        policy = on_token(level, frozenset(CKU))
        for user, pin in ((CKU.USER, Pin.USER), (CKU.SO, Pin.SO)):
            plain = Args(user=user, pin=pin)
            allowed_named = policy(ONE_SLOT, Call("C_LoginUser", replace(plain, named=True)))
            assert policy(ONE_SLOT, Call("C_LoginUser", plain))
            assert not allowed_named or (level >= Level.PINS and user is CKU.USER), "where a wrong one may be given"


STRANGERS = [level for level in Level if level is not Level.OURS]


@pytest.mark.parametrize("level", STRANGERS)
def test_what_the_model_does_not_know_is_not_done_to_a_strangers_token(level: Level) -> None:
    def odd(_s: State, _a: Args) -> State:
        raise ValueError("cannot be run")

    table = {
        **TABLE,
        "C_Plain": Function("C_Plain", ("session",), ()),
        "C_Odd": Function("C_Odd", ("session",), (), effects=(Effect("odd", odd, "5"),)),
    }
    policy = on_token(level, frozenset(CKU), touches=Touches(table))
    assert policy(ONE_SLOT, Call("C_Plain"))
    assert not policy(ONE_SLOT, Call("C_Odd"))
    assert not policy(ONE_SLOT, Call("C_FormatDisk"))
    assert anything(ONE_SLOT, Call("C_FormatDisk"))


def test_a_function_that_writes_by_an_effect_of_another_name_is_found() -> None:
    by_stealth = replace(
        TABLE["C_GetInfo"], name="C_Quiet", uses=("session", "new_pin"), effects=TABLE["C_InitPIN"].effects
    )
    touch = Touches({"C_Quiet": by_stealth}).whatever("C_Quiet")
    assert touch is not None
    assert touch != NOTHING
    assert touch.writes == {"user_pin"}


@pytest.mark.parametrize("low", STRANGERS[:-1])
def test_each_level_includes_those_before(model: Model, low: Level) -> None:
    every = frozenset(USERS)
    lower, higher = on_token(low, every), on_token(Level(low + 1), every)
    calls = [
        c
        for name in (*MAKERS, *CHANGERS, "C_InitToken", "C_InitPIN", "C_SetPIN", "C_Login")
        for c in model.functions[name].calls(WITH_OBJECTS[1])
    ]
    for s in (*STATES, *WITH_OBJECTS):
        assert [c for c in calls if lower(s, c) and not higher(s, c)] == []


def test_token_objects_are_made_only_if_they_can_be_destroyed_again(model: Model) -> None:
    policy = on_token(Level.TOKEN_OBJECTS, frozenset(USERS))
    s = WITH_OBJECTS[0]
    kept = [c for name in MAKERS for c in model.functions[name].calls(s) if c.args.token and policy(s, c)]
    assert {c.function for c in kept} == MAKERS
    assert Trait.UNDESTROYABLE not in {c.args.trait for c in kept}
    lasting = replace(KNOWN_OBJECT, trait=Trait.UNDESTROYABLE)
    s = replace(s, objects=(lasting, *s.objects[1:]))
    assert policy(s, Call("C_CopyObject"))
    assert not policy(s, Call("C_CopyObject", Args(token=True)))


def test_pins_are_set_only_where_they_can_be_put_back(core: Model) -> None:
    policy = on_token(Level.PINS, frozenset(USERS))
    seen = changes(core, policy)
    assert {now.user_pin for _, before, now in seen if now.user_pin != before.user_pin} == {Pin.OTHER}
    assert [c for c, before, now in seen if (now.initialized, now.so_pin) != (before.initialized, before.so_pin)] == []
    assert [c for c, before, now in seen if "so_failed" in guessed(before, now)] == []
    assert {c.function for c, before, now in seen if "user_failed" in guessed(before, now)} == {"C_Login", "C_SetPIN"}
    tried = Call("C_Login", Args(pin=Pin.WRONG))
    s = State(initialized=True, sessions=(Session(open=True, rw=True), Session()))
    assert policy(s, tried)
    assert not policy(replace(s, slots=(replace(s.slots[0], user_failed=True),)), tried)


@pytest.mark.parametrize(("lasting", "makes"), [(False, True), (True, False)])
def test_what_is_left_where_nothing_is_known_any_more(lasting: bool, makes: bool) -> None:
    least = Rights(Level.EVERYTHING, frozenset(CKU), lasting=lasting).least
    s = WITH_OBJECTS[0]
    assert least(s, Call("C_GetSessionInfo"))
    assert least(s, Call("C_CreateObject")) is makes
    assert not least(s, Call("C_CreateObject", Args(token=True)))
    assert not least(s, Call("C_Login"))


def test_a_pin_is_weighed_where_it_may_be_wrong_and_tries_count() -> None:
    guesses = Rights(Level.PINS, frozenset(CKU)).guesses
    changed = replace(ONE_SLOT, slots=(replace(ONE_SLOT.slots[0], user_pin=Pin.OTHER),))
    assert guesses(ONE_SLOT, Call("C_Login")) == frozenset()
    assert guesses(ONE_SLOT, Call("C_Login", Args(pin=Pin.WRONG))) == {CKU.USER}
    assert guesses(changed, Call("C_Login")) == {CKU.USER}
    assert guesses(ONE_SLOT, Call("C_GetInfo")) == frozenset()
    for level in (Level.TOKEN_OBJECTS, Level.EVERYTHING, Level.OURS):
        assert Rights(level, frozenset(CKU)).guesses(ONE_SLOT, Call("C_Login", Args(pin=Pin.WRONG))) == frozenset()
