"""The shapes that the rule table is made of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache
from itertools import filterfalse
from typing import Any, Final, TypeVar

from .attributes import PLAIN_KINDS, one_of_each_class
from .call import Args, Call, combine, domain
from .interface import SIGNATURES, Signature
from .state import Mech, State
from .vocabulary import CKR, Version

Condition = Callable[[State, Args], bool]
"""A fact about a state and the arguments of a call. Lifted to z3 as it stands: compare with ==, never with `is`."""

Change = Callable[[State, Args], State]


_Named = TypeVar("_Named", Condition, Change)


def named(words: str, f: _Named) -> _Named:
    """The function under a name in words."""
    f.__name__ = words.replace(" ", "_")
    return f


class Strength(Enum):
    """How firmly the text ties a code to a condition.

    MUST and INFERRED forbid success: the first because the text says so, the second because several passages leave
    nothing else. SHOULD is the text's own recommendation. MAY is a code the text permits; UNSAID one that it neither
    gives nor excludes. The last two never forbid success.
    """

    MUST = "must"
    INFERRED = "inferred"
    SHOULD = "should"
    MAY = "may"
    UNSAID = "unsaid"


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table: when the condition holds, the code applies.

    `id` names the situation: short, stable and ours, the same in every function and for every code that may stand for
    it, so that a row is told by its function, its id and its code. `place` is where a reader lays the finger, in v2.40,
    or in a later version that it names ("5.9 of v3.0"): the section and, where that is long, the entry, the paragraph
    or the note ("5.1.6 CKR_PIN_INCORRECT"). `says` is one sentence of our own on what stands there. `reading` names the
    interpretation that the row depends on. The row holds in the versions from `since` to `until`, both included. One
    that is `unguarded` holds whether or not what its function is `given` does.
    """

    id: str
    code: CKR
    when: Condition
    place: str
    says: str
    strength: Strength = Strength.MUST
    reading: str | None = None
    since: Version = Version.V2_01
    until: Version = Version.V3_2
    unguarded: bool = False

    @property
    def condition(self) -> str:
        """The name of the condition, in words."""
        return self.when.__name__.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Guarded:
    """A condition where another holds, under the name of the first."""

    given: Condition
    when: Condition

    def __call__(self, s: State, a: Args) -> bool:
        """Whether both hold."""
        return self.given(s, a) and self.when(s, a)

    @property
    def __name__(self) -> str:
        return self.when.__name__


@cache
def only_where(given: Condition, change: Change) -> Change:
    """A change that is made where a condition holds, under the name of the change; made once, to be lifted once."""

    def changed(s: State, a: Args) -> State:
        return change(s, a) if given(s, a) else s

    changed.__name__, changed.__qualname__ = change.__name__, change.__qualname__
    return changed


@dataclass(frozen=True, slots=True)
class Effect:
    """What a call changes when it returns one of `on`; where not `certain`, the text lets it happen or not.

    `id` names what happens, as that of a row does a situation: one for all functions. It happens from the version
    `since` on.
    """

    id: str
    change: Change
    place: str
    on: frozenset[CKR] = frozenset({CKR.OK})
    certain: bool = True
    reading: str | None = None
    since: Version = Version.V2_01

    @property
    def name(self) -> str:
        """The name of the change, in words."""
        return self.change.__name__.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Output:
    """A value that a call gives out when it returns one of `on`: what the text permits, from the state after it.

    An empty sequence says that the text lets it be anything.
    """

    name: str
    permitted: Callable[[State, Args], Sequence[int]]
    place: str
    on: frozenset[CKR] = frozenset({CKR.OK})


ULONGS: Final = 2**64
"""How many numbers a CK_ULONG may be, at most."""


def at_least(need: int) -> range:
    """What may be told of a length: it may exceed the need, and is never below it (5.2)."""
    return range(need, ULONGS)


Later = Mapping[str, Mapping[Any, Any]]
"""Values that arguments have in a version and after it: by name, each with the one that it is to versions before."""


_UNHEARD: Final = {v: frozenset(m for m in Mech if not m.facts.since <= v) for v in Version}
"""The mechanisms that came after a version."""


def never(s: State, a: Args) -> bool:
    """A condition that no call meets."""
    return False


@dataclass(frozen=True, slots=True)
class Function:
    """All that the model says of one C_ function.

    `given` is what every row takes for granted that is not `unguarded`, mostly that the session handle is valid; it is
    a part of their conditions once the table is made. `uses` names the fields of `Args` that it has; `domains` the
    values worth giving one where those of its type are too many or begin with one that is not harmless here; `later`
    those that a version brought. Calls are made with at most `deviations` arguments that are not the first of their
    domain. `out_of_scope` marks calls that the model cannot follow, and that nobody should make of it. `returns_ok` is
    False for the functions that 5.1.1 bars from CKR_OK; they may return it from `ok_since` on. `version` is the one
    that it is `of`: a mechanism that came after it is unknown to it.
    """

    name: str
    uses: tuple[str, ...]
    rules: tuple[Rule, ...]
    effects: tuple[Effect, ...] = ()
    outputs: tuple[Output, ...] = ()
    out_of_scope: Condition = never
    returns_ok: bool = True
    ok_since: Version | None = None
    domains: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    later: Mapping[Version, Later] = field(default_factory=dict)
    deviations: int = 3
    given: Condition | None = None
    version: Version = Version.V3_2

    def domain(self, name: str, s: State) -> tuple[Any, ...]:
        """Every value that an argument takes in a state's scope, the harmless one first."""
        values = self.domains.get(name) or domain(name, s)
        unheard = {value for added in self.later.values() for value in added.get(name, ())}
        if name == "mechanism":
            unheard |= self.unheard
        return tuple(filterfalse(unheard.__contains__, values)) if unheard else values

    @property
    def unheard(self) -> frozenset[Mech]:
        """The mechanisms that came after the function's version."""
        return _UNHEARD[self.version] if self.uses.count("mechanism") else frozenset()

    def searched(self, name: str, s: State) -> tuple[Any, ...]:
        """The values of an argument that stand for all: mechanisms and kinds that no row tells apart count as one."""
        values = self.domain(name, s)
        if name == "mechanism":
            return tuple(one_of_each_class(values, s.slots))
        return tuple(k for k in values if k in PLAIN_KINDS) if name == "kind" else values

    def calls(self, s: State) -> Iterator[Call]:
        """Every call worth making in a state's scope."""
        domains = {name: self.searched(name, s) for name in self.uses}
        return (Call(self.name, args) for args in combine(domains, self.deviations))

    @property
    def happens(self) -> frozenset[str]:
        """The ids of its effects."""
        return frozenset(e.id for e in self.effects)

    def of(self, version: Version) -> "Function":
        """The function as a version of the standard has it: its rows and effects, and what its arguments may be."""
        domains = dict(self.domains)
        for since, values in self.later.items():
            if since <= version:
                domains |= {name: (*domains[name], *values[name]) for name in domains.keys() & values.keys()}
        return replace(
            self,
            rules=tuple(r for r in self.rules if r.since <= version <= r.until),
            effects=tuple(e for e in self.effects if e.since <= version),
            domains=domains,
            later={since: values for since, values in self.later.items() if not since <= version},
            returns_ok=self.returns_ok or bool(self.ok_since and self.ok_since <= version),
            version=version,
        )

    def known(self, args: Args) -> Args:
        """The arguments as the function's version takes them: in place of what came later, what that is to it."""
        was: dict[str, Any] = {
            name: added.get(value := getattr(args, name), value)
            for values in self.later.values()
            for name, added in values.items()
        }
        if self.unheard & {args.mechanism}:
            was["mechanism"] = Mech.UNKNOWN
        return replace(args, **was)

    @property
    def signature(self) -> Signature:
        """The declaration, section and list of return values."""
        return SIGNATURES[self.name]
