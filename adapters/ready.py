"""Calls that are made ready once and then made many times, at little more than the cost of the module (see `Ready`).

What a call is, and what its answer means, stands in the table of `calls/`, as for `Raw.call`; here is what of that can
be done beforehand.
"""

from collections.abc import Callable, Mapping, Sequence, Sized
from functools import partial
from operator import getitem
from typing import Final

from ..model.call import Args, Call, Ending, Observation
from ..model.vocabulary import CKR
from .application import Application
from .base import Caller
from .calls.concrete import Arguments, Concrete, Outputs, arguments, blank, called, noted, nothing
from .calls.table import CALLS
from .cryptoki import CData
from .handles import Place
from .lane import Lane
from .memory import Blank
from .misuse import SEEN, take


class _Answers:
    """Which number stands for which observation."""

    def __init__(self) -> None:
        self._numbers: dict[Observation, int] = {}
        self._returned: dict[tuple[int, Outputs], int] = {}
        self._seen: list[Observation] = []

    def answer(self, seen: Observation) -> int:
        """The number of an observation."""
        if not (seen.outputs or seen.misuse or seen.detail) and seen.ending is Ending.RETURNED:
            return seen.code
        number = self._numbers.get(seen)
        if number is None:
            number = self._numbers[seen] = ~len(self._seen)
            self._seen.append(seen)
        return number

    def returned(self, code: int, outputs: Outputs) -> int:
        """The number of the observation of a code and outputs."""
        number = self._returned.get((code, outputs))
        if number is None:
            number = self._returned[code, outputs] = self.answer(Observation(code, outputs))
        return number

    def observation(self, answer: int) -> Observation:
        """The observation of a number. Raises IndexError for one that was not given."""
        return Observation(answer) if answer >= 0 else self._seen[~answer]


class Plain:
    """The calls of a list on whatever makes calls (implements `Ready`): each is made as that makes it."""

    def __init__(self, caller: Caller, calls: Sequence[Call]) -> None:
        self.made: dict[int, Callable[[], int]] = {}
        self._caller = caller
        self._calls = calls
        self._answers = _Answers()
        self.observation = self._answers.observation

    def make(self, number: int) -> Callable[[], int]:
        """Make a call ready."""
        call, answer, make = self._calls[number], self._answers.answer, self._caller.call
        self.made[number] = made = lambda: answer(make(call))
        return made


class Prepared:
    """The calls of a list for an application (implements `Ready`), as long as it lives: their arguments are built once.

    A module that writes where it may only read finds what it wrote when the same call is made again.
    """

    def __init__(self, application: Application, lane: Lane, calls: Sequence[Call]) -> None:
        self.made: dict[int, Callable[[], int]] = {}
        self._application = application
        self._lane = lane
        self._calls = calls
        self._answers = _Answers()
        # By function: what a code means that means the same in each of its calls.
        self._codes: dict[str, dict[int, int]] = {}
        self._remembering: list[int] = []
        self.observation = self._answers.observation
        application.watchers.append(self._changed)

    def make(self, number: int) -> Callable[[], int]:
        """Make a call ready."""
        call = self._calls[number]
        self.made[number] = made = self._ready(call)
        if CALLS[call.function].remembers:
            self._remembering.append(number)
        return made

    def _changed(self, slots: bool) -> None:
        if slots:
            self.made.clear()
        else:
            for number in self._remembering:
                self.made.pop(number, None)
        self._remembering.clear()

    def _ready(self, call: Call) -> Callable[[], int]:
        app, lane, concrete, args = self._application, self._lane, CALLS[call.function], call.args
        function = lane.function(call.function)
        if function is None:
            return partial(self._answers.answer, Observation(ending=Ending.ABSENT))
        filled, answers = blank(app, lane, concrete, args), self._codes.setdefault(call.function, {})
        answered = self._answered(concrete, args, answers)
        if filled is not None and concrete.holds is not None:
            answered = _read_once(filled, partial(concrete.holds, lane), answered)
        words, busy = arguments(app, lane, concrete, args), concrete.busy(app, args)
        return _made(called(app, lane, concrete, args, function), words, filled or _NOWHERE, answers, answered, busy)

    def _answered(self, concrete: Concrete, args: Args, answers: dict[int, int]) -> Callable[[int], int]:
        """What gives the answer of a call that returned, and notes it in `answers` if it hangs on the code alone."""
        heeded = concrete.heeded if concrete.done is nothing else {CKR.OK, *concrete.heeded}
        app, lane, misuse = self._application, self._lane, SEEN
        answer, returned = self._answers.answer, self._answers.returned

        def answered(code: int) -> int:
            outputs = noted(app, lane, concrete, args, code)
            if misuse:
                return answer(Observation(code, outputs, misuse=take()))
            number = returned(code, outputs)
            if code not in heeded:
                answers[code] = number
            return number

        return answered


_HEAD: Final = 3
"""In nearly all calls with several places they are among the first so many words."""

_NOWHERE: Final = Blank([0], 0, 0)
"""What a call fills that fills nothing."""


def _made(
    function: Callable[..., int],
    words: Arguments,
    filled: Blank,
    answers: Mapping[int, int],
    answered: Callable[[int], int],
    busy: Sized,
) -> Callable[[], int]:
    """A call of a function with words, some of them in places, and what it does with the code.

    A code among the `answers` means the same each time, unless the call is `busy` or misuse was seen; what
    any other means has to be `answered`. All is done in one frame of Python, since another would cost half as much as
    what there is to do. Tuples are added, since it takes longer to unpack one into another.
    """
    (memory, place, untouched), known, misuse = filled, answers.get, SEEN
    where = [*map(_where, words)]
    places = [i for i, given in enumerate(words) if isinstance(given, Place)]
    if places in ([], [0]):
        (numbers, index), after = where[0], words[1:]

        def make() -> int:
            memory[place] = untouched
            code = function(*((numbers[index],) + after))  # noqa: RUF005
            answer = known(code)
            return answered(code) if answer is None or busy or misuse else answer

    elif places[-1] < _HEAD <= len(words):
        (numbers, index), (others, other), (more, another) = where[:_HEAD]
        after = words[_HEAD:]

        def make() -> int:
            memory[place] = untouched
            code = function(*((numbers[index], others[other], more[another]) + after))  # noqa: RUF005
            answer = known(code)
            return answered(code) if answer is None or busy or misuse else answer

    else:
        lists, indexes = zip(*where, strict=True)

        def make() -> int:
            memory[place] = untouched
            code = function(*map(getitem, lists, indexes))
            answer = known(code)
            return answered(code) if answer is None or busy or misuse else answer

    return make


def _where(given: CData | Place) -> tuple[Sequence[CData], int]:
    """Where a word is looked up at each call."""
    return (given.numbers, given.index) if isinstance(given, Place) else ([given], 0)


def _read_once(filled: Blank, holds: Callable[[], bool], answered: Callable[[int], int]) -> Callable[[int], int]:
    """What gives the answer of a call that fills memory with it, which is read once for all times it is the same."""
    memory, place, _ = filled
    contents: dict[bytes, int] = {}
    known, misuse = contents.get, SEEN

    def read(code: int) -> int:
        if code or misuse:
            return answered(code)
        found = memory[place]
        answer = known(found)
        if answer is None:
            answer = answered(code)
            if holds():
                contents[found] = answer
        return answer

    return read
