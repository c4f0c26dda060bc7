"""What a module answers, written down as text that people review and later runs are compared with.

For each class of state a representative way to it, and below it the calls that were made there with their answers. A
line that ends with an exclamation mark is against the text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from ...model.call import Args, Call, arguments, read_call
from ...model.chapters.operations import ACTIVITIES
from ...model.environment import STEPS
from ...model.mechanisms import FLAGS
from ...model.oracle import Model, following
from ...model.state import Login, Phase, Search, State
from ...model.vocabulary import CKR
from ..engine.verdict import one_of
from ..run.probe import Case
from ..search.natural import answer
from .results import Unreadable, content

LARGEST: Final = 8_000_000
"""Bytes of a file that is read; what is written has less than a million."""

TITLE: Final = "# p11conform baseline 1"
"""The first line of the file: what it is, and the number of its shape."""

NEVER: Final = "not reached"
"""In the place of an answer: the sequence ended before that call."""

_OK: Final = str(CKR.OK)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a module answered: how it was asked by name, what it can do, and the sequences with their answers.

    `symptoms` are ids of what was seen to be wrong in a check of it.
    """

    about: Mapping[str, str]
    readings: Mapping[str, str]
    abilities: tuple[str, ...]
    cases: tuple[Case, ...]
    symptoms: tuple[str, ...] = field(default=())


def abilities(initial: State) -> tuple[str, ...]:
    """What the token in the first slot can do, in lines: facts about it, and each mechanism with what it is for."""
    slot = initial.slots[0]
    facts = {
        "random numbers": slot.rng,
        "dual operations": slot.dual,
        "login required": slot.login_required,
        "write-protected": slot.write_protected,
    }
    roles = {
        m: sorted(role.name for mech, role in slot.abilities if mech == m and role in FLAGS) for m in slot.mechanisms
    }
    return (
        *(fact for fact, holds in facts.items() if holds),
        *sorted(f"{m.name}: {', '.join(names) or 'nothing'}" for m, names in roles.items()),
    )


# Writing.


def call_text(call: Call) -> str:
    """A call as a line has it: the arguments that are not the harmless ones."""
    uses = STEPS[call.function].uses
    given, plain = (arguments(x, uses) for x in (call, Call(call.function, Args())))
    return f"{call.function}({', '.join(f'{k}={_value(v)}' for k, v in given.items() if v != plain[k])})"


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def in_words(s: State) -> str:
    """The class of a state: who is logged in where, which sessions there are, what is under way, and objects."""
    if not s.initialized:
        return "library not initialised"
    parts = []
    for x in s.sessions:
        if x.open:
            running = [k.noun for k in ACTIVITIES if getattr(x.operations, k.field).phase != Phase.NONE]
            running += ["search"] if x.operations.search != Search.NONE else []
            doing = f" with {', '.join(running)}" if running else ""
            parts.append(f"{'R/W' if x.rw else 'R/O'} session with slot {x.slot}{doing}")
    logins = [f"{x.login.name} logged in to slot {k}" for k, x in enumerate(s.slots) if x.login != Login.NOBODY]
    objects = sum(x.exists for x in s.objects)
    parts += [*logins, *([f"{objects} objects"] if objects else [])]
    return "; ".join(parts) or "library initialised, no session"


def written(baseline: Baseline, model: Model, initial: State) -> str:
    """The file."""
    return "\n".join(_written(baseline, model, initial)) + "\n"


def _written(baseline: Baseline, model: Model, initial: State) -> Iterator[str]:
    yield TITLE
    yield "# What a module answers, class of state by class of state; p11conform diff compares it."
    yield from (f"{name} = {' '.join(value.split())}" for name, value in baseline.about.items())
    yield from (f"reading {id} = {reading}" for id, reading in sorted(baseline.readings.items()))
    yield from (f"can = {line}" for line in baseline.abilities)
    yield from (f"symptom = {id}" for id in sorted(baseline.symptoms))
    looks = sorted({_calls(case.calls[case.at + 1 :]) for case in baseline.cases} - {""})
    numbers = {look: n for n, look in enumerate(looks, 1)}
    yield from (f"look {n} = {look}" for look, n in numbers.items())
    by_way = groupby(sorted(baseline.cases, key=_order), key=_way)
    for way, cases in by_way:
        some = list(cases)
        yield ""
        yield f"way {way}".rstrip()
        # The state that the way should lead to, whatever the module answered on it.
        yield f"# in: {_state(model, initial, some[0])}"
        yield from (f"  {line}" for line in sorted({_line(case, numbers) for case in some}))


def _state(model: Model, initial: State, case: Case) -> str:
    s = initial
    for call in case.calls[: case.at]:
        code = answer(model, s, call)
        if code is not None:
            s = one_of(following(model, s, call, code))
    return in_words(s)


def _order(case: Case) -> tuple[int, str]:
    return case.at, _way(case)


def _way(case: Case) -> str:
    return _calls(case.calls[: case.at], case.answers[: case.at], fails=case.fails and len(case.answers) <= case.at)


def _calls(calls: Sequence[Call], answers: Sequence[str] | None = None, *, fails: bool = False) -> str:
    """Calls in a line, each with its answer where that is not CKR_OK."""
    if answers is None:
        return ", ".join(map(call_text, calls))
    told = [f" → {x}" if x != _OK else "" for x in answers]
    if fails:
        told[-1] = f" → {answers[-1]}!"
    told += [f" → {NEVER}"] * (len(calls) - len(answers))
    return ", ".join(f"{call_text(call)}{x}" for call, x in zip(calls, told, strict=True))


def _line(case: Case, looks: Mapping[str, int]) -> str:
    call, rest = case.calls[case.at], case.answers[case.at :]
    look = looks.get(_calls(case.calls[case.at + 1 :]))
    if not rest:
        return f"{call_text(call)} → {NEVER}" + (f"; look {look}" if look else "")
    first, *then = rest
    # A failure that is in the code of the call itself, and not in what was looked at after it, stands beside it.
    line = f"{call_text(call)} → {first}{'!' if case.fails and not then else ''}"
    if look is None:
        return line
    whole = len(then) == len(case.calls) - case.at - 1 and set(then) == {_OK} and not case.fails
    told = "" if whole else ": " + " ".join(then)
    return f"{line}; look {look}{told}{'!' if case.fails and then else ''}"


# Reading.

_CALL: Final = re.compile(
    r"(?P<name>C_\w+)\((?P<given>[^()]*)\)(?: → (?P<answer>not reached|\w+)(?P<fails>!?))?(?=, C_|;|$)"
)
_LINE: Final = re.compile(r"  (?P<call>[^;]+)(?:; look (?P<look>[0-9]+)(?:: (?P<then>[^!]*?))?(?P<fails>!?))?")
_FIELD: Final = re.compile(r"(?P<name>\w+)(?: (?P<key>[\w-]+))? = (?P<value>.*)")


def is_baseline(head: bytes) -> bool:
    """Whether a file that begins so is a baseline."""
    return head.startswith(TITLE.rpartition(" ")[0].encode())


def read_baseline(path: Path) -> Baseline:
    """A baseline from a file.

    Raises:
        Unreadable: if it is none; the text is one line that says where and why.
    """
    try:
        lines = content(path, LARGEST, "baseline").decode().splitlines()
    except UnicodeError:
        raise Unreadable(f"{path}: not text; give a file that p11conform baseline wrote") from None
    if not lines or lines[0] != TITLE:
        raise Unreadable(f"{path}: not '{TITLE.removeprefix('# ')}'; write it again with p11conform baseline")
    reader = _Reader()
    for n, line in enumerate(lines[1:], 2):
        try:
            reader.take(line)
        except (ValueError, KeyError) as error:
            why = " ".join(str(error).split())[:100]
            raise Unreadable(f"{path}: line {n}: {why}; write it again with p11conform baseline") from None
    missing = {"module", "spec", "p11conform"} - reader.about.keys()
    if missing:
        raise Unreadable(f"{path}: no line tells {min(missing)}; write it again with p11conform baseline")
    return reader.baseline()


class _Reader:
    """Takes a baseline line by line."""

    def __init__(self) -> None:
        self.about: dict[str, str] = {}
        self._readings: dict[str, str] = {}
        self._can: list[str] = []
        self._symptoms: list[str] = []
        self._looks: dict[str, tuple[Call, ...]] = {}
        self._cases: list[Case] = []
        self._way: tuple[tuple[Call, ...], tuple[str, ...], bool] | None = None

    def baseline(self) -> Baseline:
        return Baseline(self.about, self._readings, tuple(self._can), tuple(self._cases), tuple(self._symptoms))

    def take(self, line: str) -> None:
        """Take a line.

        Raises:
            KeyError, ValueError: if it is none that a baseline has.
        """
        if not line or line.startswith("#"):
            return
        if line == "way" or line.startswith("way "):
            self._way = _read_calls(line[3:].strip())
        elif line.startswith("  "):
            self._cases.append(self._case(line))
        else:
            self._field(line)

    def _field(self, line: str) -> None:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise ValueError(f"{line[:50]!r} is neither a fact nor a way nor a call")
        name, key, value = found["name"], found["key"], found["value"]
        if key is None:
            many = {"can": self._can, "symptom": self._symptoms}
            if name in many:
                many[name].append(value)
            else:
                self.about[name] = value
        elif name == "reading":
            self._readings[key] = value
        elif name == "look":
            self._looks[key] = _read_calls(value)[0]
        else:
            raise ValueError(f"nothing is called {name!r}")

    def _case(self, line: str) -> Case:
        found = _LINE.fullmatch(line)
        if found is None or self._way is None:
            raise ValueError(f"{line.strip()[:50]!r} is no call with its answer below a way")
        way, answers, failed = self._way
        calls, own, fails = _read_calls(found["call"])
        if len(calls) != 1:
            raise ValueError("one call stands in a line")
        if found["look"] and found["look"] not in self._looks:
            raise ValueError(f"there is no look {found['look']}")
        look = self._looks[found["look"]] if found["look"] else ()
        then: tuple[str, ...] = ()
        if found["then"] is not None:
            then = tuple(found["then"].split())
        elif found["look"] and own and not fails and not found["fails"]:
            then = (_OK,) * len(look)
        if len(then) > len(look):
            raise ValueError("more answers than calls")
        return Case((*way, *calls, *look), len(way), (*answers, *own, *then), bool(failed or fails or found["fails"]))


def _read_calls(text: str) -> tuple[tuple[Call, ...], tuple[str, ...], bool]:
    """Calls of a line, the answers up to where they end, and whether the last one is against the text."""
    calls: list[Call] = []
    answers: list[str] = []
    at, fails, over = 0, False, False
    while at < len(text):
        found = _CALL.match(text, at)
        if found is None:
            raise ValueError(f"{text[at : at + 50]!r} is no call")
        calls.append(_read_call(found["name"], found["given"]))
        over = over or found["answer"] == NEVER
        if not over:
            answers.append(found["answer"] or _OK)
            fails = bool(found["fails"])
        at = found.end() + len(", ")
    return tuple(calls), tuple(answers), fails


def _read_call(name: str, given: str) -> Call:
    if name not in STEPS:
        raise ValueError(f"no function is called {name!r}")
    values: dict[str, Any] = {}
    for part in filter(None, given.split(", ")):
        key, equals, value = part.partition("=")
        if not equals or key not in STEPS[name].uses:
            raise ValueError(f"{name} has no argument {part!r}")
        values[key] = int(value) if value.isdecimal() else {"true": True, "false": False}.get(value, value)
    return read_call(name, values)
