"""What several test files share: calls to write sequences with, the beliefs after them, and strategies for states."""

from collections.abc import Iterable
from functools import reduce
from random import Random
from typing import TYPE_CHECKING, TypeVar

import pytest
from hypothesis import strategies as st

from p11conform.adapters.simulated import Simulated
from p11conform.model.call import Args, Call, calls
from p11conform.model.oracle import Model, build, in_scope, permitted, successors
from p11conform.model.state import Login, Operation, Pin, Saved, Session, Slot, State
from p11conform.model.vocabulary import CKR, CKU

if TYPE_CHECKING:
    from _typeshed import SupportsLenAndGetItem

T = TypeVar("T")

INIT, FINALIZE = Call("C_Initialize"), Call("C_Finalize")
OPEN, OPEN_RO = Call("C_OpenSession"), Call("C_OpenSession", Args(rw=False))
LOGIN, LOGOUT = Call("C_Login"), Call("C_Logout")
LOGIN_SO = Call("C_Login", Args(user=CKU.SO, pin=Pin.SO))

ONE_SLOT = State()

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


@pytest.fixture(scope="session")
def model() -> Model:
    return build()


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
    return [c for f in model.functions.values() for c in calls(f.name, f.uses, s) if in_scope(model, s, c)]


_SLOTS = (
    Slot(),
    Slot(user_pin=Pin.NULL),
    Slot(initialized=False, so_pin=Pin.NULL, user_pin=Pin.NULL, shared=True),
    Slot(present=False),
    Slot(recognized=False),
    Slot(write_protected=True, digests=False, has_mechanisms=False, session_limit=1),
)


@st.composite
def states(draw: st.DrawFn) -> State:
    """States of two slots and two sessions: nobody logs in, and nothing is open, where nothing can be."""
    initialized = draw(st.booleans())
    failed = draw(st.booleans())
    slots = [draw(st.sampled_from(_SLOTS)) for _ in range(2)]
    usable = [k for k, x in enumerate(slots) if initialized and x.present and x.recognized]
    sessions = (Session(), Session())
    if usable:
        opened = st.builds(Session, st.just(True), st.sampled_from(usable), st.booleans(), st.sampled_from(Operation))
        sessions = draw(st.tuples(*[st.one_of(st.just(Session()), opened)] * 2))
    in_use = {x.slot for x in sessions if x.open}
    put = [
        Slot(
            **{name: getattr(x, name) for name in Slot.__dataclass_fields__}
            | {"login": draw(st.sampled_from(Login)) if k in in_use else Login.NOBODY}
            | {"so_failed": failed, "user_failed": not failed}
        )
        for k, x in enumerate(slots)
    ]
    saved = draw(
        st.builds(
            Saved,
            st.booleans(),
            st.sampled_from(Operation),
            st.integers(0, 1),
            st.booleans(),
            st.sampled_from(Login),
            st.booleans(),
        )
    )
    return State(draw(st.booleans()), initialized, tuple(put), sessions, saved)
