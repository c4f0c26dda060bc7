"""The rule table: every function of the model, in the order of the standard's chapters."""

from collections.abc import Mapping

from . import digests, general, sessions, slots
from .rule import Function

CHAPTERS = (general, slots, sessions, digests)

TABLE: Mapping[str, Function] = {f.name: f for chapter in CHAPTERS for f in chapter.FUNCTIONS}
