"""Running a module against the model: one sequence, or a whole check that ends in findings."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from unittest import SkipTest

from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from ..model.call import Call, Observation
from ..model.oracle import Model, applicable, in_scope
from ..model.state import Slot, State
from ..model.vocabulary import CKR
from .cover import Witness, closing, witnesses
from .findings import Finding
from .policy import Policy, anything
from .shrink import shrink
from .strategies import conformance_machine
from .verdict import Beliefs, Outcome, Severity, Steps, Verdict, blame, judge


class Target(Protocol):
    """What the tester asks of an adapter."""

    def call(self, call: Call) -> Observation:
        """Make one call."""

    def reset(self, restore_token: bool) -> None:
        """Start a new sequence."""

    def supports(self, call: Call) -> bool:
        """Whether the call can be made."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a sequence: its steps, the verdicts on them, and the state the token may be left in."""

    steps: Steps
    verdicts: tuple[Verdict, ...]
    beliefs: Beliefs

    @property
    def failure(self) -> Verdict | None:
        """The failure that ended the sequence, if one did."""
        last = self.verdicts[-1] if self.verdicts else None
        return last if last is not None and last.outcome is Outcome.FAIL else None


def token_contents(s: State) -> tuple[object, ...]:
    """What the tokens keep once the library is finalised."""

    def kept(x: Slot) -> tuple[object, ...]:
        return (x.initialized, x.so_pin, x.user_pin, x.so_failed, x.user_failed)

    return (*map(kept, s.slots), *(x for x in s.objects if x.exists and x.token))


@dataclass(slots=True)
class Tally:
    """What a run has counted and covered so far.

    `followed` counts, for each open question of the text that a call met, what the module did: the interpretation
    and the code. `choices` holds the same by function and by the rows that applied. `mechanisms` holds how each
    function did with each mechanism where the text let it succeed: CKR_OK, and trouble of the environment.
    """

    calls: int = 0
    sequences: int = 0
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    fired: set[tuple[str, CKR, str]] = field(default_factory=set)
    states: set[State] = field(default_factory=set)
    inconclusive: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    advice: Counter[tuple[str, CKR, str, str]] = field(default_factory=Counter)
    followed: Counter[tuple[str, str]] = field(default_factory=Counter)
    choices: dict[tuple[str, str, tuple[str, ...]], set[str]] = field(default_factory=dict)
    mechanisms: dict[tuple[str, str], set[str]] = field(default_factory=dict)


class Driver:
    """A module with the model beside it, one sequence at a time."""

    def __init__(self, model: Model, initial: State, target: Target, policy: Policy = anything) -> None:
        self.model = model
        self.policy = policy
        self.initial = initial
        self.target = target
        self.tally = Tally()
        self._at_start = token_contents(initial)
        self._clean = False
        self.begin()

    def begin(self) -> None:
        """Start a sequence, with the token restored if the last one may have changed it."""
        self.target.reset(not self._clean)
        self.beliefs: Beliefs = frozenset({self.initial})
        self._clean = True

    def can(self, call: Call) -> bool:
        """Whether the call may be made now: by the adapter, by the policy, and within what the model follows."""
        return (
            bool(self.beliefs)
            and self.target.supports(call)
            and all(in_scope(self.model, s, call) and self.policy(s, call) for s in self.beliefs)
        )

    def step(self, call: Call) -> Verdict:
        """Make one call and judge the answer."""
        seen = self.target.call(call)
        verdict, after = judge(self.model, self.beliefs, call, seen)
        self._count(call, verdict)
        if verdict.outcome is Outcome.PASS:
            self._note_readings(call, seen)
        self._clean = bool(after) and all(token_contents(s) == self._at_start for s in after)
        self.beliefs = after
        return verdict

    def _count(self, call: Call, verdict: Verdict) -> None:
        tally = self.tally
        seen = verdict.observation.text
        tally.calls += 1
        tally.pairs[call.function, seen] += 1
        tally.states |= self.beliefs
        if verdict.outcome is Outcome.PASS:
            tally.fired |= {(call.function, r.code, r.condition) for r in verdict.rules}
        elif verdict.outcome is Outcome.INCONCLUSIVE:
            tally.inconclusive[call.function, seen, verdict.why] += 1
        worked = verdict.outcome is Outcome.PASS and verdict.observation.code == CKR.OK
        trouble = verdict.outcome is Outcome.INCONCLUSIVE and CKR.OK in verdict.permitted
        uses = self.model.functions[call.function].uses
        # With data, trouble may be what the module makes of the data.
        if (worked or trouble) and "mechanism" in uses and "data" not in uses:
            tally.mechanisms.setdefault((call.function, call.args.mechanism.name), set()).add(seen)
        for r in verdict.advice:
            tally.advice[call.function, r.code, r.condition, r.section] += 1

    def _note_readings(self, call: Call, seen: Observation) -> None:
        """Count which way the module goes where the text leaves it open, and it is clear where that is."""
        believed = {applicable(self.model, s, call) for s in self.beliefs}
        if len(believed) > 1:
            return
        rules = believed.pop()
        for id in {r.reading for r in rules if r.reading and seen.code in (r.code, CKR.OK)}:
            rows = tuple(sorted(f"{r.code} {r.condition}" for r in rules))
            self.tally.followed[id, seen.text] += 1
            self.tally.choices.setdefault((id, call.function, rows), set()).add(seen.text)

    def replay(self, calls: Sequence[Call]) -> Replay:
        """Run a sequence until it ends or fails; calls that cannot be made are left out."""
        self.begin()
        self.tally.sequences += 1
        steps: list[tuple[Call, Observation]] = []
        verdicts: list[Verdict] = []
        for call in calls:
            if not self.can(call):
                continue
            verdict = self.step(call)
            steps.append((call, verdict.observation))
            verdicts.append(verdict)
            if verdict.outcome is Outcome.FAIL or not self.beliefs:
                break
        return self.ended(tuple(steps), tuple(verdicts))

    def ended(self, steps: Steps, verdicts: tuple[Verdict, ...]) -> Replay:
        """What came of the sequence that was just run; a failure is blamed on what explains it."""
        if verdicts and verdicts[-1].outcome is Outcome.FAIL:
            verdicts = (*verdicts[:-1], blame(self.model, self.initial, steps, verdicts[-1]))
        return Replay(steps, verdicts, self.beliefs)


def same_fault(first: Verdict, other: Verdict | None) -> bool:
    """Whether another failure shows the same fault, or the same with fewer rows at fault."""
    if other is None or other.kind is not first.kind:
        return False
    if not first.rules:
        # A lapse explains only what does not happen without the earlier call too.
        return other.cause in (first.cause, replace(first, lapse=None).cause)
    return other.observation.code == first.observation.code and bool(other.facts) and other.facts <= first.facts


TRIES_AGAIN = 3
"""How often a failure is tried again before it counts as seen once."""

PATIENCE = 100
"""How many sequences are run again for rows that they did not show, before the module counts as set in its ways."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a check may run: at most so many random sequences, calls in each, and seconds and calls for all.

    Calls that make a failing sequence shorter count too.
    """

    sequences: int = 300
    length: int = 25
    seconds: float = 60.0
    calls: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """What a person wants to see while a check runs."""

    phase: str
    calls: int
    states: int
    fired: int
    findings: int


@dataclass(frozen=True, slots=True)
class Results:
    """What a check found, counted and covered."""

    model: Model
    findings: tuple[Finding, ...]
    tally: Tally
    seed: int
    seconds: float


Watch = Callable[[Progress], None]


def _quiet(progress: Progress) -> None:
    """No progress shown."""


class Tester:
    """A check of one module: derived sequences first, then random ones, and every new failure shrunk at once."""

    __test__ = False  # Pytest takes the name for a test case.

    def __init__(
        self,
        model: Model,
        initial: State,
        target: Target,
        *,
        policy: Policy = anything,
        seed: int = 0,
        budget: Budget | None = None,
        watch: Watch = _quiet,
    ) -> None:
        self.driver = Driver(model, initial, target, policy)
        self.seed = seed
        self.budget = budget or Budget()
        self.findings: list[Finding] = []
        self._causes: dict[tuple[str, ...], int] = {}
        self._watch = watch
        self._uses = {name: f.uses for name, f in model.functions.items()}
        self._started = time.monotonic()

    def run(self) -> Results:
        """Everything, in a fixed order that the seed decides."""
        self.derived()
        self.random()
        seconds = time.monotonic() - self._started
        worst_first = tuple(Severity)
        findings = tuple(sorted(self.findings, key=lambda f: (worst_first.index(f.verdict.severity), f.id)))
        return Results(self.driver.model, findings, self.driver.tally, self.seed, seconds)

    def derived(self) -> None:
        """The sequences that the model gives: a shortest way to every row, then a look at the state.

        Time counts from here on. What a small budget leaves out first is arguments beside rows seen already.
        """
        model, initial, tally = self.driver.model, self.driver.initial, self.driver.tally
        found = witnesses(model, initial, self.driver.policy)
        self._started = time.monotonic()
        for beside in (False, True):
            sequences: dict[tuple[Call, ...], list[Witness]] = {}
            for w in found:
                if (w.goal.given is not None) is beside:
                    sequences.setdefault((*w.calls, *closing(w, model, initial)), []).append(w)
            failed = {sequence for sequence in sequences if not self._follow(sequence)}
            idle = 0
            while idle < PATIENCE and (
                again := [x for x in sequences if x not in failed and self._wants(sequences[x])]
            ):
                for sequence in again:
                    fired = len(tally.fired)
                    self._follow(sequence)
                    idle = idle + 1 if len(tally.fired) == fired else 0
                    if idle == PATIENCE:
                        break

    def _follow(self, sequence: tuple[Call, ...]) -> bool:
        """Run a sequence, if there is time; whether it may be worth running again."""
        if self._over():
            return False
        replay = self.driver.replay(sequence)
        self._take(replay, "derived sequences")
        return replay.failure is None

    def _wants(self, shown: list[Witness]) -> bool:
        """Whether a sequence was to show a row that is yet to be seen."""
        rows = {(w.goal.function, w.rule.code, w.rule.condition) for w in shown if w.rule is not None}
        return not rows <= self.driver.tally.fired

    def random(self) -> None:
        """Sequences that Hypothesis makes."""
        driver = self.driver
        if self.budget.sequences == 0:
            return

        def ended(steps: Steps, verdicts: tuple[Verdict, ...]) -> None:
            driver.tally.sequences += 1
            self._take(driver.ended(steps, verdicts), "random sequences")

        machine = conformance_machine(driver, driver.policy, seed=self.seed, ended=ended, enough=self._over)
        run = settings(
            max_examples=self.budget.sequences,
            stateful_step_count=self.budget.length,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(machine, settings=run)
        except (SkipTest, Flaky):
            # The machine skips once the time is up; Hypothesis takes that for flaky data, and rightly so.
            if not self._over():
                raise

    def _over(self) -> bool:
        calls = self.budget.calls
        spent = calls is not None and self.driver.tally.calls >= calls
        return spent or time.monotonic() - self._started > self.budget.seconds

    def _take(self, replay: Replay, phase: str) -> None:
        tally = self.driver.tally
        if replay.failure is not None:
            self._learn(replay)
        self._watch(Progress(phase, tally.calls, len(tally.states), len(tally.fired), len(self.findings)))

    def _learn(self, replay: Replay) -> None:
        failure = replay.failure
        assert failure is not None
        if failure.cause not in self._causes:
            first = self.driver.tally.calls
            shrunk = self._shrunk(replay)
            if shrunk is None:
                seen = (failure.call.function, failure.observation.text, "seen once, and not again on replay")
                self.driver.tally.inconclusive[seen] += 1
                return
            small, final = shrunk
            known = self._causes.get(final.cause)
            if known is None:
                known = len(self.findings)
                self.findings.append(Finding(final, (), small, first))
            self._causes[failure.cause] = self._causes[final.cause] = known
        k = self._causes[failure.cause]
        found = self.findings[k]
        if failure.call.function not in found.functions:
            functions = tuple(sorted({*found.functions, found.verdict.call.function, failure.call.function}))
            self.findings[k] = replace(found, functions=functions)

    def _shrunk(self, replay: Replay) -> tuple[Steps, Verdict] | None:
        original = replay.failure
        assert original is not None

        def fails(calls: Sequence[Call]) -> bool:
            return same_fault(original, self.driver.replay(calls).failure)

        calls = tuple(call for call, _ in replay.steps)
        if not any(fails(calls) for _ in range(TRIES_AGAIN)):
            return None
        again = self.driver.replay(shrink(calls, self._uses, fails))
        return (again.steps, again.failure) if again.failure is not None else None
