"""Lifting: the engine itself, and the table's formulas against the oracle run on values."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import IntEnum
from functools import cache
from itertools import product
from operator import index
from typing import Any, get_origin

import pytest
import z3
from conftest import restricted
from hypothesis import given, settings
from hypothesis import strategies as st

from p11conform.model import state
from p11conform.model.call import Args, Call, domain
from p11conform.model.chapters import conditions
from p11conform.model.chapters.conditions import slot_id_invalid
from p11conform.model.chapters.sessions import saved_key_lost
from p11conform.model.oracle import build, in_scope, permitted, successors
from p11conform.model.rule import Effect, Function, Rule, Strength, never
from p11conform.model.state import (
    LIMIT_UNKNOWN,
    OBJECT,
    SESSION,
    SLOT,
    Login,
    Mech,
    Object,
    Operation,
    Operations,
    Phase,
    Pin,
    Session,
    Slot,
    State,
    put_session,
)
from p11conform.model.table import TABLE
from p11conform.model.vocabulary import CKR, CKU, Version
from p11conform.properties.engine.packed import leaves, map_leaves
from p11conform.properties.proofs.lift import (
    WIDTH,
    Branch,
    Failure,
    Number,
    Truth,
    Unliftable,
    explore,
    failing,
    lower,
    predicate,
    results,
)
from p11conform.properties.proofs.symbolic import System, satisfying, solver
from p11conform.properties.text.overlaps import small_scope
from p11conform.subject import SIMULATED_STATE

VERSIONS = (Version.V2_01, Version.V2_20, Version.V2_40)

V3_2 = Version.V3_2
BROUGHT = frozenset(name for name, f in TABLE.items() if not f.signature.since <= Version.V2_40)
"""The functions of v3.0 and later ones."""

ONE_OBJECT = (Object(),)

SCOPES = {
    "plain": State(slots=(Slot(), Slot()), sessions=(Session(),) * 2, objects=ONE_OBJECT),
    "odd": State(
        slots=(
            Slot(session_limit=1, rw_session_limit=1, protected_path=True, mechanisms=(), abilities=()),
            Slot(write_protected=True, session_limit=LIMIT_UNKNOWN, shared=True, user_pin_to_be_changed=True),
            Slot(present=False),
            Slot(recognized=False, has_mechanisms=False),
        ),
        sessions=(Session(),),
        objects=ONE_OBJECT,
    ),
    "whole": State(slots=(Slot(dual=True),), sessions=(Session(),), objects=ONE_OBJECT),
}
"""The first two are of the core; the last one, of all functions, is as small as can be."""


@cache
def system(version: Version, scope: str) -> System:
    model = build(version)
    if version is V3_2:
        model = restricted(model, BROUGHT | {"C_EncryptInit", "C_SetOperationState"})
    return System(model if scope == "whole" or version is V3_2 else restricted(model), SCOPES[scope])


OLD_AND_WHOLE = ((Version.V2_01, "whole"), (Version.V2_20, "whole"))
"""Left out, as what is not of the core hardly differs in them from v2.40."""

LIFTED = [*((v, scope) for v, scope in product(VERSIONS, SCOPES) if (v, scope) not in OLD_AND_WHOLE), (V3_2, "plain")]
"""Versions and scopes; of v3.0 what is new in it."""


# The engine.


def number(name: str = "n", values: Sequence[int] = range(4)) -> Number:
    return Number(z3.BitVec(name, WIDTH), values)


def truth(name: str = "t") -> Truth:
    return Truth(z3.Bool(name))


def paths(tree: Any) -> list[Any]:
    return [*paths(tree.yes), *paths(tree.no)] if isinstance(tree, Branch) else [tree]


@pytest.mark.parametrize(
    ("f", "count"),
    [
        (lambda n: index(n), 4),
        (lambda n: n < 2, 1),
        (lambda n: (bool(n < 2), bool(n < 2), bool(n >= 2), bool(n == 3)), 3),
        (lambda n: bool(n == 9) or bool(n <= 3), 1),
        (lambda n: bool(n == number("m", (2,))), 2),
        (lambda n: "abcd"[n], 4),
        (lambda n: Login(n), 4),
        (lambda n: n in (Login.SO, Login.NOBODY), 3),
        (lambda n: bool(n), 2),
    ],
)
def test_a_run_asks_only_what_it_does_not_know(f: Callable[[Number], Any], count: int) -> None:
    assert len(paths(explore(f, number()))) == count


@pytest.mark.parametrize(
    "f",
    [
        lambda n, _: {n: 1},
        lambda n, _: n in {1, 2},
        lambda _, t: t in {True: 1},
        lambda n, _: n + 1,
        lambda n, _: n == "user",
        lambda n, _: n < None,
        lambda _, t: t == 1,
        lambda n, t: n == t,
        lambda _, t: hash(State(initialized=t)),
    ],
)
def test_unfit_uses_are_loud(f: Callable[[Number, Truth], Any]) -> None:
    with pytest.raises(TypeError):
        explore(f, number(), truth())


def test_a_symbol_has_no_value_outside_a_run() -> None:
    with pytest.raises(Unliftable, match="explore"):
        bool(truth())
    with pytest.raises(Unliftable, match="explore"):
        index(number())


def test_a_condition_answers_for_every_state() -> None:
    with pytest.raises(Unliftable, match="every state"):
        predicate(lambda n: (True, False)[n], number())
    with pytest.raises(Unliftable, match="every state"):
        predicate(lambda n: n, number())


def test_paths_that_fail_are_told_apart() -> None:
    tree = explore(lambda n: (10, 11)[n], number())
    assert sum(isinstance(p, Failure) for p in paths(tree)) == 2
    solver = z3.Solver()
    solver.add(failing(tree) != z3.UGE(z3.BitVec("n", WIDTH), 2), z3.ULT(z3.BitVec("n", WIDTH), 4))
    assert solver.check() == z3.unsat


@given(st.tuples(*[st.integers(0, 3)] * 2), st.sampled_from(["<", "<=", "==", "!=", ">=", ">"]), st.integers(-1, 5))
@settings(max_examples=100, deadline=None)
def test_comparisons_mean_what_they_mean(values: tuple[int, int], sign: str, constant: int) -> None:
    symbols = tuple(number(name) for name in "xy")
    for text in (
        f"x {sign} y",
        f"x {sign} {constant}",
        f"{constant} {sign} y",
        f"x == 2 and x {sign} y",
        f"y == 2 and x {sign} y",
    ):
        compare = eval(f"lambda x, y: {text}")
        model = z3.Model()
        for symbol, value in zip(symbols, values, strict=True):
            model.update_value(symbol.term, lower(value))
        assert z3.is_true(model.eval(predicate(compare, *symbols))) == compare(*values)


def test_numbers_have_small_domains() -> None:
    with pytest.raises(Unliftable, match="outside"):
        number(values=(-1, 0))


# The table.


@pytest.mark.parametrize(("version", "scope"), LIFTED, ids=str)
def test_every_row_can_be_lifted(version: Version, scope: str) -> None:
    lifted = system(version, scope)
    for name in lifted.names:
        transition = lifted.transition(name)
        assert len(transition.applies) == len(lifted.model.functions[name].rules)
        assert transition.permitted.keys() == transition.after.keys()


def test_no_condition_is_a_tree_of_questions_where_the_scope_is_large() -> None:
    """What asks for each part of each of several things has more ways than any proof can walk."""
    system = System(build(), small_scope(SIMULATED_STATE))
    ways = sum(1 for _ in results(explore(saved_key_lost, system.state, system.args)))
    assert ways < 2000


def test_fixed_fields_are_constants() -> None:
    lifted = system(Version.V2_40, "odd")
    assert [x.session_limit for x in lifted.state.slots] == [1, LIMIT_UNKNOWN, 0, 0]
    assert not any("present" in str(v) for v in lifted.current)
    assert not any(word in str(v) for v in lifted.current for word in ("mechanisms", "abilities", "shared"))
    assert lifted.state.slots[0].mechanisms == ()


def leaf_values(initial: State, hint: Any) -> st.SearchStrategy[Any]:
    if hint is bool:
        return st.booleans()
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return st.sampled_from(hint)
    counted = {SLOT: initial.slots, SESSION: initial.sessions, OBJECT: initial.objects}
    return st.sampled_from(range(len(counted[hint.__metadata__[0]])))


@st.composite
def situations(draw: st.DrawFn, lifted: System) -> tuple[State, Call]:
    """Any state of a scope, reachable or not, and any call."""
    initial = lifted.initial
    s: State = map_leaves(initial, lambda _, hint, __: draw(leaf_values(initial, hint)))
    name = draw(st.sampled_from(lifted.names))
    return s, Call(name, Args(**{use: draw(st.sampled_from(domain(use, s))) for use in TABLE[name].uses}))


def valuation(lifted: System, s: State, call: Call, choices: tuple[bool, ...] = ()) -> z3.ModelRef:
    model = z3.Model()
    symbols = (*leaves(lifted.state), *leaves(lifted.args), *lifted.choices)
    for symbol, value in zip(symbols, (*leaves(s), *leaves(call.args), *choices), strict=False):
        model.update_value(symbol.term, lower(value))
    return model


def concrete(model: z3.ModelRef, term: z3.ExprRef) -> bool | int:
    value = model.eval(term, model_completion=True)
    return z3.is_true(value) if z3.is_bool(value) else int(value.as_long())


def agree(lifted: System, s: State, call: Call) -> None:
    """The formulas of a function say of a situation what the oracle says."""
    function, terms = lifted.model.functions[call.function], lifted.transition(call.function)
    model = valuation(lifted, s, call)
    assert [concrete(model, t) for t in terms.applies] == [r.when(s, call.args) for r in function.rules]
    codes = permitted(lifted.model, s, call)
    assert {code for code, t in terms.permitted.items() if concrete(model, t)} == codes
    assert concrete(model, terms.in_scope) == in_scope(lifted.model, s, call)
    if not in_scope(lifted.model, s, call):
        return
    choices = product((False, True), repeat=len(function.effects))
    models = [valuation(lifted, s, call, choice) for choice in choices]
    for code in codes:
        expected = successors(lifted.model, s, call, code)
        assert {tuple(concrete(m, t) for t in terms.after[code]) for m in models} == {
            tuple(leaves(x)) for x in expected
        }
        assert {map_leaves(x, lambda *_: 0) for x in expected} == {map_leaves(s, lambda *_: 0)}


@pytest.mark.parametrize(("version", "scope"), LIFTED, ids=str)
def test_formulas_agree_with_the_oracle(version: Version, scope: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(situations(system(version, scope)))
    def anywhere(situation: tuple[State, Call]) -> None:
        agree(system(version, scope), *situation)

    anywhere()


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_formulas_agree_wherever_a_code_is_permitted(version: Version) -> None:
    """A state and a call for each code of each function, where the call changes something if it ever does.

    Of versions before v2.40 the functions that have other rows there.
    """
    lifted, changed, search = system(version, "plain"), z3.Bool("changed"), solver()
    differs = [x != y for x, y in zip(lifted.current, lifted.following, strict=True)]
    search.add(lifted.legal, lifted.state_domain, changed == z3.Or(differs))
    found = 0
    latest = system(Version.V2_40, "plain")
    own = [name for name in lifted.names if lifted is latest or told(lifted, name) != told(latest, name)]
    for name in own:
        n = lifted.names.index(name)
        for code in lifted.transition(name).permitted:
            for wanted in (changed, z3.Not(changed)):
                search.push()
                search.add(lifted.function == n, lifted.code == int(code), wanted)
                if search.check() == z3.sat:
                    found += 1
                    agree(lifted, valued(search.model(), lifted.state), Call(name, valued(search.model(), lifted.args)))
                search.pop()
    assert found > len(own) > 0


def told(lifted: System, name: str) -> list[tuple[str, CKR, Strength]]:
    return [(row.id, row.code, row.strength) for row in lifted.model.functions[name].rules]


def valued(model: z3.ModelRef, record: Any) -> Any:
    """A record of symbols with their values in a solution."""

    def value(symbol: Number | Truth, _hint: Any, _path: str) -> Any:
        found = concrete(model, symbol.term)
        return found if isinstance(symbol, Truth) else next(v for v in symbol.domain if v == found)

    return map_leaves(record, value)


def test_what_the_text_leaves_open_is_a_choice() -> None:
    slots = (Slot(login=Login.USER), Slot())
    digesting = Operations(digest=Operation(Phase.READY, Mech.SHA256))
    sessions = (Session(True, 0, True, digesting), Session())
    s = State(initialized=True, slots=slots, sessions=sessions, objects=ONE_OBJECT)
    call = Call("C_Logout")
    lifted = system(Version.V2_40, "plain")
    assert len(successors(lifted.model, s, call, CKR.OK)) == 2
    agree(lifted, s, call)


# Tables made for the test.


def toy(**parts: Any) -> System:
    """A system with one function that always succeeds, but for what the parts say."""
    function = Function("C_OpenSession", **{"uses": ("slot",), "rules": ()} | parts)
    model = build()
    return System(replace(model, functions={function.name: function}), SCOPES["plain"])


def move(s: State, a: Args) -> State:
    return put_session(s, 0, Session(slot=a.slot))


def look_up(s: State, a: Args) -> State:
    return put_session(s, 0, Session(slot=(0, 1)[a.slot]))


@pytest.mark.parametrize("change", [move, look_up])
def test_an_effect_stays_within_the_domains_wherever_it_is_permitted(change: Any) -> None:
    with pytest.raises(Unliftable, match=r"C_OpenSession.*CKR_OK"):
        toy(effects=(Effect("changed", change, "5.6"),)).transition("C_OpenSession")
    for guard in (
        {"rules": (Rule("slot-id-invalid", CKR.SLOT_ID_INVALID, slot_id_invalid, "5.6", ""),)},
        {"out_of_scope": slot_id_invalid},
    ):
        toy(effects=(Effect("changed", change, "5.6"),), **guard).transition("C_OpenSession")


def test_a_function_barred_from_success_has_no_such_code() -> None:
    never_ok = toy(rules=(Rule("never", CKR.FUNCTION_NOT_PARALLEL, never, "5.15", "", Strength.MAY),), returns_ok=False)
    assert never_ok.transition("C_OpenSession").permitted.keys() == {CKR.FUNCTION_NOT_PARALLEL}


def test_arguments_that_a_function_does_not_use_keep_their_defaults() -> None:
    lifted = toy()
    assert satisfying(lifted.legal, lower(lifted.args.slot) == lower(1)) is not None
    assert satisfying(lifted.legal, lower(lifted.args.session) == lower(1)) is None


# What lifting cannot see: `is` tells a symbol from its value, and a set or a dict looks at hashes.


Names = Mapping[str, object]

FIELDS = {"mechanisms", "abilities"}
"""Fields of the state that are tuples of constants."""


def is_a_tuple(node: ast.expr, names: Names) -> bool:
    """Whether an expression is surely a tuple: written out, a name or a field for one, or what a function gives."""
    match node:
        case ast.Tuple():
            return True
        case ast.Name(id=name):
            return isinstance(names.get(name), tuple)
        case ast.Attribute(attr=name):
            return name in FIELDS
        case ast.Call(func=ast.Name(id=name)):
            given = getattr(names.get(name), "__annotations__", {}).get("return")
            return given is tuple or get_origin(given) is tuple
    return False


def named_in(function: ast.FunctionDef, names: Names) -> Names:
    """What names mean inside a function: parameters that are annotated as tuples are some, and locals set to one."""
    found = dict(names)
    for x in function.args.args:
        if x.annotation is not None:
            found[x.arg] = () if ast.unparse(x.annotation).startswith("tuple[") else None
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = () if is_a_tuple(node.value, found) else None
    return found


def lifted_part(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """What is run on symbols: of a function that makes a condition or an effect, what it makes."""
    if function.returns is None or ast.unparse(function.returns) not in ("Condition", "Change"):
        yield from ast.walk(function)
        return
    for node in ast.walk(function):
        if node is not function and isinstance(node, ast.Lambda | ast.FunctionDef):
            yield from ast.walk(node)


def unfit(source: str, names: Names) -> Iterator[str]:
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        here = named_in(function, names)
        for node in lifted_part(function):
            if not isinstance(node, ast.Compare):
                continue
            for op, right in zip(node.ops, node.comparators, strict=True):
                if isinstance(op, ast.Is | ast.IsNot) or (
                    isinstance(op, ast.In | ast.NotIn) and not is_a_tuple(right, here)
                ):
                    yield f"{function.name}: {ast.unparse(node)}"


@pytest.mark.parametrize(
    "test",
    [
        "a.user is CKU.SO",
        "a.pin is not Pin.NULL",
        "a.pin in {Pin.SO}",
        "a.pin not in PINS",
        "a.pin in pins()",
        "a in s",
    ],
)
def test_the_lint_sees(test: str) -> None:
    names = {"PINS": {Pin.SO}}
    assert list(unfit(f"def f(s, a):\n    return any({test} for x in s.slots)", names))
    assert list(unfit(f"def f(k) -> Condition:\n    return lambda s, a: {test}", names))


def test_conditions_and_effects_compare_values() -> None:
    fit = "def f(s, a):\n    return a.pin == Pin.SO or a.pin in (Pin.SO, Pin.NULL) or a.pin in PINS"
    assert not list(unfit(fit, {"PINS": (Pin.SO,)}))
    lifted: list[Callable[..., Any]] = []
    for function in TABLE.values():
        lifted += [function.out_of_scope, *(r.when for r in function.rules), *(e.change for e in function.effects)]
    modules = {sys.modules[f.__module__] for f in lifted} | {conditions, state}
    assert [line for module in modules for line in unfit(inspect.getsource(module), vars(module))] == []


def test_enumerations_compare_across_types() -> None:
    user = number("user", tuple(CKU))
    assert len(paths(explore(lambda u: (u == Login.SO, u == Pin.USER), user))) == 1
    assert z3.is_true(z3.simplify(predicate(lambda u: u != Login.NOBODY, user)))
