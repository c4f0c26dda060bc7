"""A whole check: what is to be done, in which order, and what comes of it.

First what the model gives: a shortest way to every row. Then rounds, in which pieces of work from several sources are
done, each source getting the more of a round the more new classes it showed for its price lately.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain, islice
from operator import itemgetter
from random import Random
from typing import Final, Protocol

from ...model.call import Args, Call, Ending
from ...model.environment import EVENTS
from ...model.oracle import Model, in_scope, ruling, suffering
from ...model.state import Mech, State
from ...model.vocabulary import CKR
from ..engine.verdict import (
    HARMLESS,
    Cause,
    Kind,
    Severity,
    Steps,
    Symptom,
    Verdict,
    believed_after,
    explains,
    null_arguments,
    one_of,
    unexplained,
    without_nulls,
)
from ..policy import Policy, anything, makes_objects
from ..reports.findings import Finding, shown
from ..search.befallen import after_events
from ..search.detours import Detours
from ..search.goals import NEAR, SEARCH, Search, Witness, all_calls, by_function, closing
from ..search.guesses import guesses
from ..search.matrix import Row, matrix_calls, rows
from ..search.orders import orders
from ..search.setups import Way, along, going_on
from ..search.stories import stories
from ..search.tours import tour_calls, tours
from .blame import blame_any, hypotheses, refuted, telling
from .driver import Driver, Replay, Target, same_fault
from .habits import Habits
from .learning import Deaths, mechanism_before
from .merged import one_for_each_answer, one_for_each_cause, one_for_each_constant
from .reach import Reach, reach
from .shrink import shrink
from .tally import UNTRIED, Tally
from .work import Cells, Class, Done, Failed, Generated, Item, Sweep, Tour, Visit, Walk, Worker

UNCONFIRMED: Final = "against the text, but the check ended before it was seen again"
"""Said of a failure that no time was left to confirm."""

_INVALID: Final = str(CKR.MECHANISM_INVALID)

_NO_HANDLE: Final = "HANDLE_INVALID"
"""How the names of codes end that say that a handle is none."""

UNTRIED_MECHANISM: Final = "whether the mechanism works at all was not seen"
"""Said of a failure by CKR_MECHANISM_INVALID where that decides whether it is any."""

TRIES_AGAIN: Final = 3
"""How often a failure is tried again before it counts as seen once."""

CONFIRMATIONS: Final = 3
"""How often a failure is tried by itself before it is called a finding."""

PATIENCE: Final = 100
"""How many sequences are run again for rows that they did not show, before the module counts as set in its ways."""

ROUND: Final = 16
"""Pieces of work in a round. The sources' shares are weighed anew after each."""

SWEEP: Final = 400
"""Calls of a sweep, at most."""

WALK: Final = 150
"""Calls of a walk."""

EXAMPLES: Final = 10
"""Sequences in a piece of work that Hypothesis makes up."""

SURVEY: Final = 0.05
"""The share of a check's time or calls that is spent at most on finding out what the module refuses."""

LAST: Final = 0.1
"""The share of a check's time or calls that is kept for NULL pointers once one of them has killed."""

DEATHS: Final = 0.15
"""The share of a check's time that deaths may take before no more NULL pointers are tried."""

BEFALLEN: Final = 0.4
"""The share of a check's time or calls in which it is looked first what follows on what happens beside the calls."""

FLAT: Final = 3
"""Rounds without a new class after which there is no more to be had."""

CANDIDATES: Final = 2
"""Calls that are tried for each set of facts that may be the ones that matter."""

SHORT_STORY: Final = 3
"""Calls before one whose change is looked into at once: what logs in and out, opens and closes."""

NEAR_ENOUGH: Final = 2
"""Calls of a way through sessions and logins at whose end all that must fail is called; other places count anyway."""

UNEXPLAINED: Final = 4
"""How often a failure is looked into that says only that an operation was there or not: each may have its own cause."""

EXPERIMENTS: Final = 3
"""Calls that are made to see whether an earlier call was at fault, before it is blamed."""

GRACE: Final = 0.05
"""The share of its seconds that a check may take beyond them, for failures that are being looked into."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a check may run: in seconds, and at most so many calls, None for any number.

    `sequences` bounds the pieces of work beside the derived sequences, one that Hypothesis makes up counting for as
    many as are in it; `length` those of Hypothesis. Calls that make a failing sequence shorter count too. With `calls`
    nothing depends on how fast the module is.
    """

    sequences: int | None = None
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
    share: float = 0.0
    """How much of the budget is spent, from 0 to 1."""
    left: float | None = None
    """Seconds that are left at most; None where calls bound the check."""


class How(Enum):
    """How a check came to its end."""

    FINISHED = "finished"
    SPENT = "budget spent"
    INTERRUPTED = "interrupted"
    GONE = "module unusable"
    FAULT = "fault of p11conform"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a check came to its end; `why` names the signal, or says what became of the module."""

    how: How
    why: str = ""


@dataclass(frozen=True, slots=True)
class Phase:
    """What was done of a source of work: pieces, of how many where the number came to be known."""

    name: str
    done: int
    total: int | None
    finished: bool


@dataclass(frozen=True, slots=True)
class Point:
    """How many classes of function, answer and state were seen after so many calls and seconds."""

    calls: int
    seconds: float
    classes: int


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A failure that did not come back by itself: the function, its answer, and after how many calls each was seen."""

    function: str
    seen: str
    at_calls: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """What a check found, counted, covered and could reach; `curve` has a point wherever new classes came.

    `lost` counts the seconds that went into deaths of the module.
    """

    model: Model
    findings: tuple[Finding, ...]
    tally: Tally
    seed: int
    seconds: float
    curve: tuple[Point, ...] = ()
    ended: Ended = Ended(How.FINISHED)
    phases: tuple[Phase, ...] = ()
    reach: Reach | None = None
    unconfirmed: tuple[Unconfirmed, ...] = ()
    lost: float = 0.0


Asked = Callable[[], str | None]
"""Why a check is to stop, in words; None as long as it is to go on."""


def never_asked() -> None:
    """Nobody asks the check to stop."""


Found = Callable[[Finding], None]
"""Told of every finding as it is confirmed."""


def _untold(finding: Finding) -> None:
    """Nobody wants to know of findings before the end."""


Watch = Callable[[Progress], None]


def _quiet(progress: Progress) -> None:
    """No progress shown."""


class Crew(Protocol):
    """Those who work on the module, one or several, each on a token of its own."""

    def do(self, items: Iterable[Item], left: Callable[[], float]) -> Iterator[Done]:
        """Do pieces of work; what came of them, in their order, whoever did them.

        Items may be taken ahead of time; none is begun once there are no seconds `left`.
        """

    def replay(self, calls: Sequence[Call], *, fresh: bool = False) -> Replay:
        """Run a sequence from a fresh start; if it is to be `fresh` in a new process, by itself."""

    def tell(self, classes: Sequence[Class], costs: Mapping[str, float]) -> None:
        """Tell all of classes that were seen, and of the seconds that a call of each function costs."""

    def spare(self, numbers: frozenset[int], begun_with: Mapping[int, frozenset[Mech]]) -> None:
        """Tell all of calls that are not to be made any more, or not in an operation of some mechanisms."""


class Alone:
    """A crew of one, in this process."""

    def __init__(self, driver: Driver) -> None:
        self._worker = Worker(driver)
        self.tell = driver.tell

    def do(self, items: Iterable[Item], left: Callable[[], float]) -> Iterator[Done]:
        """Do pieces of work, each when its turn comes."""
        for item in items:
            if left() <= 0:
                return
            yield self._worker.do(item, lambda: left() <= 0)

    def replay(self, calls: Sequence[Call], *, fresh: bool = False) -> Replay:  # noqa: ARG002
        """Run a sequence from a fresh start, in this process, as there is no other."""
        return self._worker.driver.replay(calls)

    def spare(self, numbers: frozenset[int], begun_with: Mapping[int, frozenset[Mech]]) -> None:
        """Make these calls no more."""
        self._worker.driver.spare, self._worker.driver.spare_with = numbers, begun_with


def numbered_calls(model: Model, initial: State) -> tuple[Call, ...]:
    """The calls of a campaign, in the order by which all know their numbers."""
    given = (all_calls(model, initial), tour_calls(model, initial), matrix_calls(model, initial))
    return tuple(dict.fromkeys(chain.from_iterable(given)))


def check(
    model: Model,
    initial: State,
    target: Target,
    *,
    policy: Policy = anything,
    seed: int = 0,
    budget: Budget | None = None,
    watch: Watch = _quiet,
) -> Results:
    """A whole check of a module in this process."""
    driver = Driver(model, initial, target, policy, calls=numbered_calls(model, initial))
    return Campaign(model, initial, Alone(driver), policy=policy, seed=seed, budget=budget, watch=watch).run()


class Source(Enum):
    """Where pieces of work come from."""

    DERIVED = "derived sequences"
    MATRIX = "the matrix of operations"
    SWEEPS = "calls that must fail"
    TOURS = "tours of small scopes"
    WALKS = "random walks"
    HYPOTHESIS = "random sequences"
    NULLS = "NULL pointers"


_FATAL: Final = frozenset(kind.value for kind in (Kind.DIED, Kind.HUNG, Kind.ROBUSTNESS))
"""First words of the causes that cost a process."""


class Counted(Enum):
    """Whether a piece of work adds to the whole of its source, was counted there before, or is done again."""

    ADDED = 1
    KNOWN = 2
    AGAIN = 3


@dataclass(slots=True)
class _Share:
    """What a source gave lately for what it took."""

    items: Iterator[Item]
    new: float = 1.0
    price: float = 1.0
    over: bool = False


def _looks_like(verdict: Verdict, failed: Failed) -> bool:
    return (verdict.call.function, verdict.observation.text) == (failed.function, failed.seen)


class Campaign:
    """A check of one module by a crew; every new failure is shrunk at once."""

    def __init__(
        self,
        model: Model,
        initial: State,
        crew: Crew,
        *,
        policy: Policy = anything,
        seed: int = 0,
        budget: Budget | None = None,
        watch: Watch = _quiet,
        found: Found = _untold,
        asked: Asked = never_asked,
    ) -> None:
        self.tally = Tally()
        self.findings: list[Finding] = []
        self.unconfirmed: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._model, self._initial, self._crew, self._policy = model, initial, crew, policy
        self._seed, self._budget, self._watch = seed, budget or Budget(), watch
        self._found_one, self._asked = found, asked
        self._done: Counter[Source] = Counter()
        self._given: Counter[Source] = Counter()
        self._whole: set[Source] = set()
        self._calls = numbered_calls(model, initial)
        self._numbers = {call: k for k, call in enumerate(self._calls)}
        self._calls_of: defaultdict[str, list[int]] = defaultdict(list)
        for k, call in enumerate(self._calls):
            self._calls_of[call.function].append(k)
        self._uses = {name: f.uses for name, f in model.functions.items()}
        self._met: dict[tuple[Cause, str, str], int] = {}
        """For each failure that was looked into, by its cause, function and answer, the finding that it is of."""
        self._shown_in: dict[Symptom, int] = {}
        self._classes: set[Class] = set()
        self._untold: list[Class] = []
        self._pieces = self._budget.sequences
        self._first: list[Item] = []
        self._rest: list[Item] = []
        self._looked_into: Counter[tuple[Cause, str, str]] = Counter()
        self._later: dict[tuple[Cause, str, str], tuple[Failed, int]] = {}
        """Failures of a cause that has a finding, in functions that are not among it yet, and when they were seen."""
        self._waiting: dict[tuple[Cause, str, Mech], tuple[Failed, int]] = {}
        """Failures by CKR_MECHANISM_INVALID of mechanisms that were not seen to work, each with the calls before it."""
        self._curve: list[Point] = []
        self._costs: dict[str, tuple[int, float]] = {}
        self._deaths = Deaths(self._uses)
        self.habits = Habits(model)
        self._detours = Detours(model, by_function(all_calls(model, initial)), self._leads)
        self._tried: set[tuple[str, Mech]] = set()
        self._spared: frozenset[int] = frozenset()
        self._spared_with: dict[int, frozenset[Mech]] = {}
        """Calls that are spared in an operation of some mechanisms only."""
        self._put_off: frozenset[int] = frozenset()
        """Calls that wait until last, as NULL pointers like theirs kill."""
        self._last = False
        self._shares: dict[Source, _Share] = {}
        self._hopeful: dict[str, int] = {}
        """Functions to whose success a way was found, and after how many pieces of work."""
        self._null_visits: dict[tuple[str, tuple[str, ...]], Visit] = {}
        """For each function and the arguments that are NULL pointers the first visit that has such a call."""
        self._lost = 0.0
        """Seconds that deaths took, and looking into them."""
        self._by_clock = self._budget.calls is None and self._budget.sequences is None
        """Whether what is cheap is done the more; else the clock has no say but to end the check."""
        self._started = time.monotonic()

    def run(self) -> Results:
        """Everything, in an order that the seed decides, and where the budget is in seconds the module's speed."""
        self._started = time.monotonic()
        self.survey()
        self.derived()
        self.rounds()
        if self._put_off:
            self.nulls()
            self.rounds()
        return self.results()

    def results(self, ended: Ended | None = None) -> Results:
        """What was found and covered up to now, and how the check ended: as the budget says where nothing else is."""
        worst_first = tuple(Severity)
        for failed, _ in self._waiting.values():
            if self.tally.operational(failed.function, failed.calls[-1].args.mechanism.name) is None:
                self.tally.inconclusive[failed.function, failed.seen, UNTRIED_MECHANISM] += 1
        self._waiting.clear()
        found = one_for_each_constant(self._model, one_for_each_answer(one_for_each_cause(self.findings)), self.tally)
        findings = tuple(sorted(found, key=lambda f: (worst_first.index(f.verdict.severity), f.id)))
        return Results(
            self._model,
            findings,
            self.tally,
            self._seed,
            self._elapsed(),
            tuple(self._curve),
            ended or self._ended(),
            tuple(self._phases()),
            reach(
                self._model,
                self.tally,
                self._calls,
                [self._calls[k] for k in self._spared],
                self.habits,
                any(self._policy(self._initial, self._calls[k]) for k in self._calls_of.get("C_Login", ())),
                # What is found ahead of time, the further ahead the more work, does not count.
                {function for function, given in self._hopeful.items() if given <= self._done[Source.DERIVED]},
            ),
            tuple(Unconfirmed(*key, tuple(at)) for key, at in sorted(self.unconfirmed.items())),
            self._lost,
        )

    def _ended(self) -> Ended:
        asked = self._asked()
        if asked is not None:
            return Ended(How.INTERRUPTED, asked)
        return Ended(How.SPENT if self._over() or self._pieces == 0 else How.FINISHED)

    def _phases(self) -> Iterator[Phase]:
        """What was done of each source; random ones have no whole."""
        for source in Source:
            if source is Source.NULLS and not self._put_off:
                continue
            endless = source in (Source.WALKS, Source.HYPOTHESIS)
            whole = not endless and source in self._whole
            total = self._given[source] if whole else None
            yield Phase(source.value, self._done[source], total, whole and self._done[source] >= self._given[source])

    # What the module lets be.

    def survey(self) -> None:
        """Go the ways of the derived sequences, each once, as long as they hold a call that was never tried.

        What is refused there the ways are planned round from then on, and so they may hold calls that are new.
        """
        failures = [(failed, self.tally.calls) for failed in self._surveyed()]
        for failed, at in failures:
            self._learn(failed, at)

    def _surveyed(self) -> Iterator[Failed]:
        gone: set[Way] = set()
        going = True
        while going:
            going = False
            for _, way in self._detours.places(self._initial):
                if way is None or way in gone or not self.habits.unknown(self._initial, way):
                    continue
                again = True
                while again:
                    if self._over() or self._spent() >= SURVEY:
                        return
                    replay = self._replay(way)
                    again = self.habits.learn(self._initial, way, replay)
                    if (x := replay.failure) is not None:
                        calls = tuple(call for call, _ in replay.steps)
                        yield Failed(calls, (), x.cause, x.call.function, x.observation.text, len(calls))
                # What stopped it may have worked elsewhere, and what comes after stays unknown.
                gone.add(way)
                going = True

    def _leads(self, s: State, call: Call) -> bool:
        """Whether a way may lead through a call: one that the module was not seen to refuse."""
        return self._policy(s, call) and self.habits.allow(s, call)

    # Derived sequences.

    def derived(self) -> None:
        """The sequences that the model gives: a shortest way to every row, then a look at the state.

        What a small budget leaves out is arguments beside rows seen already. A row that was not seen is tried again,
        for as long as that shows any.
        """
        beside: list[list[Witness]] = []
        changes: list[list[Witness]] = []
        shown: list[Witness] = []
        if self._model.events >= EVENTS.keys():
            # Most of what the text orders shows only where several things happen at once.
            first = orders(self._model, self._initial, policy=self._policy, detours=self._detours)
            self._do(Source.DERIVED, self._visits([w] for w in first.values()))
        elif self._model.events:
            self._do(Source.DERIVED, self._befallen())
        self._do(Source.DERIVED, self._guesses())
        self._do(Source.DERIVED, self._stories())
        self._do(Source.DERIVED, self._visits(self._found(shown, beside, changes)))
        deeper, arguments = list(self._visits(changes)), list(self._visits(beside))
        if not self._over():
            # Only now: workers take items ahead of time, how many depends on how many they are.
            self._given[Source.DERIVED] += len(deeper) + len(arguments)
            self._given[Source.SWEEPS] = len(self._first) + len(self._rest)
            self._whole |= {Source.DERIVED, Source.SWEEPS}
        self._again(shown)
        self._do(Source.SWEEPS, self._first, Counted.KNOWN)
        self._do(Source.DERIVED, deeper, Counted.KNOWN)
        self._matrix()
        self._do(Source.DERIVED, arguments, Counted.KNOWN)
        self._again([w for found in beside for w in found])

    def _stories(self) -> Iterator[Visit]:
        """Each story that the policy allows, with the calls that it is about at its end."""
        for way in stories(self._model, self._initial):
            if all(map(self._policy, along(self._model, self._initial, way), way)):
                yield Visit(self._named(way[:-1]), ((self._numbers[way[-1]], ()),))

    def _befallen(self) -> Iterator[Visit]:
        """What follows on an event, for a part of the time: on a real module events take the longest of all."""
        for way, call in after_events(self._model, self._initial, self._policy):
            if self._spent() >= BEFALLEN:
                return
            yield Visit(self._named(way), ((self._numbers[call], ()),))

    def _guesses(self) -> Iterator[Visit]:
        """PINs given wrongly until they are locked, where that may be."""
        for way, calls in guesses(self._model, self._initial, self._policy):
            first, *others = self._named(calls)
            yield Visit(self._named(way), ((first, tuple(others)),))

    def _found(
        self, shown: list[Witness], beside: list[list[Witness]], changes: list[list[Witness]]
    ) -> Iterator[list[Witness]]:
        """Witnesses by the place where they are, as the search finds them; those beside an argument are put by.

        So are those of a change, as the look after them is long, but for the shortest; and the calls that must fail at
        each place, apart those to which the same rows applied elsewhere.
        """
        # A real module's events had their turn: in the search they would multiply ways more than they show.
        everything = self._model.events >= EVENTS.keys()
        model = self._model if everything else suffering(self._model, ())
        search = Search(model, self._initial, self._policy, detours=self._detours)
        known: set[tuple[object, ...]] = set()
        for view in search.views():
            before = len(search.found)
            search.look(*view)
            _, way, calls = view
            if len(way) <= NEAR_ENOUGH or not calls.keys() <= NEAR:
                first: list[Call] = []
                rest: list[Call] = []
                for rows, call in search.idle(*view):
                    kind = (call.function, rows, call.args.mechanism, call.args.kind)
                    (rest if kind in known else first).append(call)
                    known.add(kind)
                known_calls = (c for c in (*going_on(way), *SEARCH) if c.function in self._model.functions)
                look = self._named(known_calls)
                for sweeps, some in ((self._first, first), (self._rest, rest)):
                    named = self._named(some)
                    sweeps += [Sweep(self._named(way), named[i : i + SWEEP], look) for i in range(0, len(named), SWEEP)]
            new = search.found[before:]
            for w in new:
                if w.goal.row is None:
                    self._hopeful.setdefault(w.goal.function, self._given[Source.DERIVED])
            now = [w for w in new if w.goal.given is None and w.goal.change is None]
            shown += now
            changed = [w for w in new if w.goal.change is not None]
            beside.append([w for w in new if w.goal.given is not None])
            yield now
            if len(way) <= SHORT_STORY:
                yield changed
            else:
                changes.append(changed)

    def _matrix(self) -> None:
        """The rows of the matrix of operations, as far as the budget goes; of bounded pieces they take half at most."""
        found = [
            Cells(row.name, self._named(row.way), self._named(row.begin), self._cells(row))
            for row in rows(self._model, self._initial)
        ]
        given = found if self._pieces is None else found[: self._pieces // 2]
        if self._pieces is not None:
            self._pieces -= len(given)
        self._whole.add(Source.MATRIX)
        self._do(Source.MATRIX, given)
        # What a death took with it is tried again, each cell by itself.
        left = [replace(row, cells=(cell,)) for row in given for cell in row.cells if self._untold_cell(row, cell)]
        self._do(Source.MATRIX, left, Counted.AGAIN)
        why = UNTRIED if self._over() or len(given) < len(found) else "the module died"
        for row in found:
            for cell in row.cells:
                if self._untold_cell(row, cell):
                    self.tally.cells[row.name, cell[0]] = {why}

    def _untold_cell(self, row: Cells, cell: tuple[str, tuple[int, ...]]) -> bool:
        return (row.name, cell[0]) not in self.tally.cells

    def _cells(self, row: Row) -> tuple[tuple[str, tuple[int, ...]], ...]:
        return tuple((cell.name, self._named(cell.calls)) for cell in row.cells)

    def _visits(self, places: Iterable[list[Witness]]) -> Iterator[Visit]:
        for found in places:
            if found:
                yield from self._visit(found)

    def _visit(self, found: Sequence[Witness]) -> Iterator[Visit]:
        """The visit to a place for all witnesses that begin there; those that show an effect are looked into deeper.

        NULL pointers have a visit of their own, as a death loses what came before it at the place.
        """
        goals: dict[int, tuple[int, ...]] = {}
        for w in found:
            look = self._named(closing(w, self._model, self._initial))
            k = self._numbers[w.calls[-1]]
            function = w.calls[-1].function
            if nulls := null_arguments(w.calls[-1], self._uses[function]):
                self._null_visits.setdefault((function, nulls), Visit(self._named(w.calls[:-1]), ((k, look),)))
            if len(look) > len(goals.get(k, ())):
                goals[k] = look
        # Those that make objects come last, so that the look at the end shows what any of them left behind.
        in_order = sorted(goals.items(), key=lambda goal: makes_objects(self._calls[goal[0]].function))
        way = self._named(found[0].calls[:-1])
        for deadly in (False, True):
            if some := tuple(goal for goal in in_order if self._null(goal[0]) == deadly):
                yield Visit(way, some)

    def _null(self, number: int) -> bool:
        call = self._calls[number]
        return bool(null_arguments(call, self._uses[call.function]))

    def _again(self, shown: Sequence[Witness]) -> None:
        """Run sequences again that were to show a row that is yet to be seen."""
        idle = 0
        while idle < PATIENCE:
            missing = [w for w in shown if self._wants(w)]
            if not missing:
                return
            for w in missing:
                fired = len(self.tally.fired)
                if self._wants(w):
                    self._do(Source.DERIVED, self._visit([w]), Counted.AGAIN)
                    idle = idle + 1 if len(self.tally.fired) == fired else 0
                if idle >= PATIENCE or self._over():
                    return

    def _wants(self, w: Witness) -> bool:
        """Whether a sequence was to show a row that is yet to be seen."""
        row = w.rule
        return row is not None and (w.goal.function, row.code, row.condition) not in self.tally.fired

    def _named(self, calls: Iterable[Call]) -> tuple[int, ...]:
        return tuple(map(self._numbers.__getitem__, calls))

    # NULL pointers.

    def nulls(self) -> None:
        """Each function once with each NULL pointer that was put off, as long as deaths leave time for more."""
        self._last = True
        self._crew.spare(self._spared, self._spared_with)
        self._do(Source.NULLS, self._deadly())
        self._whole.add(Source.NULLS)

    def _deadly(self) -> Iterator[Visit]:
        for visit in self._null_visits.values():
            if self._by_clock and self._lost > DEATHS * self._elapsed():
                return
            ((k, _),) = visit.goals
            if k in self._put_off and k not in self._spared:
                yield visit

    # Rounds.

    def rounds(self) -> None:
        """Pieces of work from all sources, until none has anything new or the budget is spent."""
        if not self._shares:
            self._shares = {
                Source.SWEEPS: _Share(iter(self._shuffled())),
                Source.TOURS: _Share(self._tours()),
                Source.WALKS: _Share(self._walks()),
                Source.HYPOTHESIS: _Share(self._generated()),
            }
        shares = self._shares
        flat = 0
        while not self._over() and flat < FLAT and self._pieces != 0 and any(not x.over for x in shares.values()):
            known = len(self._classes)
            self._crew.tell(self._untold, self._prices())
            self._untold = []
            for source, count in self._divided(shares):
                self._round(source, shares[source], count)
            flat = flat + 1 if len(self._classes) == known else 0

    def _divided(self, shares: dict[Source, _Share]) -> list[tuple[Source, int]]:
        """How many pieces of a round each source is to give: one at least, the rest by what it gives for its price."""
        live = {source: share.new / share.price for source, share in shares.items() if not share.over}
        whole = sum(live.values())
        return [(source, 1 + int((ROUND - len(live)) * worth / whole)) for source, worth in live.items()]

    def _round(self, source: Source, share: _Share, count: int) -> None:
        items: list[Item] = []
        while len(items) < count and self._pieces != 0:
            item = next(share.items, None)
            if item is None:
                share.over = True
                self._whole.add(source)
                break
            items.append(item)
            if self._pieces is not None:
                self._pieces = max(0, self._pieces - (item.examples if isinstance(item, Generated) else 1))
        known, calls, start = len(self._classes), self.tally.calls, time.monotonic()
        if source is Source.TOURS:
            self._given[source] += len(items)
        self._do(source, items, Counted.KNOWN)
        spent = time.monotonic() - start if self._by_clock else self.tally.calls - calls
        # Half of what was known of the source is kept, so that one dry round does not end it.
        share.new = 0.5 * share.new + (len(self._classes) - known) + 0.1
        share.price = 0.5 * share.price + max(spent, 1e-3)

    def _shuffled(self) -> list[Item]:
        """The sweeps that are left, in an order that mixes the places."""
        return Random(self._seed).sample(self._rest, len(self._rest))

    def _tours(self) -> Iterator[Item]:
        costs = self._prices() if self._by_clock else None
        for stops in tours(self._model, self._initial, costs, self._budget.seconds, self._leads):
            yield Tour(tuple((self._named(stop.way), self._named(stop.calls)) for stop in stops))

    def _walks(self) -> Iterator[Item]:
        n = 0
        while True:
            n += 1
            yield Walk(f"{self._seed}/{n}", WALK, self._by_clock)

    def _generated(self) -> Iterator[Item]:
        n = 0
        while True:
            n += 1
            count = EXAMPLES if self._pieces is None else max(1, min(EXAMPLES, self._pieces))
            yield Generated(self._seed * 1_000_003 + n, count, self._budget.length)

    # What came of it.

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _left(self) -> float:
        """The seconds that are left, none where the calls are spent or the check is asked to stop."""
        calls, share = self._budget.calls, self._share
        if self._asked() is not None or (calls is not None and self.tally.calls >= calls * share):
            return 0.0
        # With calls nothing is to depend on the clock but the end.
        return self._budget.seconds * (share if calls is None else 1.0) - self._elapsed()

    def _may_look(self) -> bool:
        """Whether a failure may still be looked into. Its calls may go beyond the budget's, its time hardly so."""
        share = self._share if self._budget.calls is None else 1.0
        return self._asked() is None and self._elapsed() < self._budget.seconds * (share + GRACE)

    @property
    def _share(self) -> float:
        """The share of the budget that is not kept for what comes last."""
        return 1.0 - LAST if self._put_off and not self._last else 1.0

    def _over(self) -> bool:
        return self._left() <= 0

    def _prices(self) -> dict[str, float]:
        """The seconds that a call of each function took so far, on average."""
        return {function: seconds / count for function, (count, seconds) in self._costs.items()}

    def _do(self, source: Source, items: Iterable[Item], counted: Counted = Counted.ADDED) -> None:
        if self._over():
            return
        for done in self._crew.do(self._given_out(source, items, counted), self._left):
            if counted is not Counted.AGAIN:
                self._done[source] += 1
            self._take(source, done)
            if self._over():
                # What others of the crew may have done meanwhile does not count.
                break
        self._catch_up()

    def _given_out(self, source: Source, items: Iterable[Item], counted: Counted) -> Iterator[Item]:
        for item in items:
            if counted is Counted.ADDED:
                self._given[source] += 1
            yield item

    def _take(self, source: Source, done: Done) -> None:
        before = self.tally.calls
        self._lost += done.lost
        self.tally.add(done.tally)
        for function, (count, seconds) in done.costs.items():
            n, total = self._costs.get(function, (0, 0.0))
            self._costs[function] = n + count, total + seconds
        for new in done.news:
            kind = (new.function, new.seen, new.aspect)
            if kind not in self._classes:
                self._classes.add(kind)
                self._untold.append(kind)
                self._curve.append(Point(before + new.calls, self._elapsed(), len(self._classes)))
        for failed in done.failures:
            self._learn(failed, before + failed.at)
        for key, (failed, first) in tuple(self._waiting.items()):
            if not self._waits(failed.calls[-1], failed.seen):
                del self._waiting[key]
                self._learn(failed, first)
        tally, found = self.tally, len(self.findings)
        self._watch(
            Progress(source.value, tally.calls, len(tally.states), len(tally.fired), found, *self._share_and_left())
        )

    def _spent(self) -> float:
        """The share of the budget that is spent by what alone bounds the work: its calls where they are bounded."""
        calls, seconds = self._budget.calls, self._budget.seconds
        if calls is not None:
            return self.tally.calls / calls
        return self._elapsed() / seconds if self._by_clock and seconds > 0 else 0.0

    def _share_and_left(self) -> tuple[float, float | None]:
        """The share of the budget that is spent, and the seconds that are left where they bound the check."""
        seconds, calls = self._budget.seconds, self._budget.calls
        by_time = min(1.0, self._elapsed() / seconds) if seconds > 0 else 1.0
        if calls is None:
            return by_time, max(0.0, seconds - self._elapsed())
        return max(by_time, min(1.0, self.tally.calls / calls)), None

    def _learn(self, failed: Failed, first: int) -> None:
        since = time.monotonic()
        self._look_into(failed, first)
        if failed.cause.kind in _FATAL:
            self._lost += time.monotonic() - since

    def _catch_up(self) -> None:
        """Look into the failures that were put off, each in the end a symptom of a finding, or one of its own."""
        while self._later:
            raw = next(iter(self._later))
            self._look_into(*self._later[raw], late=True)
            del self._later[raw]

    def _look_into(self, failed: Failed, first: int, *, late: bool = False) -> None:
        """Find out what a failure comes of; one of a known cause in another function only when it is `late`."""
        if self._waits(failed.calls[-1], failed.seen):
            self._waiting.setdefault((failed.cause, failed.function, failed.calls[-1].args.mechanism), (failed, first))
            return
        raw = (failed.cause, failed.function, failed.seen)
        unclear = unexplained(failed.cause) and self._looked_into[raw] < UNEXPLAINED
        k = None if unclear else self._known(*raw)
        if k is None:
            waits = not (late or unclear or failed.cause.kind in _FATAL)
            if waits and any(f.verdict.cause == failed.cause for f in self.findings):
                self._later.setdefault(raw, (failed, first))
                return
            if not self._may_look():
                self.tally.inconclusive[failed.function, failed.seen, UNCONFIRMED] += 1
                return
            self._looked_into[raw] += 1
            k = self._symptom(failed, first)
            if k is None:
                return
            self._met.setdefault(raw, k)
        found = self.findings[k]
        died = {x.verdict.call.function for x in self.findings if x.verdict.kind is Kind.DIED}
        if found.verdict.kind is Kind.ROBUSTNESS and failed.function in died:
            # It dies without NULL pointers, too.
            self._keep_away(failed, None)
            return
        if found.verdict.kind is Kind.ROBUSTNESS:
            nulls = null_arguments(failed.calls[-1], self._uses[failed.calls[-1].function])
            self.findings[k] = found.with_nulls(failed.calls[-1].function, nulls)
        if found.verdict.observation.ending in (Ending.DIED, Ending.HUNG):
            fatal = next(x for x in found.symptoms if x.symptom.function == failed.function)
            self._keep_away(failed, fatal.verdict.call)

    def _symptom(self, failed: Failed, first: int) -> int | None:
        """Shrink and confirm a failure, as a symptom of a finding, be it new: which; None if it did not show again."""
        seconds, cheap = self._elapsed(), self._killed_alike(failed)
        shrunk = self._as_it_is(failed) if cheap else self._shrunk(failed)
        if shrunk is None:
            if failed.alone:
                self._put_by(failed, first, "seen once, and not again on replay")
            return None
        small, final = shrunk
        found = shown(self._model, final, small, first, seconds)
        if (k := self._shown_in.get(found.symptom)) is not None:
            return k
        confirmed = 1 if cheap else self._confirmed(small, final)
        if not confirmed:
            self._put_by(failed, first, "seen again, but not in a fresh process by itself")
            return None
        found = replace(found, confirmed=confirmed)
        k = self._of_a_handle(small, first)
        if k is None:
            k = self._caused(final.cause, found.symptom)
        if k is None:
            k = len(self.findings)
            self.findings.append(Finding((found,)))
            self._found_one(self.findings[k])
        else:
            self.findings[k] = self.findings[k].with_symptom(found)
        self._shown_in[found.symptom] = k
        self._met[final.cause, found.symptom.function, found.symptom.seen] = k
        self.tally.saw(small)
        return k

    def _killed_alike(self, failed: Failed) -> bool:
        """Whether NULL pointers kill elsewhere, too, so that another death by one is worth but one more."""
        cause = failed.cause
        return cause.kind == Kind.ROBUSTNESS.value and any(f.verdict.cause == cause for f in self.findings)

    def _as_it_is(self, failed: Failed) -> tuple[Steps, Verdict] | None:
        """What shows a failure as it was met, seen again in a fresh process; None if it does not show again."""
        again = self._replay(failed.calls, fresh=True)
        if again.failure is None or not _looks_like(again.failure, failed):
            return None
        return again.steps, again.failure

    def _waits(self, call: Call, seen: str) -> bool:
        """Whether a failure says only that a mechanism is invalid, and it was not seen to work in that use.

        If it never works there, that is one note for the mechanism and the use (see `Note.DEAD`), and no finding.
        """
        named = seen == _INVALID and {"mechanism", "session"} <= {*self._uses[call.function]}
        if not named or call.args.mechanism == Mech.OTHER:
            return False
        if self.tally.operational(call.function, call.args.mechanism.name) is None:
            self._try(call.function, call.args.mechanism)
        return not self.tally.operational(call.function, call.args.mechanism.name)

    def _try(self, function: str, mechanism: Mech) -> None:
        """Use a mechanism as the matrix of operations does, once, to see whether it works."""
        if (function, mechanism) in self._tried or not self._may_look():
            return
        self._tried.add((function, mechanism))
        for row in rows(self._model, self._initial):
            calls = (*row.way, *(row.begin or row.cells[0].calls[:1]))
            if row.mechanism is mechanism and calls[-1].function == function:
                replay = self._replay(calls)
                if len(replay.steps) == len(calls):
                    self.tally.tried(replay.verdicts[-1], self._uses[function])
                return

    def _confirmed(self, steps: Steps, failure: Verdict) -> int:
        """How often, of `CONFIRMATIONS` tries, a trace fails alike by itself, each in a fresh process."""
        calls = [call for call, _ in steps]
        return sum(
            self._may_look() and same_fault(failure, self._replay(calls, fresh=True).failure)
            for _ in range(CONFIRMATIONS)
        )

    def _put_by(self, failed: Failed, first: int, why: str) -> None:
        """List a failure apart that did not come back; where the time was up, it says nothing that it did not."""
        if self._may_look():
            self.unconfirmed[failed.function, failed.seen].append(first)
        self.tally.inconclusive[failed.function, failed.seen, why if self._may_look() else UNCONFIRMED] += 1

    def _known(self, cause: Cause, function: str, seen: str) -> int | None:
        """The finding that holds a failure of a function already, or one with a part of its facts."""
        exact = self._met.get((cause, function, seen))
        if exact is not None:
            return exact
        alike = (k for (known, *pair), k in self._met.items() if pair == [function, seen] and explains(known, cause))
        return next(alike, None)

    def _caused(self, cause: Cause, new: Symptom) -> int | None:
        """The finding that has a cause already, or one that explains it: a part of its facts, and the same answer."""
        known = [(f.verdict.cause, f.verdict.observation.text, k) for k, f in enumerate(self.findings)]
        exact = next((k for own, _, k in known if own == cause), None)
        if exact is not None:
            return exact
        return next((k for own, seen, k in known if seen == new.seen and explains(own, cause)), None)

    def _of_a_handle(self, steps: Steps, first: int) -> int | None:
        """The finding of a handle that is none, where a trace ends as a call takes that for what it is; else None."""
        *before, (_, seen) = steps
        if not seen.text.endswith(_NO_HANDLE):
            return None
        given = [n for n, (_, x) in enumerate(before) if not HARMLESS.isdisjoint(x.outputs)]
        for n in given:
            calls = tuple(call for call, _ in before[: n + 1])
            failure = self._replay(calls).failure
            if failure is None:
                continue
            self._look_into(
                Failed(calls, (), failure.cause, failure.call.function, failure.observation.text, len(calls)), first
            )
            k = next((k for k, f in enumerate(self.findings) if f.verdict.cause == failure.cause), None)
            if k is not None:
                return k
        return None

    def _keep_away(self, failed: Failed, shrunk: Call | None) -> None:
        """Leave out calls that kill the module, by the arguments that matter: every death takes long."""
        before = self._deaths.nulls
        self._deaths.learn(failed.calls[-1], shrunk, mechanism_before(failed.calls))
        name = failed.function
        worked = (name, str(CKR.OK)) in self.tally.pairs
        self._spared |= {k for k in self._calls_of.get(name, ()) if self._deaths.spares(self._calls[k], worked)}
        if self._deaths.nulls != before:
            self._put_off = frozenset(k for k, call in enumerate(self._calls) if self._deaths.puts_off(call))
        for k in self._calls_of.get(name, ()):
            kill = (m for m in self._deaths.mechanisms(name) if self._deaths.spares(self._calls[k], worked, m))
            if mechanisms := frozenset(kill):
                self._spared_with[k] = mechanisms
        self._crew.spare(self._spared if self._last else self._spared | self._put_off, self._spared_with)

    def _shrunk(self, failed: Failed) -> tuple[Steps, Verdict] | None:
        """The fewest and plainest calls that show a failure, and its verdict there; None if it does not show again."""
        calls = failed.calls
        for _ in range(TRIES_AGAIN if failed.alone else 1):
            first = self._replay(calls)
            original = first.failure
            if original is not None and _looks_like(original, failed):
                break
            if not self._may_look():
                return None
        else:
            return None
        if original.kind is Kind.ROBUSTNESS:
            # A call that kills without the NULL pointer too has nothing to do with it.
            without = (*calls[:-1], without_nulls(calls[-1], self._uses[calls[-1].function]))
            other = self._replay(without).failure
            if other is not None and other.kind is Kind.DIED and other.call == without[-1]:
                calls, original = without, other
        guesses = [failed.guess] if failed.guess else []
        again = self._fewest(calls, first, original, guesses)
        while again.failure is not None and (clearer := self._clearer(again.steps, again.failure)) is not None:
            replay, failure = clearer
            again = self._fewest([call for call, _ in replay.steps], replay, failure)
        if again.failure is None:
            return None
        return again.steps, self._blamed(again.steps, again.failure)

    def _blamed(self, steps: Steps, failure: Verdict) -> Verdict:
        """The failure with what explains it, unless a look at the session in between shows that to be otherwise."""
        blamed = blame_any(self._model, self._initial, steps, failure)
        if blamed.lapse is not None and self._refuted(steps, blamed):
            return replace(blamed, lapse=None)
        look = Call("C_GetSessionInfo", Args(session=failure.call.args.session))
        if blamed.lapse is None or blamed == failure or look.function not in self._model.functions:
            return blamed
        *before, last = [call for call, _ in steps]
        looked = self._replay((*before, look, last)) if self._may_look() else None
        if looked is None or not same_fault(failure, looked.failure) or looked.failure is None:
            return blamed
        again = blame_any(self._model, self._initial, looked.steps, looked.failure)
        return failure if again.lapse is None else blamed

    def _refuted(self, steps: Steps, blamed: Verdict) -> bool:
        """Whether another call in place of the last one shows that the lapse that would explain it was none."""
        believed = hypotheses(self._model, self._initial, steps, blamed)
        if believed is None:
            return False
        last, (right, otherwise) = blamed.call, believed
        plain = (Call(name, Args(session=last.args.session)) for name in self._model.functions if name != last.function)
        allowed = (call for call in plain if self._policy(one_of(right), call))
        for call in islice(telling(self._model, right, otherwise, allowed), EXPERIMENTS):
            if not self._may_look():
                break
            *_, (made, seen) = self._replay((*(c for c, _ in steps[:-1]), call)).steps
            if made == call and refuted(self._model, right, otherwise, call, seen):
                return True
        return False

    def _fewest(
        self, calls: Sequence[Call], shown: Replay, original: Verdict, guesses: Sequence[Sequence[Call]] = ()
    ) -> Replay:
        """The least replay that shows a failure, as far as there is time: the best one of those that were made."""
        failing: dict[tuple[Call, ...], Replay] = {}

        def fails(trial: Sequence[Call]) -> bool:
            if not self._may_look():
                return False
            replay = self._replay(trial)
            if not self._same_fault(original, replay.failure):
                return False
            failing[tuple(trial)] = replay
            return True

        best = shrink(calls, self._uses, fails, guesses)
        return self._replay(best) if self._may_look() else failing.get(best, shown)

    def _same_fault(self, first: Verdict, other: Verdict | None) -> bool:
        """Whether another failure is the same fault, and not perhaps that of a mechanism that never works."""
        return same_fault(first, other) and other is not None and not self._waits(other.call, other.observation.text)

    def _clearer(self, steps: Steps, failure: Verdict) -> tuple[Replay, Verdict] | None:
        """Another call of the function at the end of a trace that fails alike, with fewer facts to speak of.

        Where several facts are misjudged at once, it may be for one of them only.
        """
        if len(failure.facts) < 2:
            return None
        *before, last = [call for call, _ in steps]
        s = one_of(believed_after(self._model, self._initial, steps[:-1]))
        tried: Counter[frozenset[str]] = Counter()
        candidates: list[tuple[int, Call]] = []
        for call in self._calls:
            if call.function == last.function and in_scope(self._model, s, call) and self._policy(s, call):
                facts = frozenset(r.id for r in ruling(self._model, s, call).firm)
                if facts and facts < failure.facts and tried[facts] < CANDIDATES:
                    tried[facts] += 1
                    candidates.append((len(facts), call))
        for _, call in sorted(candidates, key=itemgetter(0)):
            if not self._may_look():
                return None
            replay = self._replay((*before, call))
            other = replay.failure
            if other is not None and self._same_fault(failure, other) and other.facts < failure.facts:
                return replay, other
        return None

    def _replay(self, calls: Sequence[Call], *, fresh: bool = False) -> Replay:
        """Run a sequence from a fresh start, if `fresh` in a new process; its calls count."""
        replay = self._crew.replay(calls, fresh=fresh)
        self.tally.calls += len(replay.steps)
        self.tally.sequences += 1
        return replay
