"""Pieces of work on a module: sequences derived from the model, tours, walks, and what Hypothesis makes up.

Each begins with a fresh sequence and depends on nothing but itself and what it was told before, so that it does not
matter which of several workers does it. The calls in it go by number.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from random import Random

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ...model.call import Call, Ending
from ...model.oracle import in_scope, may_succeed, permitted
from ...model.state import State
from ...model.vocabulary import CKR
from ..engine.beliefs import Belief
from ..engine.columns import Calls, Columns, members
from ..engine.packed import Flat
from ..engine.reads import Leaves
from ..engine.verdict import Cause, null_arguments
from ..search.chooser import ENDING, OTHERS_PER_ENDING, Chooser, chooser, conformance_machine
from ..search.goals import by_function
from .driver import Broken, Driver, New
from .tally import REACHED, Tally

Numbers = tuple[int, ...]

Class = tuple[str, str, int]
"""A function, its answer in words, and an aspect of the state."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A place that a way leads to, and calls to be made there, each with a look afterwards.

    As long as nothing changes, and the text leaves but one state that the module can be in, the next call is made from
    there without going the way again: so logins and keys are shared by all that need them.
    """

    way: Numbers
    goals: tuple[tuple[int, Numbers], ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A place that a way leads to, calls all of which must fail there, and so lead nowhere, and a look at the end."""

    way: Numbers
    calls: Numbers
    look: Numbers = ()


@dataclass(frozen=True, slots=True)
class Tour:
    """A walk by a plan, stop by stop: a shortest way to each, and the calls to be made there, the last of which leaves.

    Where the module ends it, by a failure or otherwise, the walk is taken up at the same stop with the next call. Where
    the last call did not leave a stop after all, as it was refused, the way to the next one is gone.
    """

    stops: tuple[tuple[Numbers, Numbers], ...]


@dataclass(frozen=True, slots=True)
class Walk:
    """So many calls at random, rather those tried least where the walk is; if `thrifty`, rather the cheap ones, too."""

    seed: str
    length: int
    thrifty: bool


@dataclass(frozen=True, slots=True)
class Generated:
    """Sequences that Hypothesis makes up."""

    seed: int
    examples: int
    length: int


@dataclass(frozen=True, slots=True)
class Cells:
    """A row of the matrix of operations: a way to its keys, what begins an operation, and what is done with it.

    Each cell has a name, and calls that follow those that `begin`. Which were reached is counted under the row's name.
    """

    name: str
    way: Numbers
    begin: Numbers
    cells: tuple[tuple[str, Numbers], ...]


Item = Visit | Sweep | Tour | Walk | Generated | Cells


@dataclass(frozen=True, slots=True)
class Failed:
    """A sequence that failed in its last call.

    `guess` is a shorter one that may fail alike; both hold calls, as not every call has a number that all know.
    `cause`, `function` and `seen` are those of the verdict. `at` counts the calls of the piece of work up to the
    failure. Not `alone`: other calls came before that are left out, as they should have changed nothing, and without
    them it need not fail.
    """

    calls: tuple[Call, ...]
    guess: tuple[Call, ...]
    cause: Cause
    function: str
    seen: str
    at: int
    alone: bool = True


@dataclass(slots=True)
class Done:
    """What came of a piece of work; calls in `news` are counted from its beginning.

    `lost` counts the seconds that went into a new process after each death of the module.
    """

    tally: Tally = field(default_factory=Tally)
    news: list[New] = field(default_factory=list)
    failures: list[Failed] = field(default_factory=list)
    costs: dict[str, tuple[int, float]] = field(default_factory=dict)
    lost: float = 0.0


class Worker:
    """Does pieces of work on a module, one after the other."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._walker = _Walker(driver)
        self._choose: Chooser | None = None
        self._failures: list[Failed] = []
        self._start = 0

    def do(self, item: Item, enough: Callable[[], bool] = lambda: False) -> Done:
        """Do a piece of work; a long one ends early once there is `enough`."""
        driver = self.driver
        driver.take()
        driver.noted = []
        self._failures, self._start = [], driver.made
        match item:
            case Visit():
                self._visit(item, enough)
            case Sweep():
                self._sweep(item, enough)
            case Tour():
                self._tour(item, enough)
            case Walk():
                self._walk(item, enough)
            case Generated():
                self._generate(item, enough)
            case Cells():
                self._fill(item, enough)
        return self.part()

    def part(self) -> Done:
        """What came of the piece of work since the last part, or since it was begun; what follows is another part."""
        driver = self.driver
        costs, at = driver.costs, driver.made - self._start
        noted = [Failed(calls, (), x.cause, x.call.function, x.observation.text, at) for calls, x in driver.noted]
        driver.noted = []
        tally, news = driver.take()
        news = [New(x.function, x.seen, x.aspect, x.calls - self._start) for x in news]
        done = Done(tally, news, [*self._failures, *noted, *map(self._broken, driver.broken)], costs)
        self._failures, self._start, driver.broken = [], driver.made, []
        return done

    def _broken(self, broken: Broken) -> Failed:
        """The failure of a call that was to put the token back."""
        v = broken.verdict
        at = max(broken.at - self._start, 0)
        return Failed(broken.calls, (), v.cause, v.call.function, v.observation.text, at)

    def _follow(self, calls: Sequence[int]) -> bool:
        """Run a sequence from a fresh start; whether it went well."""
        self.driver.begin()
        self.driver.count_sequence()
        self.driver.run(calls)
        return self._note_failure(tuple(calls))

    def _visit(self, visit: Visit, enough: Callable[[], bool]) -> None:
        driver, last = self.driver, Numbers()
        place: Belief | None = None
        for k, look in visit.goals:
            if enough():
                return
            if place is None or driver.belief is not place:
                if not self._follow(visit.way):
                    return
                place = driver.belief
            before = len(driver.trail)
            driver.run((k,))
            if driver.belief is place and place.certain and not driver.failed:
                last = look
            elif len(driver.trail) > before:
                place = None
                if self._killed_by_null():
                    # What is like it may be put off, which is for others to decide.
                    self._note_failure((*visit.way, k))
                    return
                driver.run(look)
                self._note_failure((*visit.way, k, *look))
        if place is not None and driver.belief is place:
            self._look(visit.way, last)

    def _look(self, way: Numbers, look: Numbers) -> None:
        """End a visit with a look at what the calls there left behind."""
        before = len(self.driver.trail)
        self.driver.run(look)
        self._note_failure((*way, *look[: len(self.driver.trail) - before]))

    def _killed_by_null(self) -> bool:
        """Whether the last call gave a NULL pointer, and the module did not come back from it."""
        last = self.driver.trail[-1].verdict
        uses = self.driver.model.functions[last.call.function].uses
        return last.observation.ending is not Ending.RETURNED and bool(null_arguments(last.call, uses))

    def _sweep(self, sweep: Sweep, enough: Callable[[], bool]) -> None:
        driver = self.driver
        place: Belief | None = None
        seen: Counter[tuple[str, str, Cause]] = Counter()
        tired: set[str] = set()
        for k in sweep.calls:
            if enough():
                return
            if driver.calls[k].function in tired:
                continue
            if place is None or driver.belief is not place:
                if not self._follow(sweep.way):
                    return
                place = driver.belief
            driver.run((k,))
            if not driver.failed:
                continue
            verdict = driver.trail[-1].verdict
            kind = (verdict.call.function, verdict.observation.text, verdict.cause)
            if not seen[kind]:
                at, (function, answer, cause) = driver.made - self._start, kind
                self._failures.append(
                    Failed(self._named((*sweep.way, k)), (), cause, function, answer, at, alone=False)
                )
            seen[kind] += 1
            if driver.resume():
                place = driver.belief
                continue
            # What wrongly succeeds has to be undone, which is worth its time but a few times.
            place = None
            if seen[kind] == OFTEN:
                tired.add(verdict.call.function)
        if place is not None and driver.belief is place:
            self._look(sweep.way, sweep.look)

    def _tour(self, tour: Tour, enough: Callable[[], bool]) -> None:
        driver = self.driver
        self._follow(())
        astray = False
        for way, calls in tour.stops:
            left = iter(calls)
            if astray and not driver.over:
                if enough():
                    return
                self._follow(way)
            if not driver.over:
                driver.run(left)
            while driver.over:
                self._note_failure(())
                if enough() or not self._follow(way) or driver.over:
                    break
                driver.run(left)
            astray = not self._has_left(calls[-1])

    def _has_left(self, number: int) -> bool:
        """Whether the sequence ends with a call, and it led from one belief to another."""
        last = self.driver.trail[-1] if self.driver.trail else None
        return last is not None and last.verdict.call == self.driver.calls[number] and last.before is not last.after

    def _walk(self, walk: Walk, enough: Callable[[], bool]) -> None:
        driver, random = self.driver, Random(walk.seed)
        self._walker.begin()
        self._follow(())
        for _ in range(walk.length):
            number = self._walker.choose(random, walk.thrifty)
            if number is not None:
                driver.run((number,))
            if driver.over:
                if enough():
                    break
                self._note_failure(())
                self._follow(())
        self._note_failure(())

    def _generate(self, item: Generated, enough: Callable[[], bool]) -> None:
        def ended() -> None:
            self.driver.count_sequence()
            self._note_failure(())

        if self._choose is None:
            self._choose = chooser(self.driver.model, self.driver.initial, self.driver.policy)
        machine = conformance_machine(self.driver, self._choose, seed=item.seed, ended=ended, enough=enough)
        run = settings(
            max_examples=item.examples,
            stateful_step_count=item.length,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        run_state_machine_as_test(machine, settings=run)

    def _fill(self, row: Cells, enough: Callable[[], bool]) -> None:
        """Fill the cells of a row, in sequences of some each, and count which were reached, or what was in the way."""
        driver, shut, there = self.driver, "", False
        for name, calls in row.cells:
            if enough():
                return
            if not shut and not (there and len(driver.trail) < LONG_ROW):
                there = self._follow(row.way)
                shut = "" if there else self._answer()
            if shut:
                driver.fill(row.name, name, shut)
                continue
            before = self._begin_row(row)
            if before is None:
                shut = self._answer()
                driver.fill(row.name, name, shut)
            else:
                driver.run(calls[:1])
                made = len(driver.trail) > before
                driver.fill(row.name, name, REACHED if made else f"{driver.calls[calls[0]].function} cannot be made")
                driver.run(calls[1:])
            there = self._note_failure((*row.way, *row.begin, *calls)) and not driver.over

    def _begin_row(self, row: Cells) -> int | None:
        """Begin what a cell works on, from a fresh start where what came before is in the way; None if it cannot be."""
        for fresh in (False, True):
            if fresh and not (self._note_failure((*row.way, *row.begin)) and self._follow(row.way)):
                return None
            before = len(self.driver.trail)
            self.driver.run(row.begin)
            if not row.begin or self._succeeded(before):
                return len(self.driver.trail)
        return None

    def _succeeded(self, before: int) -> bool:
        """Whether a call was made since a place in the sequence, and the last one returned CKR_OK."""
        trail = self.driver.trail
        seen = trail[-1].verdict.observation if len(trail) > before else None
        return seen is not None and seen.ending is Ending.RETURNED and seen.code == CKR.OK

    def _answer(self) -> str:
        """The first call of a sequence that did not succeed, and its answer, in words."""
        for verdict in (step.verdict for step in self.driver.trail):
            if verdict.observation.text != str(CKR.OK):
                return f"{verdict.call.function} gives {verdict.observation.text}"
        return "what begins it cannot be made"

    def _note_failure(self, guess: Numbers) -> bool:
        """Note the failure that the sequence ended with, if it did; whether it went well."""
        driver = self.driver
        if not driver.failed:
            return True
        self._failures.append(self._failed(guess))
        return False

    def _failed(self, guess: Numbers) -> Failed:
        """The failure that the sequence ended with."""
        driver = self.driver
        failure = driver.ended().failure
        assert failure is not None
        calls = tuple(x.verdict.call for x in driver.trail)
        at = driver.made - self._start
        return Failed(calls, self._named(guess), failure.cause, failure.call.function, failure.observation.text, at)

    def _named(self, numbers: Numbers) -> tuple[Call, ...]:
        return tuple(map(self.driver.calls.__getitem__, numbers))


LONG_ROW = 80
"""Calls after which a row of the matrix goes on in a new sequence: a long one is hard to make shorter."""

OFTEN = 3
"""How often a function may wrongly succeed in a sweep before it is left alone."""

KNOWN = 50_000
"""Of how many functions, each in a state, the walk remembers which calls may succeed."""

CHOICES = 3
"""Functions that are drawn for a step; the one tried least is called."""

DARING = 0.4
"""How often a step of a walk may be one that the text does not let succeed."""

TRIES = 60
"""Functions that are drawn at most for one that the text lets succeed."""

SAMPLE = 8
"""Calls of a function that are drawn at random, before all of them are looked at."""


def _alike(_name: str) -> float:
    return 1.0


UNPRICED = 1e-6
"""Seconds that a call is taken to cost of which nothing is known."""


class _Walker:
    """Walks at random, and remembers what it tried."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        leaves = Leaves(driver.initial)
        calls = by_function(tuple(driver.calls))
        self._numbers = {name: [driver.number(c) for c in own] for name, own in calls.items()}
        self._columns: dict[str, Columns] = {}
        self._make: Callable[[str], Columns] = lambda name: Columns(driver.model, name, calls[name], leaves)
        self._names = [name for name in calls for _ in range(1 if name in ENDING else OTHERS_PER_ENDING)]
        self._known: dict[tuple[Flat, str], Calls] = {}
        self._tried: Counter[tuple[object, ...]] = Counter()

    def begin(self) -> None:
        """Forget what was tried, so that it does not matter who takes which walk."""
        self._tried.clear()

    def choose(self, random: Random, thrifty: bool) -> int | None:
        """The number of a call worth making where the walk is, None for one that cannot be made after all."""
        driver, tried = self._driver, self._tried
        aspect, s = driver.aspect(), driver.state()
        weight = self._price if thrifty else _alike
        daring = random.random() < DARING
        drawn: dict[str, int] = {}
        for _ in range(TRIES):
            name = random.choice(self._names)
            number = random.choice(self._numbers[name]) if daring else self._succeeding(name, s, random)
            if number is not None:
                drawn.setdefault(name, number)
            if len(drawn) == CHOICES:
                break
        if not drawn:
            return None
        name = min(drawn, key=lambda name: (driver.seen(name, aspect) + tried[name, aspect] + 1) * weight(name))
        tried[name, aspect] += 1
        number, code = self._dared(name, s, random, aspect) if daring else (drawn[name], CKR.OK)
        tried[name, code, aspect] += 1
        # What is known to fail here shows nothing any more, and would end the walk.
        return None if number in driver.belief.ends else number

    def _dared(self, name: str, s: State, random: Random, aspect: int) -> tuple[int, CKR | None]:
        """A call of a function, of some the one with the code that was tried least, if the text leaves it any."""
        model, calls = self._driver.model, self._driver.calls
        found: list[tuple[int, CKR | None]] = []
        for number in random.choices(self._numbers[name], k=SAMPLE):
            if in_scope(model, s, calls[number]):
                found += [(number, code) for code in sorted(permitted(model, s, calls[number]))]
        random.shuffle(found)
        fallback = random.choice(self._numbers[name]), None
        return min(found, key=lambda x: self._tried[name, x[1], aspect], default=fallback)

    def _price(self, name: str) -> float:
        """What a function costs, less steeply than the clock has it: it is wanted for where it leads, too."""
        return sqrt(self._driver.prices.get(name, UNPRICED))

    def _succeeding(self, name: str, s: State, random: Random) -> int | None:
        """A call of a function that may succeed where the walk is, each as likely as the next; None if there is none.

        A few are drawn first: mostly one of them may, and it takes long to look at all.
        """
        key, numbers = (self._driver.flat(), name), self._numbers[name]
        found = self._known.get(key)
        # They are drawn whatever is known already, so that it does not matter what was done before.
        for j in random.choices(range(len(numbers)), k=SAMPLE):
            if found >> j & 1 if found is not None else self._may(s, numbers[j]):
                return numbers[j]
        if found is None:
            if len(self._known) >= KNOWN:
                self._known.clear()
            found = self._known[key] = self._of(name).succeeding(key[0])
        return numbers[random.choice(members(found))] if found else None

    def _may(self, s: State, number: int) -> bool:
        """Whether the text lets a call succeed in a state, and the model can follow it."""
        model, call = self._driver.model, self._driver.calls[number]
        return may_succeed(model, s, call) and in_scope(model, s, call)

    def _of(self, name: str) -> Columns:
        columns = self._columns.get(name)
        if columns is None:
            columns = self._columns[name] = self._make(name)
        return columns
