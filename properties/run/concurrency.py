"""A check with two threads of one application: what each is answered while the other calls, and what is left after.

A failure is one of threads if the same calls one after the other, in either order, do not fail so.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol, runtime_checkable

from ...model.call import Args, Call, Ending, InitArgs, Observation
from ...model.oracle import Model
from ...model.state import State
from ...model.vocabulary import CKR
from ..engine.beside import after_both, followed, judge_beside
from ..engine.verdict import Beliefs, Outcome, Steps, Verdict, follow, judge
from ..policy import Policy, anything
from ..reports.findings import Finding, Threads, of_threads, shown
from ..search.concurrent_calls import ConcurrentCalls, concurrent_calls
from .campaign import Asked, Budget, Ended, Found, How, Phase, Progress, Results, Unconfirmed, Watch
from .tally import Tally

AGAIN: Final = 10
"""How often a failure is tried again, each time by itself in a fresh process; once it must come back."""

TRIES: Final = 5
"""How often each is tried, as trouble of the environment may pass."""

PUT_BACK: Final = 20
"""After so many sequences the token is put back as it was."""

_ENOUGH: Final = 3
"""Times that it came back, after which it is not tried again."""

LOOKS: Final = tuple(Call("C_GetSessionInfo", Args(session=n)) for n in range(2))
"""What is asked after both calls: who is logged in, and that each session is there."""

LOCKING: Final = (InitArgs.OS_LOCKING, InitArgs.CALLBACKS_OR_OS)
"""What an application with threads may tell the library, what most can do first (5.4 C_Initialize)."""


@runtime_checkable
class ConcurrentTarget(Protocol):
    """What makes the calls; of a module that dies or hangs the last observation says so, and it is to be renewed."""

    def call_all(self, calls: Sequence[Call]) -> Sequence[Observation]:
        """Make calls one after the other."""

    def call_both(self, calls: tuple[Call, Call]) -> Sequence[Observation]:
        """Make two calls at a time, each in a thread; a death in either is all that is observed."""

    def reset(self, restore_token: bool) -> bool | None:
        """Begin a sequence."""

    def renew(self) -> object:
        """Begin a sequence in a new process."""

    def supports(self, call: Call) -> bool:
        """Whether the call can be made."""


@dataclass(frozen=True, slots=True)
class _Came:
    """What came of two concurrent calls: the steps, the verdict on a failure, and which two were made at a time."""

    steps: Steps
    failure: Verdict | None
    beside: tuple[int, int]


class ConcurrentCheck:
    """Has two threads call a module until the budget is spent."""

    def __init__(
        self,
        model: Model,
        initial: State,
        target: ConcurrentTarget,
        *,
        policy: Policy = anything,
        seed: int = 0,
        budget: Budget | None = None,
        watch: Watch = lambda _: None,
        found: Found = lambda _: None,
        asked: Asked = lambda: None,
    ) -> None:
        self.tally, self.findings = Tally(), list[Finding]()
        self._model, self._initial, self._target, self._policy = model, initial, target, policy
        self._seed, self._budget, self._watch = seed, budget or Budget(), watch
        self._found_one, self._asked = found, asked
        self._unconfirmed: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._looked_into: set[tuple[str, str, str]] = set()
        self._started, self._made = time.monotonic(), 0

    def run(self) -> Results:
        """Everything; the seed decides which calls are made."""
        for calls in self._all():
            if self._over():
                break
            self._try(calls)
            self._made += 1
            self._watch(self._progress())
        return self.results()

    def results(self, ended: Ended | None = None) -> Results:
        """What was found up to now."""
        how = How.INTERRUPTED if self._asked() is not None else How.SPENT
        return Results(
            self._model,
            tuple(sorted(self.findings, key=lambda f: f.id)),
            self.tally,
            self._seed,
            self._elapsed(),
            ended=ended or Ended(how, self._asked() or ""),
            phases=(Phase(NAME, self._made, None, False),),
            unconfirmed=tuple(Unconfirmed(*pair, tuple(at)) for pair, at in sorted(self._unconfirmed.items())),
        )

    def _progress(self) -> Progress:
        spent, seconds, tally = self._elapsed(), self._budget.seconds, self.tally
        share, left = min(1.0, spent / seconds) if seconds else 1.0, max(0.0, seconds - spent)
        return Progress(NAME, tally.calls, len(tally.states), len(tally.fired), len(self.findings), share, left)

    def _all(self) -> Iterator[ConcurrentCalls]:
        for init in LOCKING * TRIES:
            begin = Call("C_Initialize", Args(init=init))
            self._target.reset(True)
            if self._target.supports(begin) and self._target.call_all((begin,))[-1].code == CKR.OK:
                yield from concurrent_calls(self._model, self._initial, self._policy, init, Random(self._seed))
                return

    def _over(self) -> bool:
        calls = self._budget.calls
        spent = self._elapsed() >= self._budget.seconds or (calls is not None and self.tally.calls >= calls)
        return spent or self._asked() is not None

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _try(self, pair: ConcurrentCalls) -> None:
        if not all(map(self._target.supports, (*pair.way, *pair.calls))):
            return
        came = self._made_at_once(pair)
        if came is None or came.failure is None:
            return
        at, failure = self.tally.calls, came.failure
        key = (failure.call.function, failure.observation.text, came.steps[came.beside[0]][0].function)
        if key in self._looked_into:
            return
        self._looked_into.add(key)
        if any(self._alone(pair, order, failure) for order in (pair.calls, pair.calls[::-1])):
            return
        again = self._again(pair, failure)
        if not again:
            self._unconfirmed[failure.call.function, failure.observation.text].append(at)
            return
        self._tell(came, failure, at, again)

    def _tell(self, came: _Came, failure: Verdict, at: int, again: int) -> None:
        found = shown(self._model, failure, came.steps, at, self._elapsed(), min(again, _ENOUGH))
        found = of_threads(found, Threads((came.beside[0] + 1, came.beside[1] + 1), again, AGAIN))
        known = next((k for k, f in enumerate(self.findings) if f.id == Finding((found,)).id), None)
        if known is None:
            self.findings.append(Finding((found,)))
            self._found_one(self.findings[-1])
        else:
            self.findings[known] = self.findings[known].with_symptom(found)

    def _again(self, pair: ConcurrentCalls, failure: Verdict) -> int:
        """How often, of so many tries, a failure comes back; as soon as that is clear no more are made."""
        again = 0
        for _ in range(AGAIN):
            self._target.renew()
            came = self._made_at_once(pair, renewed=True)
            again += came is not None and came.failure is not None and _alike(came.failure, failure)
            if again >= _ENOUGH:
                break
        return again

    def _alone(self, pair: ConcurrentCalls, order: Sequence[Call], failure: Verdict) -> bool:
        """Whether the same calls fail alike one after the other."""
        self._target.renew()
        calls, beliefs = (*pair.way, *order, *LOOKS), frozenset({self._initial})
        for call, seen in zip(calls, self._target.call_all(calls), strict=False):
            verdict, beliefs = judge(self._model, beliefs, call, seen)
            if _alike(verdict, failure):
                return True
            if not beliefs or verdict.outcome is Outcome.FAIL:
                break
        return False

    def _made_at_once(self, pair: ConcurrentCalls, *, renewed: bool = False) -> _Came | None:
        """Make the calls; nothing where the way to them did not succeed, or cannot be followed."""
        if not renewed:
            # Nothing is left on the token but what a module keeps that should not.
            self._target.reset(self._made % PUT_BACK == 0)
        self.tally.sequences += 1
        beliefs: Beliefs = frozenset({self._initial})
        steps: list[tuple[Call, Observation]] = []
        for call, seen in zip(pair.way, self._target.call_all(pair.way), strict=False):
            verdict, after = follow(self._model, tuple(beliefs), call, seen)
            beliefs = frozenset(after)
            self._count(call, verdict)
            steps.append((call, seen))
            if not beliefs or seen.code != CKR.OK or seen.ending is not Ending.RETURNED:
                return None
        if not followed(self._model, beliefs, pair.calls):
            return None
        at = (len(steps), len(steps) + 1)
        return self._together(pair, beliefs, steps, at)

    def _together(
        self, pair: ConcurrentCalls, beliefs: Beliefs, steps: list[tuple[Call, Observation]], at: tuple[int, int]
    ) -> _Came:
        seen = self._target.call_both(pair.calls)
        if len(seen) < len(pair.calls):
            # Which of the two it was is not known.
            verdict, _ = follow(self._model, tuple(beliefs), pair.calls[1], seen[-1])
            self._count(pair.calls[1], verdict)
            return _Came((*steps, (pair.calls[0], seen[-1]), (pair.calls[1], seen[-1])), verdict, at)
        verdicts = judge_beside(self._model, beliefs, pair.calls, seen)
        for call, verdict in zip(pair.calls, verdicts, strict=True):
            self._count(call, verdict)
        both = tuple(zip(pair.calls, seen, strict=True))
        for (call, answer), verdict in zip(both, verdicts, strict=True):
            if verdict.outcome is Outcome.FAIL:
                others = tuple(step for step in both if step != (call, answer))
                return _Came((*steps, *others, (call, answer)), verdict, at)
        beliefs = after_both(self._model, beliefs, pair.calls, seen)
        for call, answer in zip(LOOKS, self._target.call_all(LOOKS) if beliefs else (), strict=False):
            verdict, after = follow(self._model, tuple(beliefs), call, answer)
            beliefs = frozenset(after)
            self._count(call, verdict)
            both = (*both, (call, answer))
            if verdict.outcome is Outcome.FAIL:
                return _Came((*steps, *both), verdict, at)
            if not beliefs:
                break
        return _Came((*steps, *both), None, at)

    def _count(self, call: Call, verdict: Verdict) -> None:
        self.tally.count(self._model, (), call, verdict, 1)


NAME: Final = "two threads"
"""What the work is called in a report."""


def _alike(verdict: Verdict, failure: Verdict) -> bool:
    return verdict.outcome is Outcome.FAIL and (verdict.call.function, verdict.observation.text, verdict.kind) == (
        failure.call.function,
        failure.observation.text,
        failure.kind,
    )
