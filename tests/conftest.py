"""What several test files share: calls to write sequences with, the beliefs after them, and strategies for states."""

import json
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import cache, reduce
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from hypothesis import strategies as st

from p11conform.adapters.isolated import Isolated
from p11conform.adapters.isolated import Kind as Way
from p11conform.adapters.modules.module import Module
from p11conform.adapters.simulated import Simulated
from p11conform.model.call import Args, Call
from p11conform.model.chapters.operations import ACTIVITIES
from p11conform.model.interface import SIGNATURES
from p11conform.model.mechanisms import with_role
from p11conform.model.oracle import Model, build, in_scope, permitted, successors
from p11conform.model.state import (
    Kept,
    Kind,
    Login,
    Mech,
    Object,
    Operation,
    Operations,
    Phase,
    Pin,
    Saved,
    Search,
    Session,
    Slot,
    State,
    Trait,
)
from p11conform.model.vocabulary import CKR, CKU
from p11conform.properties.reports.results import report_json
from p11conform.properties.run.campaign import Budget, check

if TYPE_CHECKING:
    from _typeshed import SupportsLenAndGetItem

T = TypeVar("T")

INIT, FINALIZE = Call("C_Initialize"), Call("C_Finalize")
OPEN, OPEN_RO = Call("C_OpenSession"), Call("C_OpenSession", Args(rw=False))
LOGIN, LOGOUT = Call("C_Login"), Call("C_Logout")
LOGIN_SO = Call("C_Login", Args(user=CKU.SO, pin=Pin.SO))

ONE_SLOT = State()
OBJECTS = (Object(),) * 3

CORE = frozenset({name for name, x in SIGNATURES.items() if x.section in ("5.4", "5.5", "5.6")} | {"C_DigestInit"})
"""The functions of the library, its tokens and sessions, and one that begins an operation."""

Step = Call | tuple[Call, CKR]
"""A call that returns CKR_OK, or one with the code that it returns."""


class Steady(Simulated):
    """The embedded module without its whims: it succeeds wherever it may, and answers the same every time."""

    def __init__(self, model: Model, initial: State) -> None:
        super().__init__(model, initial)
        self._random = Whimless()


class Whimless(Random):
    """Chance that always falls the same way."""

    def random(self) -> float:
        return 0.0

    def choice(self, seq: "SupportsLenAndGetItem[T]") -> T:
        return seq[0]


def adapter_of(module: Module, **more: Any) -> Isolated:
    """A real module in a process of its own, called as it is."""
    library, binding, environment = module.library, module.binding, module.environment
    return Isolated(Way.RAW, library, binding, environment, module.restore, namespaces=module.namespaces, **more)


@pytest.fixture(scope="session")
def model() -> Model:
    return build()


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Makes a module of a file in modules_c, with macros defined; see there what it does."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler as cc")
    directory = tmp_path_factory.mktemp("modules")

    def make(name: str, **macros: int) -> str:
        given = [f"-D{macro}={value}" for macro, value in macros.items()]
        library = directory / f"lib{''.join((name, *given))}.so"
        source = Path(__file__).parent / "modules_c" / f"{name}.c"
        subprocess.run([compiler, "-shared", "-fPIC", *given, "-o", library, source, "-ldl"], check=True)
        return str(library)

    return cache(make)


@pytest.fixture(scope="session")
def faulty_library(compiled: Callable[..., str]) -> str:
    """A module that misbehaves to order."""
    return compiled("faulty")


@pytest.fixture(scope="session")
def shim(compiled: Callable[..., str]) -> str:
    """A module in front of another one, which it changes to order."""
    return compiled("shim")


HOSTILE = "]]></failure><script>alert(1)</script>\x00\x1b[31m[/]{{1234*5678}}`|\n# x"
"""What a module may say of itself; it is nobody's markup."""


@pytest.fixture(scope="session")
def report() -> dict[str, Any]:
    """A report with findings and advice."""
    model = build()
    logout = next(r for r in model.functions["C_Logout"].rules if r.code is CKR.USER_NOT_LOGGED_IN)
    module = Simulated(model.without("C_Logout", logout), State())
    results = check(model, State(), module, budget=Budget(sequences=5, length=8, seconds=600))
    made = report_json(results, {"name": "simulated", "adapter": "simulated", "manufacturer": HOSTILE})
    made["module"]["description"] = HOSTILE
    data: dict[str, Any] = json.loads(json.dumps(made))
    assert data["findings"]
    assert data["advice"]
    return data


def restricted(model: Model, functions: Collection[str] = CORE) -> Model:
    """The model of some functions only: what takes long for all of them is quick for a few."""
    return replace(model, functions={name: f for name, f in model.functions.items() if name in functions})


@pytest.fixture(scope="session")
def core(model: Model) -> Model:
    return restricted(model)


def codes(names: str) -> frozenset[CKR]:
    """Return values by their names, less the prefix."""
    return frozenset(CKR[name] for name in names.split())


def after(model: Model, initial: State, steps: Iterable[Step]) -> frozenset[State]:
    """The states that a module may be in after a sequence, each step of which the model must permit."""

    def follow(beliefs: frozenset[State], step: Step) -> frozenset[State]:
        call, code = step if isinstance(step, tuple) else (step, CKR.OK)
        allowing = [s for s in beliefs if in_scope(model, s, call) and code in permitted(model, s, call)]
        assert allowing, f"{call} cannot return {code!s}"
        return frozenset(t for s in allowing for t in successors(model, s, call, code))

    return reduce(follow, steps, frozenset({initial}))


def every_call(model: Model, s: State) -> list[Call]:
    return [c for f in model.functions.values() for c in f.calls(s) if in_scope(model, s, c)]


def some_calls(model: Model, s: State) -> st.SearchStrategy[list[Call]]:
    """Calls of a scope, one function as likely as another."""
    return st.lists(st.sampled_from(sorted(model.functions)).flatmap(_calls_of(model, s)), min_size=1, max_size=30).map(
        lambda calls: [c for c in calls if in_scope(model, s, c)]
    )


def _calls_of(model: Model, s: State) -> Callable[[str], st.SearchStrategy[Call]]:
    return cache(lambda name: st.sampled_from(tuple(model.functions[name].calls(s))))


_SLOTS = (
    Slot(),
    Slot(user_pin=Pin.NULL, dual=True),
    Slot(initialized=False, so_pin=Pin.NULL, user_pin=Pin.NULL, shared=True),
    Slot(present=False),
    Slot(recognized=False),
    Slot(write_protected=True, mechanisms=(), abilities=(), has_mechanisms=False, rng=False, session_limit=1),
    Slot(login_required=False, user_pin_to_be_changed=True, abilities=()),
)

_MECHANISMS = {k.field: with_role(k.role) for k in ACTIVITIES}
_KEYS = st.integers(0, len(OBJECTS) - 1)


@st.composite
def _operations(draw: st.DrawFn) -> Operations:
    """Two kinds of operation at most, each with a mechanism of its own, and perhaps a search."""
    kinds = draw(st.sets(st.sampled_from(sorted(_MECHANISMS)), max_size=2))
    active = {
        field: Operation(draw(st.sampled_from(Phase)), draw(st.sampled_from(_MECHANISMS[field])), draw(_KEYS))
        for field in sorted(kinds)
    }
    return replace(Operations(search=draw(st.sampled_from(Search))), **active)  # type: ignore[arg-type]


@st.composite
def _objects(draw: st.DrawFn, sessions: tuple[Session, ...], slots: list[int]) -> tuple[Object, ...]:
    """Objects of open sessions, and of tokens."""
    owners = [k for k, x in enumerate(sessions) if x.open]
    found: list[Object] = []
    for _ in OBJECTS:
        token = draw(st.booleans())
        if draw(st.booleans()) or not (slots if token else owners):
            found.append(Object())
            continue
        owner = 0 if token else draw(st.sampled_from(owners))
        kind, private, trait = draw(st.sampled_from(Kind)), draw(st.booleans()), draw(st.sampled_from(Trait))
        slot = draw(st.sampled_from(slots)) if token else sessions[owner].slot
        known = draw(st.booleans()) if token else True
        found.append(Object(True, known, kind, slot, token, owner, private, trait, draw(st.booleans())))
    return tuple(found)


_KEPT = st.builds(Kept, st.booleans(), st.sampled_from(Mech), _KEYS, st.sampled_from(Kind))


@st.composite
def states(draw: st.DrawFn) -> State:
    """States of two slots, two sessions and three objects: nothing is where nothing can be."""
    initialized = draw(st.booleans())
    failed = draw(st.booleans())
    slots = [draw(st.sampled_from(_SLOTS)) for _ in range(2)]
    usable = [k for k, x in enumerate(slots) if initialized and x.present and x.recognized]
    sessions = (Session(), Session())
    if usable:
        opened = st.builds(Session, st.just(True), st.sampled_from(usable), st.booleans(), _operations(), st.booleans())
        sessions = draw(st.tuples(*[st.one_of(st.just(Session()), opened)] * 2))
    in_use = {x.slot for x in sessions if x.open}
    put = [
        replace(
            x,
            login=draw(st.sampled_from(Login)) if k in in_use else Login.NOBODY,
            so_failed=failed,
            user_failed=not failed,
        )
        for k, x in enumerate(slots)
    ]
    saved = draw(
        st.builds(
            Saved,
            st.booleans(),
            st.integers(0, 1),
            st.booleans(),
            st.sampled_from(Login),
            _operations(),
            st.booleans(),
        )
    )
    return State(
        initialized,
        tuple(put),
        sessions,
        draw(_objects(sessions, usable)),
        saved,
        *(draw(_KEPT) for _ in range(3)),
    )
