"""What a module refuses although the text lets it succeed, learnt by trying, so that ways lead round it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ...model.call import Args, Call, Ending
from ...model.chapters.conditions import session_valid, slot_of
from ...model.oracle import Model
from ...model.state import Login, State
from ...model.vocabulary import CKR
from ..search.setups import along
from .driver import Replay

NOT_MADE: Final = "not made"
"""In the place of an answer where the adapter has no way to make a call."""

SURE: Final = 3
"""How often an attempt is refused before that counts as a habit: trouble of the moment does not come back."""

_HANDLES: Final = frozenset({"session", "object", "key", "other_key"})
_PLAIN: Final = Args()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call by what a refusal may come of: its arguments but for handles, and where it has a session who is logged in

    there, and whether it may write.
    """

    function: str
    given: frozenset[tuple[str, Any]]
    login: Login | None
    rw: bool | None


@dataclass(slots=True)
class Habits:
    """What attempts came to: those that `worked` once, and the first answer to those that are `refused`."""

    model: Model
    worked: set[Attempt] = field(default_factory=set)
    refused: dict[Attempt, str] = field(default_factory=dict)
    _given: dict[Call, frozenset[tuple[str, Any]]] = field(default_factory=dict)
    _answers: dict[Attempt, list[str]] = field(default_factory=dict)
    """What refusals came with, as long as they may be trouble of the moment."""

    def attempt(self, s: State, call: Call) -> Attempt:
        """What a call in a state is an attempt at."""
        given = self._given.get(call)
        if given is None:
            names = [name for name in self.model.functions[call.function].uses if name not in _HANDLES]
            values = ((name, getattr(call.args, name)) for name in names)
            given = self._given[call] = frozenset((n, v) for n, v in values if v != getattr(_PLAIN, n))
        if "session" in self.model.functions[call.function].uses and session_valid(s, call.args):
            return Attempt(call.function, given, slot_of(s, call.args).login, s.sessions[call.args.session].rw)
        return Attempt(call.function, given, None, None)

    def allow(self, s: State, call: Call) -> bool:
        """Whether a way may lead through a call: it was not refused, or has worked as well."""
        attempt = self.attempt(s, call)
        return attempt not in self.refused or attempt in self.worked

    def unknown(self, initial: State, way: Sequence[Call]) -> bool:
        """Whether a way has a call of which nothing is known yet."""
        return any(x not in self.refused and x not in self.worked for x in self._along(initial, way))

    def learn(self, initial: State, way: Sequence[Call], replay: Replay) -> bool:
        """Learn from a way that was gone, up to the first call that was refused, was not made or failed.

        Whether the way should be gone again, as a refusal may have been trouble of the moment.
        """
        steps, failed = iter(replay.steps), not replay.beliefs
        for n, (attempt, call) in enumerate(zip(self._along(initial, way), way, strict=True), 1):
            step = next(steps, None)
            if step is None or step[0] != call:
                self.refused.setdefault(attempt, NOT_MADE)
                return False
            seen = step[1]
            if seen.ending is not Ending.RETURNED or (failed and n == len(replay.steps)):
                self.refused.setdefault(attempt, seen.text)
                return False
            if seen.code != CKR.OK:
                answers = self._answers.setdefault(attempt, [])
                answers.append(seen.text)
                if len(answers) < SURE:
                    return attempt not in self.worked
                self.refused.setdefault(attempt, answers[0])
                return False
            self.worked.add(attempt)
        return False

    def _along(self, s: State, way: Sequence[Call]) -> Iterator[Attempt]:
        return map(self.attempt, along(self.model, s, way), way)
