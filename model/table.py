"""The rule table: every function of the model, in the order of the standard's chapters."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from .chapters import (
    asynchronous,
    cancelling,
    ciphers,
    digests,
    dual,
    general,
    keys,
    messages,
    objects,
    parallel,
    randomness,
    searches,
    sessions,
    signatures,
    slots,
)
from .chapters.conditions import session_valid, slot_known
from .rule import Condition, Function, Guarded, only_where
from .vocabulary import CKR

CHAPTERS = (
    general,
    slots,
    sessions,
    cancelling,
    objects,
    searches,
    ciphers,
    digests,
    signatures,
    messages,
    dual,
    keys,
    randomness,
    parallel,
    asynchronous,
)


def _subject(f: Function) -> Condition | None:
    """That the session handle or the slot ID of a call is valid, so that there is something for it to change."""
    if f.signature.takes_session:
        return session_valid
    return slot_known if "slot" in f.uses else None


def _settled(f: Function) -> Function:
    """A function whose rows have what it is `given` in their conditions, and whose errors change only what is there.

    Errors in the handle have no order against others (A-02), so that any of them may come where there is no session.
    """
    given, subject = f.given, _subject(f)
    rules, effects = f.rules, f.effects
    if given is not None:
        rules = tuple(r if r.unguarded else replace(r, when=Guarded(given, r.when)) for r in rules)
    if subject is not None:
        failing = {e for e in effects if e.on != {CKR.OK}}
        effects = tuple(replace(e, change=only_where(subject, e.change)) if e in failing else e for e in effects)
    return replace(f, rules=rules, effects=effects, given=None)


TABLE: Mapping[str, Function] = {f.name: _settled(f) for chapter in CHAPTERS for f in chapter.FUNCTIONS}


def functions_where(belongs: Callable[[Function], bool]) -> frozenset[str]:
    """The names of the functions of the table of which something is true."""
    return frozenset(name for name, f in TABLE.items() if belongs(f))
