"""What a run could reach of a module: what was made and begun, what never succeeded, and why."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ...model.call import Call
from ...model.oracle import Model
from ...model.vocabulary import CKR
from .habits import Habits
from .tally import LOGIN, Tally

LITTLE: Final = 1 / 3
"""A run in which a smaller part of the functions that are offered returned CKR_OK reached hardly anything."""

_OK: Final = str(CKR.OK)
_ABSENT: Final = frozenset({str(CKR.FUNCTION_NOT_SUPPORTED), "absent"})


@dataclass(frozen=True, slots=True)
class Reach:
    """What was reached: `made` holds sort, what, and how often; `never` the functions without CKR_OK, each with why.

    `refused` holds what the ways were planned round: the function, its arguments, who was logged in, and the answer.
    `poor` says in lines why the run proves little, and is empty where it does not.
    """

    succeeded: tuple[str, ...]
    never: tuple[tuple[str, str], ...]
    made: tuple[tuple[str, str, int], ...]
    refused: tuple[tuple[str, str, str, str], ...]
    poor: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "succeeded": list(self.succeeded),
            "never": dict(self.never),
            "made": [{"sort": sort, "what": what, "times": n} for sort, what, n in self.made],
            "refused": [
                {"function": f, "arguments": given, "login": login, "observed": seen}
                for f, given, login, seen in self.refused
            ],
            "poor": list(self.poor),
        }


def reach(
    model: Model,
    tally: Tally,
    calls: Collection[Call],
    spared: Collection[Call],
    habits: Habits,
    pin_given: bool,
    hopeful: Collection[str],
) -> Reach:
    """What a run reached.

    Args:
        calls: all calls that it could have made.
        spared: those that it left out as they kill.
        habits: what it learnt that the module refuses.
        pin_given: whether there was a PIN to log in with.
        hopeful: functions to whose success a way was found.
    """
    known, avoided = {call.function for call in calls}, {call.function for call in spared}
    functions = {name: f for name, f in model.functions.items() if name not in model.events}
    answers: dict[str, dict[str, int]] = {name: {} for name, f in functions.items() if f.returns_ok}
    for (function, seen), times in tally.pairs.items():
        if function in answers:
            answers[function][seen] = times
    succeeded = tuple(name for name, seen in answers.items() if _OK in seen)
    refused = {x.function: seen for x, seen in reversed(habits.refused.items())}
    for name in {x.function for x in habits.worked} & refused.keys():
        del refused[name]
    never = tuple(
        (name, _why(seen, name in known, name in avoided, name in hopeful, refused.get(name)))
        for name, seen in answers.items()
        if _OK not in seen
    )
    offered = sum(not _ABSENT & seen.keys() for seen in answers.values())
    made = tuple((sort, what, n) for (sort, what), n in sorted(tally.reached.items()))
    poor: list[str] = []
    if answers.get("C_Login") and not any(sort == LOGIN for sort, _, _ in made):
        poor.append("nobody ever logged in")
    elif not pin_given:
        poor.append("no PIN was given, so nobody logged in; give one to have checked what needs a login")
    if len(succeeded) < LITTLE * offered:
        poor.append(f"only {len(succeeded)} of {offered} functions offered ever returned CKR_OK")
    return Reach(succeeded, never, made, tuple(_refused(habits)), tuple(poor))


def _refused(habits: Habits) -> Iterator[tuple[str, str, str, str]]:
    """What was refused and never worked, in order."""
    rows: list[tuple[str, str, str, str]] = []
    for x, seen in habits.refused.items():
        if x not in habits.worked:
            given = ", ".join(f"{name}={getattr(value, 'name', value)}" for name, value in sorted(x.given, key=str))
            login = x.login.name if x.login is not None else ""
            rows.append((x.function, given, login, seen))
    yield from sorted(dict.fromkeys(rows))


def _why(seen: dict[str, int], known: bool, avoided: bool, hopeful: bool, refused: str | None) -> str:
    """Why a function never returned CKR_OK."""
    if not seen:
        return (
            "never called: nothing led to a state in which it may be, or what may be done to the token forbids it"
            if known
            else "never called: not in scope"
        )
    if seen.keys() <= _ABSENT:
        return "not offered"
    if refused is not None:
        return f"refused by {refused} where the text lets it succeed"
    often = max(seen, key=lambda text: (seen[text], text))
    why = "" if hopeful else "the text lets it succeed in no state that was reached; "
    return f"{why}{'some calls left out as they kill; ' if avoided else ''}most often {often}"
