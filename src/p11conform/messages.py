"""What goes between a check and the processes of its workers, as JSON: vendor code runs there and is not trusted."""

from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from typing import Any

from .model.oracle import Model, build
from .model.state import Object, Session, State
from .model.vocabulary import CKU, Version
from .profile import profile_json, slots_of
from .properties.policy import Level, Rights
from .properties.run.driver import New
from .properties.run.tally import Tally
from .properties.run.work import Class, Done, Failed, Generated, Item, Sweep, Tour, Visit, Walk


@dataclass(frozen=True, slots=True)
class Task:
    """What a check is about: the model, where the module begins, and what may be done to it."""

    model: Model
    initial: State
    rights: Rights

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values. Of the model its version and readings are told, so it must be a whole one."""
        return {
            "spec": str(self.model.version),
            "readings": dict(self.model.readings),
            "profile": profile_json(self.initial.slots),
            "sessions": len(self.initial.sessions),
            "objects": len(self.initial.objects),
            "level": self.rights.level.name,
            "users": sorted(map(int, self.rights.users)),
            "may_make_objects": self.rights.objects,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Task":
        """The reverse of `to_json`."""
        initial = State(
            slots=slots_of(data["profile"], "task"),
            sessions=(Session(),) * data["sessions"],
            objects=(Object(),) * data["objects"],
        )
        rights = Rights(Level[data["level"]], frozenset(map(CKU, data["users"])), data["may_make_objects"])
        return cls(build(Version(data["spec"]), data["readings"]), initial, rights)


_KINDS: Mapping[str, type[Item]] = {kind.__name__: kind for kind in (Visit, Sweep, Tour, Walk, Generated)}


def item_json(item: Item) -> list[Any]:
    """A piece of work as plain JSON values."""
    return [type(item).__name__, asdict(item)]


def to_item(data: list[Any]) -> Item:
    """The reverse of `item_json`."""
    name, given = data
    if name == Visit.__name__:
        return Visit(tuple(given["way"]), tuple((k, tuple(look)) for k, look in given["goals"]))
    if name == Sweep.__name__:
        return Sweep(*(tuple(given[name]) for name in ("way", "calls", "look")))
    if name == Tour.__name__:
        return Tour(tuple((tuple(way), tuple(calls)) for way, calls in given["stops"]))
    return _KINDS[name](**given)


def done_json(done: Done) -> dict[str, Any]:
    """What came of a piece of work as plain JSON values."""
    return {
        "tally": done.tally.to_json(),
        "news": [astuple(new) for new in done.news],
        "failures": [astuple(failed) for failed in done.failures],
        "costs": done.costs,
    }


def to_done(data: Mapping[str, Any]) -> Done:
    """The reverse of `done_json`.

    Raises:
        KeyError, TypeError, ValueError: for data of another shape.
    """
    return Done(
        Tally.from_json(data["tally"]),
        [New(*new) for new in data["news"]],
        [Failed(tuple(calls), tuple(guess), tuple(cause), *rest) for calls, guess, cause, *rest in data["failures"]],
        {function: (int(n), float(seconds)) for function, (n, seconds) in data["costs"].items()},
    )


def to_class(data: list[Any]) -> Class:
    """A class of function, answer and aspect from JSON."""
    function, seen, aspect = data
    return str(function), str(seen), int(aspect)
