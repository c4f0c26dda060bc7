"""Wrong PINs in a row, until a token that locks PINs has locked one, and what brings it back: told without a search."""

from collections.abc import Iterator
from typing import Final

from ...model.call import Call
from ...model.oracle import Model, following
from ...model.state import Pin, State
from ...model.vocabulary import CKR, CKU
from ..policy import Policy
from .setups import BEGIN, Way, follow, known, plain

MOST_GUESSES: Final = 4
"""Wrong PINs in a row. How many lock one is for the token to say (A-43); most that lock one at all take three."""

_OF_USER: Final = {CKU.USER: Pin.USER, CKU.SO: Pin.SO}

_BY_SO: Final = (
    plain("C_Login", user=CKU.SO, pin=Pin.SO),
    plain("C_InitPIN", new_pin=Pin.USER),
    plain("C_Logout"),
    plain("C_Login"),
)
_BY_NEW_TOKEN: Final = (
    plain("C_CloseSession"),
    plain("C_InitToken", pin=Pin.SO),
    plain("C_OpenSession"),
    *_BY_SO,
)


def guesses(model: Model, initial: State, policy: Policy) -> Iterator[tuple[Way, Way]]:
    """Ways to a session, each with a PIN given wrongly in it, again and again, then rightly, and set anew by the SO.

    Nothing where a PIN may not be given wrongly after it was.
    """
    s = follow(model, initial, BEGIN)
    if s is None or not initial.slots[0].initialized or initial.slots[0].user_pin == Pin.NULL:
        return
    for user, pin in _OF_USER.items():
        login = plain("C_Login", user=user, pin=pin)
        wrong = plain("C_Login", user=user, pin=Pin.WRONG)
        yield from _tried(model, s, policy, wrong, login, unlock=user is CKU.USER)
    change = plain("C_SetPIN", pin=Pin.WRONG, new_pin=Pin.OTHER)
    yield from _tried(model, s, policy, change, plain("C_Login"), unlock=True)


def _tried(
    model: Model, s: State, policy: Policy, wrong: Call, right: Call, *, unlock: bool
) -> Iterator[tuple[Way, Way]]:
    if not all(known(model, call) for call in (wrong, right)):
        return
    tried = (*(wrong,) * MOST_GUESSES, right)
    failed = following(model, s, wrong, CKR.PIN_INCORRECT)
    if not all(policy(t, call) for t in (s, *failed) for call in (wrong, right)):
        return
    for way in (_BY_SO, _BY_NEW_TOKEN) if unlock else ((),):
        if all(known(model, call) and policy(failed[0], call) for call in way):
            yield BEGIN, (*tried, *way)
