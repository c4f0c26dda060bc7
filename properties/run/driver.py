"""A module with the model beside it: calls are made, answers are looked up, and what may be so is kept."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Final, Protocol

from ...model.call import Call, Ending, Observation
from ...model.oracle import Model
from ...model.state import Mech, State
from ...model.vocabulary import CKR, CKU
from ..engine.aspects import aspect
from ..engine.beliefs import FULL, Belief, Compiled, Step
from ..engine.packed import Flat
from ..engine.verdict import Beliefs, Outcome, Steps, Verdict
from ..policy import Level, Policy, Rights, anything, makes_objects
from .blame import blame
from .learning import mechanism_in
from .restore import Restoring, as_at, contents_known
from .tally import Tally

LONGEST: Final = 60_000
"""Calls that a sequence may have; one that is longer is cut."""

BLAMED: Final = 40
"""Steps of a trace in which it is searched what explains a failure; a longer one is made shorter first."""

SHOWN: Final = 40
"""Steps of a sequence that is kept to show that a recommendation was not followed; a longer one is not."""

Numbers = Sequence[int]
"""Calls by their numbers."""


class Ready(Protocol):
    """Calls of a list, ready to be made by their number; an adapter gives them (see adapters/base.py)."""

    made: dict[int, Callable[[], int]]

    def make(self, number: int, /) -> Callable[[], int]:
        """Make a call ready."""

    def observation(self, answer: int, /) -> Observation:
        """What the number that a call answers with stands for."""


class Entries(Protocol):
    """Where the calls of a sequence are noted."""

    def __setitem__(self, place: int, number: int, /) -> None: ...


class Target(Protocol):
    """What the tester asks of an adapter."""

    def ready(self, calls: Sequence[Call]) -> Ready:
        """Calls that can be made by their number in a list, which may grow."""

    def reset(self, restore_token: bool) -> bool | None:
        """Start a new sequence; False if the token could not be put back."""

    def supports(self, call: Call) -> bool:
        """Whether the call can be made."""

    def tries_left(self, user: CKU) -> bool:
        """Whether the token says that no PIN of a user was given wrongly of late, and none is locked (3.2)."""


Undoing = Callable[[Sequence[Call], Sequence[Call]], object]
"""Told of a sequence, and of calls since, before more calls put the token back."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a sequence: its steps, the states that the module may be left in, and verdicts.

    They are those on the last steps: on all of them, or where a worker ran the sequence, on the last one only.
    """

    steps: Steps
    verdicts: tuple[Verdict, ...]
    beliefs: Beliefs

    @property
    def failure(self) -> Verdict | None:
        """The failure that ended the sequence, if one did."""
        last = self.verdicts[-1] if self.verdicts else None
        return last if last is not None and last.outcome is Outcome.FAIL else None


@dataclass(frozen=True, slots=True)
class Broken:
    """Putting back failed: the calls of the sequence before, those that were to put back, and the verdict on the last.

    `at` counts the calls made up to then.
    """

    calls: tuple[Call, ...]
    verdict: Verdict
    at: int


@dataclass(frozen=True, slots=True)
class New:
    """A class that was seen first after so many calls: a function, its answer, and an aspect of the state."""

    function: str
    seen: str
    aspect: int
    calls: int


class Driver:
    """A module with the model beside it, one sequence at a time.

    `calls` are those whose numbers others know; calls that come along later are numbered after them. Before each call
    its number, plus one, is written into `journal` at its place in the sequence. The `rights` say, beside the `policy`,
    where a try of a PIN is to be weighed, whether objects stay, and what is left where a token cannot be put back.
    """

    def __init__(
        self,
        model: Model,
        initial: State,
        target: Target,
        policy: Policy = anything,
        *,
        calls: Iterable[Call] = (),
        journal: Entries | None = None,
        begin: Callable[[], None] = lambda: None,
        undoing: Undoing = lambda _, __: None,
        full: int = FULL,
        rights: Rights | None = None,
    ) -> None:
        self.model = model
        self.initial = initial
        self.target = target
        self.calls = list(calls)
        self._made = 0
        self._counted = 0
        self.costs: dict[str, tuple[int, float]] = {}
        """For each function how often a call was timed, and the seconds that it took, since the last `take`."""
        self.prices: Mapping[str, float] = {}
        """What a call of each function costs, in seconds, as far as it was told."""
        self.spare: frozenset[int] = frozenset()
        """Calls that are not made, whatever the policy says."""
        self.spare_with: Mapping[int, frozenset[Mech]] = {}
        """Calls that are not made in an operation of some mechanisms."""
        self.numbered: Callable[[Call], None] = lambda _: None
        """Told of each call that is given the next number here."""
        self.broken: list[Broken] = []
        """Failures of putting back, since somebody took them."""
        self.lowered = False
        """Whether less is done, as the token could not be put back."""
        self._putting_back = False
        self._numbers = {call: k for k, call in enumerate(self.calls)}
        self._ready = target.ready(self.calls)
        self._supported: dict[int, bool] = {}
        self._journal = [0] * LONGEST if journal is None else journal
        self._begin = begin
        self._undoing = undoing
        self._tally = Tally()
        self._restoring = None if policy is anything else Restoring(model, initial, policy, target.supports)
        """Tokens of our own have a quicker way back, which the target knows."""
        self._full = full
        self._rights = rights or Rights(Level.EVERYTHING)
        self._noted = 0
        self._hits: Counter[Step] = Counter()
        self._since: dict[Step, int] = {}
        self._seen: set[tuple[str, str, int]] = set()
        self._told: set[tuple[str, str, int]] = set()
        self._told_answers: Counter[tuple[str, int]] = Counter()
        self._answers: Counter[tuple[str, int]] = Counter()
        self._news: list[New] = []
        self.noted: list[tuple[tuple[Call, ...], Verdict]] = []
        """Sequences whose last call failed without an end of it, each when it was first seen, with the verdict."""
        self._aspects: dict[int, int] = {}
        self._marks: dict[int, int] = {}
        self._follow(policy)
        self.trail: list[Step] = []
        self._restore = True
        self.begin()

    def _follow(self, policy: Policy) -> None:
        """Begin to follow the module, and to hold to a policy."""
        self.policy = policy
        observation = self._ready.observation
        guesses = self._rights.guesses
        self.oracle = Compiled(self.model, self.initial, self.calls, observation, policy, self._full, guesses)
        self.oracle.forgetting = self._forget
        self.belief = self.oracle.start

    # One sequence.

    def begin(self) -> None:
        """Start a sequence, with the token restored if the last one may have changed it."""
        # First, so that what the module does meanwhile is not taken for the doing of the last call.
        self._begin()
        self._note()
        self._made, self._counted = self.made, 0
        start = time.perf_counter()
        restore = self._restore or not self._put_back()
        self.trail = []
        if self.target.reset(restore) is False:
            self.lower()
        if restore or self._putting_back:
            self._tally.restores += 1
            self._tally.restoring += time.perf_counter() - start
        self._restore = self._putting_back = False
        self.belief = self.oracle.start

    def lower(self) -> None:
        """Go on with what needs neither PIN nor token object: what the token holds is not known any more."""
        if not self.lowered:
            self._count()
            self._follow(self._rights.least)
            self.lowered = True

    def _contents(self) -> Sequence[State]:
        """States that tell what the token keeps, none if nothing does."""
        if self._rights.lasting and any(makes_objects(x.verdict.call.function) for x in self.trail):
            return ()
        believed = self.oracle.believed(self.belief)
        last = self.trail[-1] if self.trail else None
        if self._restoring is None or last is None:
            return believed
        return contents_known(believed, self.oracle.believed(last.before), last.verdict)

    def _as_at_start(self, states: Sequence[State]) -> bool:
        return bool(states) and all(as_at(self.initial, s) for s in states)

    def _put_back(self) -> bool:
        """Whether the token is as it was at first, perhaps by calls that put it back."""
        believed = self._contents()
        if self._as_at_start(believed):
            return True
        if self._restoring is None:
            return False
        if self.lowered:
            return True  # as far as it is known; nothing is done to it any more
        self._putting_back = True
        before = tuple(x.verdict.call for x in self.trail)
        way = self._restoring.restore(believed, self._undo, partial(self._finalise, before), sound=not self.failed)
        if way.failure is not None:
            self.broken.append(Broken((*before, *way.calls), way.failure, self.made))
        return way.done

    def _finalise(self, before: Sequence[Call], since: Sequence[Call]) -> None:
        """Finalise the library so that calls can put the token back, after those of the sequence and these."""
        self.target.reset(False)
        self._undoing(before, since)
        self._noted = 0

    def _undo(self, call: Call) -> Observation:
        """Make a call that puts back, and is no part of a sequence."""
        number = self.number(call)
        self._journal[self._noted] = number + 1
        self._noted += 1
        return self._ready.observation((self._ready.made.get(number) or self._ready.make(number))())

    def number(self, call: Call) -> int:
        """The number of a call, a new one where it has none."""
        number = self._numbers.setdefault(call, len(self.calls))
        if number == len(self.calls):
            self.calls.append(call)
            self.numbered(call)
        return number

    def may(self, number: int) -> bool:
        """Whether a call may be made now: by the adapter, by the policy, and within what the model follows."""
        supported = self._supported.get(number)
        if supported is None:
            supported = self._supported[number] = self.target.supports(self.calls[number])
        if not supported or number in self.spare or not self.oracle.may(self.belief, number):
            return False
        kill = self.spare_with.get(number)
        return kill is None or mechanism_in(self.state(), self.calls[number]) not in kill

    def run(self, numbers: Iterable[int]) -> None:
        """Make calls, those left out that cannot be made, until one fails or leaves nothing to go on."""
        if self.over:
            return
        made, make, journal, trail = self._ready.made, self._ready.make, self._journal, self.trail
        i, steps, last = len(trail), self.belief.steps, None
        for k in islice(numbers, LONGEST - i):
            step = steps.get(k)
            if step is None:
                if last is not None:
                    self.belief = last.after
                step = self._first(k, i)
                if step is None:
                    continue
                self._look_at(step)
            else:
                journal[i] = k + 1
                answer = (made.get(k) or make(k))()
                if answer != step.answer:
                    step = self.oracle.step(step.before, k, answer)
                    self._look_at(step)
            i += 1
            trail.append(step)
            last, steps = step, step.onward
            if step.over:
                break
        if last is not None:
            self.belief = last.after

    def _first(self, number: int, place: int) -> Step | None:
        """The step of a call that was not made here before, if it can be made at all, or that ended it here before."""
        belief = self.belief
        if not (self.may(number) and all(self.target.tries_left(x) for x in self.oracle.guessed(belief, number))):
            return None
        self._journal[place] = number + 1
        start = time.perf_counter()
        answer = (self._ready.made.get(number) or self._ready.make(number))()
        self._time(number, time.perf_counter() - start)
        return self.oracle.step(belief, number, answer)

    def _look_at(self, step: Step) -> None:
        """Note a failure after which the sequence goes on; what led there is not known to be needed."""
        if step.verdict.outcome is Outcome.FAIL and not step.over:
            self.noted.append(((*(x.verdict.call for x in self.trail), step.verdict.call), step.verdict))

    @property
    def made(self) -> int:
        """Calls made so far."""
        return self._made + len(self.trail)

    def _time(self, number: int, seconds: float) -> None:
        function = self.calls[number].function
        count, total = self.costs.get(function, (0, 0.0))
        self.costs[function] = count + 1, total + seconds

    def resume(self) -> bool:
        """Go on after a failure as if the last call had not been made, if it returned an error: those change nothing.

        Whether that can be. What fails from then on may fail because of that call.
        """
        last = self.trail[-1]
        seen = last.verdict.observation
        if seen.ending is not Ending.RETURNED or seen.code == CKR.OK:
            return False
        # It counts, and is no part of the sequence that goes on.
        self._note()
        self.trail.pop()
        self._made, self._counted = self._made + 1, len(self.trail)
        self.belief = last.before
        return True

    # The same in the terms of calls and states.

    @property
    def beliefs(self) -> Beliefs:
        """The states that the module may be in."""
        return frozenset(self.oracle.believed(self.belief))

    def can(self, call: Call) -> bool:
        """Whether the call may be made now; see `may`."""
        return self.may(self.number(call))

    def step(self, call: Call) -> Verdict:
        """Make one call, which `can` be made, and judge the answer."""
        self.run((self.number(call),))
        return self.trail[-1].verdict

    def replay(self, calls: Iterable[Call]) -> Replay:
        """Run a sequence until it ends or fails; calls that cannot be made are left out."""
        self.begin()
        self._tally.sequences += 1
        self.run(map(self.number, calls))
        return self.ended()

    @property
    def over(self) -> bool:
        """Whether the sequence has ended, so that no call can be made before the next begins."""
        return bool(self.trail) and self.trail[-1].over

    @property
    def failed(self) -> bool:
        """Whether the sequence ended with a failure."""
        return self.over and self.trail[-1].verdict.outcome is Outcome.FAIL

    def ended(self) -> Replay:
        """What came of the sequence that was just run; the failure of a short one is blamed on what explains it."""
        steps = tuple((x.verdict.call, x.verdict.observation) for x in self.trail)
        verdicts = tuple(x.verdict for x in self.trail)
        if self.failed and len(steps) <= BLAMED:
            verdicts = (*verdicts[:-1], blame(self.model, self.initial, steps, verdicts[-1]))
        return Replay(steps, verdicts, self.beliefs)

    # What was counted.

    def fill(self, row: str, cell: str, how: str) -> None:
        """Count a cell of the matrix of operations: it was reached, or what was in the way."""
        self._tally.cells.setdefault((row, cell), set()).add(how)

    @property
    def tally(self) -> Tally:
        """What was counted so far, up to the last call."""
        self._count()
        self._tally.lowered |= self.lowered
        return self._tally

    def count_sequence(self) -> None:
        """Count a sequence that was not a `replay`."""
        self._tally.sequences += 1

    def take(self) -> tuple[Tally, list[New]]:
        """What was counted since the last time, and the classes seen first; counting begins anew.

        What was seen since then, and not told of, is forgotten: so it does not matter who does which piece of work.
        """
        taken = self.tally, self._news
        self._tally, self._news, self.costs = Tally(), [], {}
        self._answers = Counter(self._told_answers)
        self._seen = set()
        return taken

    def aspect(self) -> int:
        """The aspect of the state that the module is in, or of one that it may be in."""
        return self._aspect(self.belief)

    def state(self) -> State:
        """The state that the module is in, or one that it may be in."""
        return self.oracle.states[self.belief.states[0]]

    def flat(self) -> Flat:
        """The same, in its flat form."""
        return self.oracle.states.flats[self.belief.states[0]]

    def seen(self, function: str, aspect: int) -> int:
        """How many different answers of a function were seen in an aspect of the state, up to the last count."""
        return self._answers[function, aspect]

    def tell(self, classes: Iterable[tuple[str, str, int]], prices: Mapping[str, float]) -> None:
        """Take it that these classes were seen, and what functions cost."""
        new = {*classes} - self._told
        self._told |= new
        self._told_answers.update((function, aspect) for function, _, aspect in new)
        self.prices = {**self.prices, **prices}

    def _forget(self) -> None:
        self._count()
        self._aspects.clear()
        self._marks.clear()

    def _note(self) -> None:
        """Note the steps of the sequence that are new since the last time, and after how many calls each was first."""
        new = self.trail[self._counted :] if self._counted else self.trail
        hits, at, before = Counter(new), 0, self.made - len(new)
        # They stand in the order in which they came first, so each is to be searched only behind the one before it.
        for step in hits:
            if step not in self._since:
                at = new.index(step, at)
                self._since[step] = before + at + 1
            if step.verdict.advice:
                self._show(step)
        self._hits.update(hits)
        self._counted = len(self.trail)

    def _show(self, step: Step) -> None:
        """Keep what led to a step at which a recommendation was not followed: the calls that made a difference."""
        before = self.trail[: self.trail.index(step)]
        told = (*(x for x in before if x.after is not x.before), step)
        if len(told) <= SHOWN:
            steps = tuple((x.verdict.call, x.verdict.observation) for x in told)
            for advice in step.verdict.advice:
                self._tally.show(advice.cause, steps)

    def _count(self) -> None:
        self._note()
        for step in sorted(self._hits, key=self._since.__getitem__):
            call = step.verdict.call
            self._tally.count(self.model, map(self._mark, step.before.states), call, step.verdict, self._hits[step])
            kind = (call.function, step.verdict.observation.text, self._aspect(step.before))
            if kind not in self._seen and kind not in self._told:
                self._seen.add(kind)
                self._answers[kind[0], kind[2]] += 1
                self._news.append(New(*kind, self._since[step]))
        self._hits.clear()
        self._since.clear()

    def _aspect(self, belief: Belief) -> int:
        first = belief.states[0]
        found = self._aspects.get(first)
        if found is None:
            found = self._aspects[first] = aspect(self.oracle.states[first])
        return found

    def _mark(self, state: int) -> int:
        """What tells a state from others in any worker, where it may have another number."""
        found = self._marks.get(state)
        if found is None:
            digest = hashlib.blake2b(self.oracle.states.flats[state], digest_size=8).digest()
            found = self._marks[state] = int.from_bytes(digest, "big", signed=True)
        return found


def same_fault(first: Verdict, other: Verdict | None) -> bool:
    """Whether another failure is one of the same function alike: the same fault, or with fewer rows at fault."""
    if other is None or other.kind is not first.kind or other.call.function != first.call.function:
        return False
    if other.observation.ending is not first.observation.ending or other.observation.code != first.observation.code:
        return False
    if not first.rules:
        # A lapse explains only what does not happen without the earlier call too; where none was found any will do.
        plain, others = (replace(x, lapse=None).cause for x in (first, other))
        return other.cause in (first.cause, plain) or (first.lapse is None and others == plain)
    return bool(other.facts) and other.facts <= first.facts
