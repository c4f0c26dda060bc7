"""The rule table: every function of the model, in the order of the standard's chapters."""

from collections.abc import Mapping

from . import (
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
from .rule import Function

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

TABLE: Mapping[str, Function] = {f.name: f for chapter in CHAPTERS for f in chapter.FUNCTIONS}
