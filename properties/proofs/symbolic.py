"""The rule table as a z3 transition system over one symbolic step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cached_property
from typing import Any

import z3

from ...model.call import Args, Call, domain
from ...model.decide import decide, in_turn
from ...model.oracle import Model, plan_of
from ...model.rule import Condition, Effect, Function
from ...model.state import EACH, OBJECT, SESSION, SLOT, State
from ...model.vocabulary import CKR
from ..engine.packed import leaves, map_leaves
from .lift import (
    WIDTH,
    Number,
    Symbol,
    Tree,
    Truth,
    Unliftable,
    Within,
    explore,
    failing,
    lower,
    merge,
    one_of,
    predicate,
    results,
)

Terms = tuple[z3.ExprRef, ...]


@dataclass(frozen=True, slots=True)
class Transition:
    """A function as terms over the state, the arguments and the choices of a step.

    `in_scope` is false of the calls that are never made. `applies` follows the rows of the table; `permitted` holds
    the codes a call may return; `after` gives the leaves of the next state for each of them.
    """

    in_scope: z3.BoolRef
    applies: tuple[z3.BoolRef, ...]
    permitted: Mapping[CKR, z3.BoolRef]
    after: Mapping[CKR, Terms]


class System:
    """All functions of a model over one symbolic step, in the scope that the initial state spans.

    The variables of a step: the leaves of `state` that a call may change, those of `args`, the number of the
    function, the code, and for each effect that the text leaves open the choice whether it happens. A condition is
    lifted once, however many functions use it; a function is lifted when it is first asked for.

    Raises:
        Unliftable: from whatever first lifts it, if a row of the table cannot be lifted, if a condition does not
            answer for every state, or if an effect fails or leaves the domains after a code that is permitted.
    """

    def __init__(self, model: Model, initial: State) -> None:
        self.model, self.initial = model, initial
        self.names = tuple(model.functions)
        sizes = {SLOT: len(initial.slots), SESSION: len(initial.sessions), OBJECT: len(initial.objects)}
        self.state: State = map_leaves(initial, lambda _, hint, path: _symbol(path, _values(hint, sizes, path)), "s")
        self.args: Args = map_leaves(
            Args(), lambda _, __, path: _symbol(path, domain(path.partition(".")[2], initial)), "a"
        )
        self.function = z3.BitVec("function", 8)
        self.code = z3.BitVec("code", 16)
        widest = max((len(f.effects) for f in model.functions.values()), default=0)
        self.choices = tuple(Truth(z3.Bool(f"choice[{n}]")) for n in range(widest))
        self._leaves: tuple[Symbol, ...] = tuple(leaves(self.state))
        self.current: Terms = tuple(map(lower, self._leaves))
        self.inputs: Terms = (*map(lower, (*leaves(self.args), *self.choices)), self.function, self.code)
        self.state_domain = _domain(self.state)
        self._conditions: dict[Condition, z3.BoolRef] = {}
        self._trees: dict[tuple[Effect, ...], Tree] = {}
        self._transitions: dict[str, Transition] = {}
        self._constants: dict[int, list[tuple[z3.ExprRef, z3.ExprRef]]] = {}

    def condition(self, when: Condition) -> z3.BoolRef:
        """A condition of the table as a term."""
        if when not in self._conditions:
            self._conditions[when] = predicate(when, self.state, self.args)
        return self._conditions[when]

    def transition(self, name: str) -> Transition:
        """A function of the model as terms."""
        if name not in self._transitions:
            self._transitions[name] = self._lift(self.model.functions[name])
        return self._transitions[name]

    def _lift(self, function: Function) -> Transition:
        in_scope = z3.Not(self.condition(function.out_of_scope))
        p = plan_of(self.model, function.name)
        holding = [self.condition(when) for when in p.conditions]
        permitted = {code: z3.simplify(term) for code, term in decide(p, holding, z3.BoolVal(True))}
        applies = tuple(holding[n] for n in p.rows)
        after = {code: self._after(function, code, z3.And(in_scope, term)) for code, term in permitted.items()}
        return Transition(in_scope, applies, permitted, after)

    def _after(self, function: Function, code: CKR, given: z3.BoolRef) -> Terms:
        effects = tuple(e for e in function.effects if code in e.on)
        if not effects:
            return self.current
        if effects not in self._trees:
            token = EACH.set(_changed)
            self._trees[effects] = explore(self._follow, effects)
            EACH.reset(token)
        tree = self._trees[effects]
        broken = failing(tree)
        if not z3.is_false(broken) and satisfying(self.state_domain, _domain(self.args), given, broken) is not None:
            raise Unliftable(f"{function.name}: its effects fail or leave the domains where {code} is permitted")
        return merge(tree, leaves) or self.current

    def _follow(self, effects: tuple[Effect, ...]) -> State:
        """The state after the effects, run on symbols: each leaf stays within its domain, or the path fails."""
        s = in_turn(effects, self.state, self.args, self.choices)
        for old, new in zip(self._leaves, leaves(s), strict=True):
            if isinstance(old, Number) and new is not old:
                inside = Within(new, old.domain) if isinstance(new, Number) else new in old.domain
                if not inside:
                    raise ValueError(f"{new} does not belong in {old.term}")
        return s

    @cached_property
    def legal(self) -> z3.BoolRef:
        """That the step is a call in scope which returns a permitted code; arguments not used keep their defaults."""
        users = {
            f.name: [n for n, name in enumerate(self.names) if f.name in self.model.functions[name].uses]
            for f in fields(Args)
        }
        default = Args()
        parts = [_domain(self.args), z3.ULT(self.function, len(self.names))]
        for name, numbers in users.items():
            used = [self.function == n for n in numbers]
            parts.append(z3.Or(*used, lower(getattr(self.args, name)) == lower(getattr(default, name))))
        for n, name in enumerate(self.names):
            lifted = self.transition(name)
            returned = [z3.And(self.code == int(code), term) for code, term in lifted.permitted.items()]
            parts.append(z3.Implies(self.function == n, z3.And(lifted.in_scope, z3.Or(returned))))
        return z3.And(parts)

    @cached_property
    def following(self) -> Terms:
        """The leaves of the state after a legal step."""
        out = list(self.current)
        for n, name in enumerate(self.names):
            codes: dict[Terms, list[CKR]] = {}
            for code, terms in self.transition(name).after.items():
                if terms is not self.current:
                    codes.setdefault(terms, []).append(code)
            for terms, on in codes.items():
                here = z3.And(self.function == n, one_of(self.code, on))
                for j, (old, new) in enumerate(zip(self.current, terms, strict=True)):
                    if not new.eq(old):
                        out[j] = z3.If(here, new, out[j])
        return tuple(out)

    def at(self, term: z3.ExprRef, i: int) -> z3.ExprRef:
        """A term over the variables of step `i`."""
        return z3.substitute(term, *self._step(i))

    def _step(self, i: int) -> list[tuple[z3.ExprRef, z3.ExprRef]]:
        if i not in self._constants:
            variables = (*self.current, *self.inputs)
            self._constants[i] = [(v, _timed(v, i)) for v in variables]
        return self._constants[i]

    def start(self) -> z3.BoolRef:
        """That step 0 is in the initial state."""
        return z3.And([self.at(v, 0) == lower(x) for v, x in zip(self.current, leaves(self.initial), strict=True)])

    def relation(self, i: int) -> z3.BoolRef:
        """That a legal step leads from state `i` to state `i + 1`."""
        change = [self.at(v, i + 1) == self.at(new, i) for v, new in zip(self.current, self.following, strict=True)]
        return z3.And(self.at(self.legal, i), *change)

    def holds(self, property: Callable[[State], bool]) -> z3.BoolRef:
        """A predicate on states as a term over `state`."""
        return predicate(property, self.state)

    def happens(self, event: Callable[[State, Args, str, CKR], bool]) -> z3.BoolRef:
        """A predicate on steps as a term: it is asked once for every function and code that the step may have."""
        ways = [
            z3.And(self.function == n, self.code == int(code), predicate(event, self.state, self.args, name, code))
            for n, name in enumerate(self.names)
            for code in self.transition(name).permitted
        ]
        return z3.And(self.legal, z3.Or(ways))

    def space(self, given: Iterable[Callable[[State], bool]] = ()) -> z3.Solver:
        """A solver that knows the domains of one step, and what is given of its state; see `meeting`."""
        s = solver()
        s.add(self.state_domain, _domain(self.args), *map(self.holds, given))
        return s

    def possible(self, space: z3.Solver, conditions: Iterable[Condition]) -> bool:
        """Whether all conditions can hold at once, whatever the function."""
        return bool(space.check(*map(self.condition, conditions)) == z3.sat)

    def meeting(self, space: z3.Solver, name: str, conditions: Iterable[Condition]) -> tuple[State, Call] | None:
        """A state and a call in scope of one function for which all conditions hold; None where there is none.

        The state need not be one that calls lead to. Arguments that the function does not use keep their defaults.
        """
        f, default = self.model.functions[name], Args()
        idle = [x.name for x in fields(Args) if x.name not in f.uses]
        space.push()
        space.add([lower(getattr(self.args, x)) == lower(getattr(default, x)) for x in idle])
        space.add(z3.Not(self.condition(f.out_of_scope)), *map(self.condition, conditions))
        solution = space.model() if space.check() == z3.sat else None
        space.pop()
        return None if solution is None else (self.read_state(solution), Call(name, self._read_args(solution)))

    def read_state(self, model: z3.ModelRef, i: int | None = None) -> State:
        """State `i` of a solution, or that of its only step."""
        state: State = map_leaves(self.state, lambda symbol, _, __: _value(model, symbol, i))
        return state

    def _read_args(self, model: z3.ModelRef, i: int | None = None) -> Args:
        args: Args = map_leaves(self.args, lambda symbol, _, __: _value(model, symbol, i))
        return args

    def read_step(self, model: z3.ModelRef, i: int) -> tuple[Call, CKR]:
        """The call and the code of step `i` of a solution."""
        args = self._read_args(model, i)
        number = model.eval(_timed(self.function, i), model_completion=True).as_long()
        code = model.eval(_timed(self.code, i), model_completion=True).as_long()
        return Call(self.names[number], args), CKR(code)


def _timed(variable: z3.ExprRef, i: int) -> z3.ExprRef:
    """The constant that stands for a variable at step `i`."""
    return z3.Const(f"{variable}@{i}", variable.sort())


def _value(model: z3.ModelRef, symbol: Symbol, i: int | None) -> Any:
    """The value of a variable at step `i` of a solution, or at its only step."""
    value = model.eval(symbol.term if i is None else _timed(symbol.term, i), model_completion=True)
    if isinstance(symbol, Truth):
        return z3.is_true(value)
    return next(v for v in symbol.domain if v == value.as_long())


def solver() -> z3.Solver:
    """A solver fit for terms over finite domains."""
    return z3.SolverFor("QF_FD")


def satisfying(*terms: z3.BoolRef) -> z3.ModelRef | None:
    """A solution of all the terms, if there is one."""
    s = solver()
    s.add(*terms)
    return s.model() if s.check() == z3.sat else None


def _values(hint: Any, sizes: Mapping[str, int], path: str) -> Sequence[int]:
    """What a leaf of this type ranges over: an index counts through as many things as the state has."""
    if hint is bool:
        return (False, True)
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return tuple(hint)
    if not hasattr(hint, "__metadata__"):
        raise Unliftable(f"{path} has no domain: annotate its type with what it counts, or make the field fixed")
    return range(sizes[hint.__metadata__[0]])


def _changed(change: Callable[[Any], Any], record: Any) -> Any:
    """A record after a change, its paths merged into terms: nothing that the change asked is asked of the whole run."""
    tree = explore(change, record)
    terms = merge(tree, leaves)
    if terms is None or not z3.is_false(failing(tree)):
        raise Unliftable(f"a change of {type(record).__name__} fails: let it give a record for every one")
    symbols = map(_joined, terms, zip(*map(leaves, results(tree)), strict=True))
    return map_leaves(record, lambda *_: next(symbols))


def _joined(term: z3.ExprRef, values: tuple[Any, ...]) -> Any:
    """The symbol of a term that has one of some values, or the value where there is but one."""
    if all(lower(v).eq(term) for v in values):
        return values[0]
    if isinstance(term, z3.BoolRef):
        return Truth(term)
    return Number(term, {n for v in values for n in (v.domain if isinstance(v, Number) else (v,))})


def _symbol(path: str, values: Sequence[int]) -> Symbol:
    return Truth(z3.Bool(path)) if isinstance(values[0], bool) else Number(z3.BitVec(path, WIDTH), values)


def _domain(record: Any) -> z3.BoolRef:
    """That each number of a record is in its domain."""
    return z3.And([one_of(x.term, x.domain) for x in leaves(record) if isinstance(x, Number)])
