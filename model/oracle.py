"""What the standard permits: the table, read in a version and under chosen readings, run on values.

`permitted` collects every code whose condition holds, drops those that a code which must be returned outranks, and
adds CKR_OK where nothing forbids it. Codes of trouble outside the model (`ENVIRONMENT`) are not in the set: they are
legal at any time and prove nothing.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .call import Call, is_unnamed
from .decide import Plan, changed, decide, forbids_ok, plan, truths
from .environment import ASKED, EVENTS, UNNOTICED, exposed
from .interpretations import INTERPRETATIONS, SHOULD, resolve
from .precedence import Order, Relation, between, order
from .rule import Effect, Function, Rule, Strength
from .state import State
from .table import TABLE
from .vocabulary import CKR, ENVIRONMENT, Version


@dataclass(frozen=True, slots=True)
class Ruling:
    """What follows from which rows of a function apply: it is the same for every state and call in which they do.

    `prevailing` are those that no row which forbids success outranks, `codes` the return values that they permit, and
    `firm` those among them that forbid success.
    """

    rules: tuple[Rule, ...]
    prevailing: tuple[Rule, ...]
    firm: tuple[Rule, ...]
    codes: frozenset[CKR]
    _advised: dict[int, tuple[tuple[Rule, Relation | None], ...]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class _Docket:
    """A function with the plan of its return value, and the rulings made so far by which conditions hold."""

    function: Function
    plan: Plan
    advise: Mapping[tuple[CKR, CKR], Relation]
    made: dict[tuple[bool, ...], Ruling] = field(default_factory=dict)
    effects: dict[int, tuple[Effect, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Model:
    """The table in one version of the standard, under one choice of readings.

    `orders` holds, for each function, the precedence relations that decide there, and those that only advise.
    """

    version: Version
    readings: Mapping[str, str]
    functions: Mapping[str, Function]
    orders: Mapping[str, Order]
    _dockets: dict[str, _Docket] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def events(self) -> frozenset[str]:
        """What may happen beside calls: the names of events."""
        return frozenset(EVENTS.keys() & self.functions.keys())

    def without(self, function: str, rule: Rule) -> "Model":
        """The model with one row dropped."""
        f = self.functions[function]
        rows = tuple(r for r in f.rules if r is not rule)
        return replace(self, functions={**self.functions, function: replace(f, rules=rows)})

    def with_effect(self, function: str, effect: Effect, other: Effect) -> "Model":
        """The model with one effect of a function in the place of another."""
        f = self.functions[function]
        effects = tuple(other if e is effect else e for e in f.effects)
        return replace(self, functions={**self.functions, function: replace(f, effects=effects)})


def _strength(rule: Rule, readings: Mapping[str, str]) -> Strength:
    depends = SHOULD if rule.strength is Strength.SHOULD else rule.reading
    if depends is None:
        return rule.strength
    return INTERPRETATIONS[depends].strengths.get(readings[depends], rule.strength)


def _void(rule: Rule, readings: Mapping[str, str]) -> bool:
    return rule.reading is not None and readings[rule.reading] in INTERPRETATIONS[rule.reading].void


def _loose(effect: Effect, readings: Mapping[str, str]) -> bool:
    return effect.reading is not None and readings[effect.reading] in INTERPRETATIONS[effect.reading].loose


def build(
    version: Version = Version.V2_40, readings: Mapping[str, str] | None = None, *, events: bool = False
) -> Model:
    """The model of a version, under the default readings except as chosen; with `events`, what happens beside calls.

    Raises:
        ValueError: for an interpretation or a reading that does not exist.
    """
    chosen = resolve(readings or {})
    functions = {
        name: replace(
            f,
            effects=tuple(replace(e, certain=e.certain and not _loose(e, chosen)) for e in f.effects),
            rules=tuple(replace(r, strength=_strength(r, chosen)) for r in f.rules if not _void(r, chosen)),
        )
        for name, f in _rows(events, version, asked=chosen["A-91"] == ASKED)
    }
    orders = {name: order(name, version, chosen) for name in TABLE if name in functions}
    return Model(version, chosen, functions, {name: orders.get(name, _NO_ORDER) for name in functions})


_NO_ORDER = Order({}, {}, {})


def suffering(model: Model, events: Collection[str]) -> Model:
    """The model with those of its events only."""
    gone = model.events - frozenset(events)
    return replace(model, functions={name: f for name, f in model.functions.items() if name not in gone})


def _rows(events: bool, version: Version, *, asked: bool) -> Iterator[tuple[str, Function]]:
    """The table in a version, and where events can happen what that adds to it."""
    for name, f in TABLE.items():
        if f.signature.since <= version:
            yield name, (exposed(f, asked=asked) if events else f).of(version)
    if events:
        yield from (UNNOTICED if asked else EVENTS).items()


def plan_of(model: Model, function: str) -> Plan:
    """How the return value of a function is decided."""
    return _docket(model, function).plan


def ruling(model: Model, s: State, call: Call) -> Ruling:
    """What the text says of a call in a state: the rows that apply, and what follows from them."""
    docket = model._dockets.get(call.function) or _docket(model, call.function)
    return _made(docket, truths(docket.plan, s, call.args))


def ruling_where(model: Model, function: str, rows: Iterable[int]) -> Ruling:
    """What the text says where these rows of a function apply, by number, and no others."""
    docket = _docket(model, function)
    true = {docket.plan.rows[k] for k in rows}
    return _made(docket, tuple(n in true for n in range(len(docket.plan.conditions))))


def _made(docket: _Docket, truth: tuple[bool, ...]) -> Ruling:
    made = docket.made.get(truth)
    if made is None:
        made = docket.made[truth] = _rule(docket, truth)
    return made


def _docket(model: Model, name: str) -> _Docket:
    docket = model._dockets.get(name)
    if docket is None:
        f = model.functions[name]
        docket = model._dockets[name] = _Docket(f, plan(f, model.orders[name].decide), model.orders[name].advise)
    return docket


def _rule(docket: _Docket, truth: Sequence[bool]) -> Ruling:
    codes = frozenset(code for code, permitted in decide(docket.plan, [*map(int, truth)], 1) if permitted)
    rules = tuple(r for r, n in zip(docket.function.rules, docket.plan.rows, strict=True) if truth[n])
    prevail = tuple(r for r in rules if r.code in codes)
    return Ruling(rules, prevail, tuple(filter(forbids_ok, prevail)), codes)


def advised(model: Model, function: str, given: Ruling, code: int) -> tuple[tuple[Rule, Relation | None], ...]:
    """The rows whose code is recommended where these rows apply and another was returned that the text permits.

    Each has the relation by which it comes first, or none where it recommends that the call fail and it did not.
    """
    found = given._advised.get(code)
    if found is None:
        orders = _docket(model, function).advise
        if code == CKR.OK:
            found = tuple((r, None) for r in given.rules if r.strength is Strength.SHOULD)
        else:
            ordered = ((r, between(orders, r, CKR(code))) for r in given.firm)
            found = tuple((r, relation) for r, relation in ordered if relation is not None)
        given._advised[code] = found
    return found


def prevailing(model: Model, function: str, rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Those of some rows of a function, which apply together, that none of them which forbids success outranks."""
    p = plan(replace(model.functions[function], rules=tuple(rules)), model.orders[function].decide)
    codes = {code for code, permitted in decide(p, [1] * len(p.conditions), 1) if permitted}
    return tuple(r for r in rules if r.code in codes)


def applicable(model: Model, s: State, call: Call) -> tuple[Rule, ...]:
    """The rows whose condition holds."""
    return ruling(model, s, call).rules


def permitted(model: Model, s: State, call: Call) -> frozenset[CKR]:
    """The return values that the text permits for a call in a state, trouble of the environment apart."""
    return ruling(model, s, call).codes


def may_succeed(model: Model, s: State, call: Call) -> bool:
    """Whether CKR_OK is among the permitted codes; quicker than asking for all of them."""
    p = plan_of(model, call.function)
    return p.firm is not None and not any(p.conditions[n](s, call.args) for n in p.firm)


def in_scope(model: Model, s: State, call: Call) -> bool:
    """Whether the model can follow the call in this state."""
    return not model.functions[call.function].out_of_scope(s, call.args)


def following(model: Model, s: State, call: Call, code: int) -> list[State]:
    """The states in which the text lets things be once a call returned a code, one of them perhaps more than once.

    A failed call changes nothing (5), but for what its effects say.
    """
    docket = model._dockets.get(call.function) or _docket(model, call.function)
    effects = docket.effects.get(code)
    if effects is None:
        effects = docket.effects[code] = tuple(e for e in docket.function.effects if code in e.on)
    return changed(effects, s, call.args) if effects else [s]


def successors(model: Model, s: State, call: Call, code: int) -> frozenset[State]:
    """The states in which the text lets things be once a call returned a code; see `following`."""
    return frozenset(following(model, s, call, code))


def outputs(model: Model, s: State, call: Call, code: int) -> tuple[tuple[str, Sequence[int]], ...]:
    """What a call may give out, seen from the state after it: each output with its permitted values."""
    return tuple((o.name, o.permitted(s, call.args)) for o in model.functions[call.function].outputs if code in o.on)


def legal_anyway(model: Model, function: str, code: int, succeeds: bool) -> str:
    """Why a code that no row gives is legal all the same, and proves nothing; empty where it is not.

    `succeeds` says that the text permits success there.
    """
    signature = model.functions[function].signature
    if code in ENVIRONMENT:
        return "trouble of the environment, legal at any time (5.1.1, 5.1.3)"
    if code == CKR.OPERATION_NOT_VALIDATED and signature.uses_token and model.version >= Version.V3_2:
        return "against a policy that the token is validated for, of which the text tells nothing (5.1.1 of v3.2)"
    if code == CKR.FUNCTION_NOT_SUPPORTED:
        return "a stub, whatever else is wrong (5.1.6, A-03)"
    if code == CKR.TOKEN_NOT_PRESENT and signature.uses_token and not signature.takes_session:
        return "the token class stands in for a specific code (5.1.3)"
    if is_unnamed(code) and succeeds:
        return "a code of the vendor's own where the text expects success (5.1)"
    return ""
