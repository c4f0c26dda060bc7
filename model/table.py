"""The rule table: every function of the model, in the order of the standard's chapters."""

from collections.abc import Mapping
from dataclasses import replace

from .chapters import (
    ciphers,
    digests,
    dual,
    general,
    keys,
    objects,
    parallel,
    randomness,
    searches,
    sessions,
    signatures,
    slots,
)
from .rule import Function, guarded

CHAPTERS = (
    general,
    slots,
    sessions,
    objects,
    searches,
    ciphers,
    digests,
    signatures,
    dual,
    keys,
    randomness,
    parallel,
)


def _settled(f: Function) -> Function:
    """A function whose rows have what it is `given` in their conditions."""
    if f.given is None:
        return f
    given = f.given
    rules = tuple(r if r.unguarded else replace(r, when=guarded(given, r.when)) for r in f.rules)
    return replace(f, rules=rules, given=None)


TABLE: Mapping[str, Function] = {f.name: _settled(f) for chapter in CHAPTERS for f in chapter.FUNCTIONS}
