"""What each policy lets through, for every call and every state that it leads to."""

from dataclasses import replace
from itertools import chain, combinations

import pytest
from conftest import ONE_SLOT

from p11conform.model.call import Args, Call
from p11conform.model.oracle import Model, build, in_scope, permitted, successors
from p11conform.model.state import Login, Pin, Session, Slot, State
from p11conform.model.vocabulary import CKU, Version
from p11conform.properties.cover import all_calls
from p11conform.properties.policy import Policy, anything, expendable, harmless

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


@pytest.mark.parametrize("users", GIVEN, ids=lambda users: "+".join(sorted(u.name for u in users)) or "nobody")
@pytest.mark.parametrize("version", [Version.V2_01, Version.V2_40])
def test_harmless_neither_writes_nor_guesses(users: frozenset[CKU], version: Version) -> None:
    seen = changes(build(version), harmless(users))
    assert len(seen) > 100
    assert [call for call, before, now in seen if kept(before) != kept(now)] == []
    assert [call for call, before, now in seen if guessed(before, now)] == []


@pytest.mark.parametrize("users", GIVEN)
def test_harmless_logs_in_only_those_whose_pin_was_given(users: frozenset[CKU], model: Model) -> None:
    own = {CKU.SO: Pin.SO, CKU.USER: Pin.USER}
    logins = {(c.args.user, c.args.pin) for c in allowed(model, harmless(users)) if c.function == "C_Login"}
    assert logins == {(u, own[u]) for u in users}
    assert not harmless(frozenset(CKU))(ONE_SLOT, Call("C_Login", Args(user=CKU.CONTEXT_SPECIFIC)))


def test_harmless_lets_everything_else_through(model: Model) -> None:
    barred = allowed(model, anything) - allowed(model, harmless(frozenset()))
    assert {c.function for c in barred} == {"C_InitToken", "C_InitPIN", "C_SetPIN", "C_Login"}
    assert not {c.function for c in barred} & {c.function for c in allowed(model, harmless(frozenset()))}


def test_expendable_never_changes_the_so_pin(model: Model) -> None:
    assert [call for call, before, now in changes(model, expendable) if now.so_pin != before.so_pin] == []


def test_expendable_never_guesses_the_so_pin(model: Model) -> None:
    """By C_SetPIN neither, which is about the SO PIN while the SO is logged in."""
    seen = changes(model, expendable)
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
