"""What a run counts and covers, step by step or a whole run's at once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...model.call import Call
from ...model.oracle import Model, applicable
from ...model.state import State
from ...model.vocabulary import CKR
from ..engine.verdict import Outcome, Verdict


@dataclass(slots=True)
class Tally:
    """What a run has counted and covered so far.

    `states` are the believed states, as numbers that are the same in every process. `followed` counts, for each open
    question of the text that a call met, what the module did: the interpretation and the code. `choices` holds the
    same by function and by the rows that applied. `mechanisms` holds how each function did with each mechanism where
    the text let it succeed: CKR_OK, and trouble of the environment. `restores` counts how often the token was put back,
    `restoring` the seconds that it took; `lowered` says that it could not be in the end, so that less was tried.
    """

    calls: int = 0
    sequences: int = 0
    restores: int = 0
    restoring: float = field(default=0.0, compare=False)
    lowered: bool = False
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    fired: set[tuple[str, int, str]] = field(default_factory=set)
    states: set[int] = field(default_factory=set)
    inconclusive: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    advice: Counter[tuple[str, int, str, str]] = field(default_factory=Counter)
    followed: Counter[tuple[str, str]] = field(default_factory=Counter)
    choices: dict[tuple[str, str, tuple[str, ...]], set[str]] = field(default_factory=dict)
    mechanisms: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def count(self, model: Model, believed: Sequence[State], call: Call, verdict: Verdict, times: int) -> None:
        """Count a step that was seen so often where these states were believed."""
        seen = verdict.observation.text
        self.calls += times
        self.pairs[call.function, seen] += times
        self.states.update(map(hash, believed))
        passed = verdict.outcome is Outcome.PASS
        if passed:
            self.fired |= {(call.function, r.code, r.condition) for r in verdict.rules}
            self._follow(model, believed, call, verdict, times)
        elif verdict.outcome is Outcome.INCONCLUSIVE:
            self.inconclusive[call.function, seen, verdict.why] += times
        worked = passed and verdict.observation.code == CKR.OK
        trouble = verdict.outcome is Outcome.INCONCLUSIVE and CKR.OK in verdict.permitted
        uses = model.functions[call.function].uses
        # With data, trouble may be what the module makes of the data.
        if (worked or trouble) and "mechanism" in uses and "data" not in uses:
            self.mechanisms.setdefault((call.function, call.args.mechanism.name), set()).add(seen)
        for r in verdict.advice:
            self.advice[call.function, r.code, r.condition, r.place] += times

    def _follow(self, model: Model, believed: Sequence[State], call: Call, verdict: Verdict, times: int) -> None:
        """Count which way the module goes where the text leaves it open, and it is clear where that is."""
        first, *others = (applicable(model, s, call) for s in believed)
        if any(rules != first for rules in others):
            return
        seen = verdict.observation
        ids = {r.reading for r in first if r.reading and seen.code in (r.code, CKR.OK)}
        if ids:
            rows = tuple(sorted(f"{r.code} {r.condition}" for r in first))
            for id in ids:
                self.followed[id, seen.text] += times
                self.choices.setdefault((id, call.function, rows), set()).add(seen.text)

    def add(self, other: "Tally") -> None:
        """Count all that another one has."""
        self.calls += other.calls
        self.sequences += other.sequences
        self.restores += other.restores
        self.restoring += other.restoring
        self.lowered |= other.lowered
        for name in _COUNTED:
            getattr(self, name).update(getattr(other, name))
        self.fired |= other.fired
        self.states |= other.states
        for name in _GATHERED:
            mine = getattr(self, name)
            for key, seen in getattr(other, name).items():
                mine.setdefault(key, set()).update(seen)

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "calls": self.calls,
            "sequences": self.sequences,
            "restores": self.restores,
            "restoring": self.restoring,
            "lowered": self.lowered,
            "fired": sorted(self.fired),
            "states": sorted(self.states),
            **{name: [[key, n] for key, n in getattr(self, name).items()] for name in _COUNTED},
            **{name: [[key, sorted(seen)] for key, seen in getattr(self, name).items()] for name in _GATHERED},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Tally":
        """The reverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: for data of another shape.
        """
        fields: dict[str, Any] = {
            "calls": int(data["calls"]),
            "sequences": int(data["sequences"]),
            "restores": int(data["restores"]),
            "restoring": float(data["restoring"]),
            "lowered": bool(data["lowered"]),
            "fired": set(map(_key, data["fired"])),
            "states": set(map(int, data["states"])),
            **{name: Counter({_key(key): int(n) for key, n in data[name]}) for name in _COUNTED},
            **{name: {_key(key): set(map(str, seen)) for key, seen in data[name]} for name in _GATHERED},
        }
        return cls(**fields)


_COUNTED = ("pairs", "inconclusive", "advice", "followed")
_GATHERED = ("choices", "mechanisms")


def _key(parts: Sequence[Any]) -> tuple[Any, ...]:
    """A key as it was before it went through JSON."""
    return tuple(tuple(x) if isinstance(x, list) else x for x in parts)
