"""Events on real modules: what providers make happen, how it gets there and back, and which codes come of it."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from conftest import Steady, adapter_of, codes

from p11conform.adapters.befallen import Befallen
from p11conform.adapters.isolated import Isolated
from p11conform.adapters.modules import registry
from p11conform.adapters.modules.module import Module
from p11conform.adapters.modules.softcard import KeptCard, Mishap, _taken, mishap_of
from p11conform.adapters.modules.storage import Storage
from p11conform.adapters.wire import decode
from p11conform.messages import Briefing, Task, briefing
from p11conform.model.call import Args, Call
from p11conform.model.environment import ASKED, EVENTS, expose
from p11conform.model.oracle import Model, build, in_scope, permitted, successors, suffering
from p11conform.model.state import Exposed, Object, Pin, State
from p11conform.model.vocabulary import CKR, CKS, CKU
from p11conform.properties.policy import Level, Rights, anything
from p11conform.properties.search.befallen import after_events

BEGUN: Final = (Call("C_Initialize"), Call("C_OpenSession"))
START: Final = expose(State(objects=(Object(),) * 2))


@cache
def real() -> Model:
    """The model of a module whose library need not notice what befell the token before it asks."""
    return build(readings={"A-91": ASKED}, events=True)


def after(*names: str) -> frozenset[State]:
    """The states that events may lead to, after a session was opened."""
    states = {START}
    for call in (*BEGUN, *map(Call, names)):
        states = {t for s in states for t in successors(real(), s, call, CKR.OK)}
    return frozenset(states)


INFO, TOKEN_INFO = Call("C_GetSessionInfo"), Call("C_GetTokenInfo")

STORIES: tuple[tuple[tuple[str, ...], Call, str], ...] = (
    (("token-removed",), INFO, "OK SESSION_HANDLE_INVALID DEVICE_REMOVED"),
    (("token-removed",), TOKEN_INFO, "OK TOKEN_NOT_PRESENT DEVICE_REMOVED"),
    (("token-removed", "token-inserted"), INFO, "SESSION_HANDLE_INVALID"),
    (("token-removed", "unknown-token-inserted"), TOKEN_INFO, "TOKEN_NOT_RECOGNIZED SLOT_ID_INVALID"),
    (("device-fails-in-next-call",), INFO, "OK DEVICE_ERROR"),
    (
        ("device-stops",),
        Call("C_DestroyObject"),
        "OBJECT_HANDLE_INVALID SESSION_HANDLE_INVALID DEVICE_ERROR DEVICE_MEMORY DEVICE_REMOVED USER_NOT_LOGGED_IN "
        "ARGUMENTS_BAD TOKEN_WRITE_PROTECTED",
    ),
)


@pytest.mark.parametrize(("way", "call", "allowed"), STORIES)
def test_a_library_need_not_notice_at_once(way: tuple[str, ...], call: Call, allowed: str) -> None:
    assert frozenset().union(*(permitted(real(), s, call) for s in after(*way))) == codes(allowed)


def test_trouble_that_a_call_passed_over_may_be_over() -> None:
    (s,) = after("device-fails-in-next-call")
    assert {t.slots[0].trouble.failing for t in successors(real(), s, INFO, CKR.OK)} == {False, True}


def test_what_a_call_tells_of_a_token_that_is_leaving_may_be_anything() -> None:
    (s,) = after("token-removed")
    told = {o.name: o.permitted(s, TOKEN_INFO.args) for o in real().functions["C_GetTokenInfo"].outputs}
    assert told
    assert not any(told.values())


def test_a_model_suffers_only_what_it_is_given() -> None:
    model = suffering(real(), {"device-stops"})
    assert model.events == {"device-stops"}
    assert model.functions.keys() & EVENTS.keys() == {"device-stops"}


def test_events_reach_a_worker_with_the_slot_that_they_befall() -> None:
    model = suffering(real(), {"device-stops", "device-starts-again"})
    task = decode(Briefing, briefing(Task(model, START, Rights(Level.OURS)), ())).task
    assert task.initial == START
    assert isinstance(task.initial.slots[0], Exposed)
    assert task.model.events == model.events
    assert task.model.readings["A-91"] == ASKED


def test_each_event_is_looked_at_before_one_is_looked_at_twice() -> None:
    events = ("device-stops", "user-pin-locked")
    found = list(after_events(suffering(real(), events), START, anything))
    ways = [way for way, _ in found]
    assert {*events} <= {call.function for way in ways[: len({*ways})] for call in way}
    for way, call in found:
        (s, *_) = [START]
        for step in way:
            s = max(successors(real(), s, step, CKR.OK), key=lambda x: sum(o.known for o in x.objects))
        assert in_scope(real(), s, call)


def test_a_device_that_starts_again_may_know_nothing_of_sessions_or_go_on_as_it_was() -> None:
    found = {(s.slots[0].trouble.stopped, s.sessions[0].open) for s in after("device-stops", "device-starts-again")}
    assert found == {(True, True), (False, False)}


# The adapter.


class Told(Steady):
    """The model itself, as an application that made an object."""

    application: Any = SimpleNamespace(
        objects=SimpleNamespace(entry=lambda k: SimpleNamespace(labels=(b"a", b"a*"), changed=True) if k == 0 else None)
    )


def test_events_are_made_to_happen_among_calls_in_their_order() -> None:
    happened: list[tuple[str, bytes]] = []

    def befall(event: str, label: bytes) -> bool:
        happened.append((event, label))
        return event != "user-pin-locked"

    names = ("device-stops", "object-destroyed-by-another-application", "user-pin-locked")
    model = build()
    calls = (*BEGUN, *map(Call, names), Call("C_CloseSession"))
    with Befallen(Told(model, State()), names, befall) as adapter:
        ready = adapter.ready(calls)
        seen = [ready.observation((ready.made.get(k) or ready.make(k))()).code for k in range(len(calls))]
        assert not adapter.supports(Call("token-removed"))
        assert adapter.supports(Call("device-stops"))
    assert seen == [CKR.OK] * 4 + [CKR.GENERAL_ERROR, CKR.OK]
    assert happened == list(zip(names, (b"", b"a*", b""), strict=True))


def test_storage_that_is_away_holds_nothing_until_it_is_back(tmp_path: Path) -> None:
    directory = tmp_path / "tokens"
    directory.mkdir()
    (directory / "object").touch()
    storage = Storage(directory)
    for _ in range(2):
        storage.take()
        assert not directory.is_dir()
    for _ in range(2):
        storage.give_back()
        assert (directory / "object").exists()


def test_a_mishap_befalls_one_command(tmp_path: Path) -> None:
    file = mishap_of(tmp_path / "card")
    file.write_text(Mishap.FULL.value)
    assert (_taken(file), _taken(file)) == (Mishap.FULL, None)
    assert KeptCard(tmp_path / "card").answer(b"\x00\xa4\x00\x0c")[-2:] != b"\x6a\x84"


# What real modules answer.


@pytest.fixture(scope="module")
def opened() -> Iterator[Mapping[str, tuple[Module, Isolated]]]:
    """The modules that are installed, each opened when it is wanted first."""
    with ExitStack() as stack:

        class Opened(dict[str, tuple[Module, Isolated]]):
            def __missing__(self, name: str) -> tuple[Module, Isolated]:
                provider = registry.provider(name)
                if (obstacle := provider.obstacle()) is not None:
                    pytest.skip(f"{name}: {obstacle}")
                module = provider.provision()
                stack.callback(module.discard)
                self[name] = module, stack.enter_context(adapter_of(module, events=module.events))
                return self[name]

        yield Opened()


OPEN, LOGIN = Call("C_OpenSession"), Call("C_Login")
LOGIN_SO = Call("C_Login", Args(user=CKU.SO, pin=Pin.SO))
MAKE = Call("C_CreateObject", Args(token=True))
SLOT = Call("C_GetSlotInfo")

SEEN: tuple[tuple[str, tuple[str | Call, ...], CKR], ...] = (
    ("opensc", (OPEN, "token-removed", LOGIN), CKR.DEVICE_REMOVED),
    ("opensc", (OPEN, "token-removed-in-next-call", LOGIN), CKR.GENERAL_ERROR),
    ("opensc", (OPEN, "token-removed", SLOT, TOKEN_INFO), CKR.TOKEN_NOT_PRESENT),
    ("opensc", (OPEN, "token-removed", "token-inserted", OPEN, Call("C_Login", Args(session=1))), CKR.OK),
    ("opensc", (OPEN, "token-removed", "unknown-token-inserted", SLOT, TOKEN_INFO), CKR.TOKEN_NOT_RECOGNIZED),
    ("opensc", (OPEN, "device-fails-in-next-call", LOGIN), CKR.DEVICE_ERROR),
    ("opensc", (OPEN, "device-out-of-memory-in-next-call", LOGIN), CKR.DEVICE_MEMORY),
    ("opensc", (OPEN, "user-pin-locked", LOGIN), CKR.PIN_LOCKED),
    ("opencryptoki", (OPEN, "user-pin-locked", LOGIN), CKR.PIN_LOCKED),
    ("opencryptoki", (OPEN, "user-pin-changed-by-another-application", LOGIN), CKR.PIN_INCORRECT),
    (
        "nss",
        (OPEN, LOGIN, MAKE, "object-destroyed-by-another-application", Call("C_DestroyObject")),
        CKR.OBJECT_HANDLE_INVALID,
    ),
    ("nss", (Call("C_OpenSession", Args(slot=1)), MAKE), CKR.TOKEN_WRITE_PROTECTED),
    ("p11-kit", (OPEN, "device-stops", LOGIN), CKR.DEVICE_ERROR),
    ("softhsm2", (OPEN, LOGIN, "device-stops", TOKEN_INFO), CKR.GENERAL_ERROR),
    ("tpm2", (OPEN, "device-stops", LOGIN), CKR.GENERAL_ERROR),
    ("tpm2", (OPEN, "device-stops", "device-starts-again", LOGIN), CKR.GENERAL_ERROR),
)
"""What a real module answers in the last call.

No module of the registry can be made to answer CKR_SESSION_CLOSED: it is for a call whose session another thread
closes, which the libraries either finish or refuse by CKR_SESSION_HANDLE_INVALID.
"""


@pytest.mark.module
@pytest.mark.parametrize(("name", "way", "code"), SEEN)
def test_a_real_module_answers(
    opened: Mapping[str, tuple[Module, Isolated]], name: str, way: tuple[str | Call, ...], code: CKR
) -> None:
    module, adapter = opened[name]
    assert adapter.reset(True)
    first = module.binding.initialize
    for call in (first, *(Call(step) if isinstance(step, str) else step for step in way)):
        seen = adapter.call(call)
        if call.function in EVENTS:
            assert seen.code == CKR.OK
    assert CKR(seen.code) is code


@pytest.mark.module
@pytest.mark.parametrize("name", [provider.name for provider in registry.OWN])
def test_a_provider_names_what_its_module_can_suffer(opened: Mapping[str, tuple[Module, Isolated]], name: str) -> None:
    module, _ = opened[name]
    assert registry.provider(name).events == module.events.keys()
    assert module.events.keys() <= EVENTS.keys()


FORKING: Final = {"opencryptoki", "p11-kit", "opensc"}
"""Modules whose C_Initialize succeeds in the child of a fork, as that of an application of its own (A-95)."""


@pytest.mark.module
@pytest.mark.parametrize("name", [provider.name for provider in registry.OWN])
def test_a_child_is_an_application_of_its_own(opened: Mapping[str, tuple[Module, Isolated]], name: str) -> None:
    module, adapter = opened[name]
    assert adapter.reset(True)
    before = adapter.process
    begin = module.binding.initialize
    opening = Call("C_OpenSession", Args(rw=False))
    login = (LOGIN,) if adapter.supports(LOGIN) else ()
    adapter.call_all((begin, opening, *login))
    forks, *seen = adapter.call_all((Call("application-forks"), begin, INFO, opening, INFO))
    assert forks.code == CKR.OK
    if name in FORKING:
        assert [CKR(x.code) for x in seen[:3]] == [CKR.OK, CKR.SESSION_HANDLE_INVALID, CKR.OK]
        assert dict(seen[3].outputs)["state"] == CKS.RO_PUBLIC_SESSION
    else:
        counts = name == "p11-kit-trust"  # which goes on with what the parent had
        assert seen[0].code == (CKR.OK if counts else CKR.CRYPTOKI_ALREADY_INITIALIZED)
    assert adapter.reset(True)
    assert adapter.process is not before, "the next sequence has a process that is no child"


@pytest.mark.module
def test_a_session_is_refused_where_there_are_too_many(opened: Mapping[str, tuple[Module, Isolated]]) -> None:
    module, adapter = opened["tpm2"]
    adapter.reset(True)
    seen = adapter.call_all((module.binding.initialize, *(OPEN,) * 1100))
    assert seen[-1].code == CKR.SESSION_COUNT
