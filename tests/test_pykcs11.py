from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p11conform.adapters.base import Adapter, Binding, run
from p11conform.adapters.handles import FORGED, NEW_LABEL, NO_SUCH_SLOT, Handles, Issued, Slots
from p11conform.adapters.isolated import Isolated, Kind
from p11conform.adapters.modules import softhsm2
from p11conform.adapters.modules.module import Module
from p11conform.model.call import Args, Buffer, Call, InitArgs
from p11conform.model.state import Mech, Pin, Session, Slot, State
from p11conform.model.table import TABLE
from p11conform.model.vocabulary import CKR, CKU

SCOPE = State(slots=(Slot(),) * 3, sessions=(Session(),) * 3)
ALPHABET = [call for function in TABLE.values() for call in function.calls(SCOPE)]

READY = (Call("C_Initialize"), Call("C_OpenSession"))
PREFIXES = (
    (),
    READY,
    (*READY, Call("C_Login")),
    (*READY, Call("C_OpenSession", Args(slot=1, rw=False)), Call("C_Login")),
    (*READY, Call("C_Login", Args(user=CKU.SO, pin=Pin.SO))),
    (*READY, Call("C_CloseSession")),
    (*READY, Call("C_Finalize"), *READY),
)


class Pair(NamedTuple):
    raw: Adapter
    pykcs11: Adapter
    common: list[Call]

    def agree(self, sequence: tuple[Call, ...]) -> None:
        seen = []
        for adapter in (self.raw, self.pykcs11):
            seen.append(run(adapter, sequence))
            adapter.reset(restore_token=False)
        assert seen[0] == seen[1]


@pytest.fixture(scope="module")
def softhsm() -> Iterator[Module]:
    if softhsm2.find() is None:
        pytest.skip("SoftHSM is not installed")
    module = softhsm2.provision()
    yield module
    module.discard()


@pytest.fixture(scope="module")
def pair(softhsm: Module) -> Iterator[Pair]:
    raw, pykcs11 = (
        Isolated(kind, softhsm.library, softhsm.binding, softhsm.environment, softhsm.restore)
        for kind in (Kind.RAW, Kind.PYKCS11)
    )
    with raw, pykcs11:
        yield Pair(raw, pykcs11, [call for call in ALPHABET if raw.supports(call) and pykcs11.supports(call)])


@pytest.mark.module
def test_raw_and_pykcs11_agree_on_every_call(pair: Pair) -> None:
    for call in pair.common:
        pair.agree((*READY, call, Call("C_GetSessionInfo")))


@pytest.mark.module
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_raw_and_pykcs11_agree_on_sequences(pair: Pair, data: st.DataObject) -> None:
    prefix = data.draw(st.sampled_from(PREFIXES))
    rest = data.draw(st.lists(st.sampled_from(pair.common), max_size=20))
    pair.agree((*prefix, *rest))


@pytest.mark.module
def test_a_token_initialised_anew_is_found_again(pair: Pair) -> None:
    again = (
        Call("C_Initialize"),
        Call("C_InitToken", Args(slot=2, pin=Pin.SO)),
        Call("C_InitToken", Args(slot=0, pin=Pin.SO)),
        Call("C_Finalize"),
        Call("C_Initialize"),
        Call("C_GetSlotList"),
        Call("C_GetTokenInfo", Args(slot=2)),
    )
    pair.agree(again)
    seen = run(pair.pykcs11, again)
    assert [o.code for o in seen] == [CKR.OK] * len(again)
    assert (seen[-2].outputs[-1], seen[-1].outputs[0]) == (("slots", 0b111), ("initialized", 1))
    pair.pykcs11.reset(restore_token=True)
    assert run(pair.pykcs11, READY)[1].code == CKR.OK


@pytest.mark.module
def test_pykcs11_supports_what_its_interface_can_say(pair: Pair) -> None:
    unreached = (
        *(Call("C_Initialize", Args(init=init)) for init in InitArgs if init != InitArgs.NULL),
        Call("C_Finalize", Args(reserved=True)),
        Call("C_GetFunctionList"),
        *(Call(name, Args(buffer=b)) for name in ("C_GetSlotList", "C_GetMechanismList") for b in list(Buffer)[1:]),
        Call("C_GetSlotList", Args(null=True)),
        Call("C_WaitForSlotEvent", Args(reserved=True)),
        Call("C_OpenSession", Args(null=True)),
        Call("C_OpenSession", Args(notify=True)),
        Call("C_GenerateKey"),
        Call("C_GetOperationState"),
        Call("C_SetOperationState"),
    )
    assert not [call for call in unreached if pair.pykcs11.supports(call)]
    reached = (
        Call("C_Initialize"),
        Call("C_GetInfo", Args(null=True)),
        Call("C_DigestInit", Args(mechanism=Mech.UNKNOWN, null=True)),
        Call("C_InitToken", Args(null=True)),
        Call("C_Login", Args(pin=Pin.NULL)),
    )
    assert all(map(pair.pykcs11.supports, reached))


@pytest.mark.module
def test_a_pin_that_is_not_bound_is_not_supported(softhsm: Module) -> None:
    so_only = replace(softhsm.binding, pins={"SO": b"12345678"})
    with Isolated(Kind.PYKCS11, softhsm.library, so_only, softhsm.environment) as module:
        assert module.supports(Call("C_Login", Args(user=CKU.SO, pin=Pin.SO)))
        assert not module.supports(Call("C_Login", Args(pin=Pin.USER)))


def test_a_session_takes_the_lowest_free_index() -> None:
    handles = Handles(2)
    assert [handles.opened(number, 0) for number in (11, 12)] == [Issued.FRESH] * 2
    handles.closed(0)
    assert handles.opened(13, 1) == Issued.FRESH
    assert [handles.session(i) for i in range(3)] == [13, 12, 0]


def test_handles_tell_zero_and_duplicates() -> None:
    handles = Handles(3)
    assert [handles.opened(number, 0) for number in (0, 7, 7)] == [Issued.ZERO, Issued.FRESH, Issued.DUPLICATE]


def test_a_stale_handle_is_kept_until_it_is_issued_again() -> None:
    handles = Handles(3)
    handles.opened(7, 0)
    handles.opened(8, 1)
    handles.closed_all(1)
    assert handles.session(1) == 8
    handles.closed_all()
    handles.opened(8, 0)
    assert [handles.session(i) for i in range(3)] == [8, FORGED + 1, FORGED + 2]
    handles.forget()
    assert handles.session(0) == FORGED


def test_a_forged_handle_is_never_a_live_one() -> None:
    handles = Handles(2)
    handles.opened(FORGED + 1, 0)
    assert handles.session(1) not in (0, FORGED + 1)


def test_a_session_past_the_last_index_is_live_all_the_same() -> None:
    handles = Handles(1)
    handles.opened(7, 0)
    handles.opened(8, 0)
    handles.closed(0)
    assert handles.opened(8, 0) == Issued.DUPLICATE


def test_slots_follow_labels_after_initialisation_only() -> None:
    slots = Slots(Binding(slots=(4, 5, 6), labels=("a", "b")))
    assert [slots.id(i) for i in range(4)] == [4, 5, 6, NO_SUCH_SLOT]
    assert (slots.index(5), slots.index(9), slots.mask({6, 4, 9})) == (1, -1, 0b101)
    slots.initialized(0)
    slots.find([("a", 9), ("a", 8), (NEW_LABEL, 7)])
    assert [slots.id(i) for i in range(3)] == [9, 5, 6]
    slots.initialized(2)
    slots.find([("a", 9), (NEW_LABEL, 7)])
    assert [slots.id(i) for i in range(3)] == [9, 5, 7]
    slots.restored()
    assert [slots.id(i) for i in range(3)] == [4, 5, 6]
