"""The matrix of operations: its rows on the model, what a worker reaches of it, and what the report says."""

from dataclasses import replace

import pytest

from p11conform.adapters.parameters import other_mechanism
from p11conform.adapters.simulated import Simulated
from p11conform.model.call import Buffer, Call, Data, Ending, Observation, arguments, read_call
from p11conform.model.mechanisms import Role
from p11conform.model.oracle import build, in_scope, may_succeed, permitted
from p11conform.model.state import Mech
from p11conform.model.vocabulary import CKR
from p11conform.properties.engine.verdict import Kind, Outcome, judge
from p11conform.properties.reports.results import matrix_json
from p11conform.properties.run.driver import Driver
from p11conform.properties.run.tally import REACHED, Tally
from p11conform.properties.run.work import Cells, Worker
from p11conform.properties.search.matrix import Row, matrix_calls, rows
from p11conform.properties.search.setups import likeliest
from p11conform.subject import SIMULATED_STATE

MODEL = build()
ROWS = rows(MODEL, SIMULATED_STATE)
BY_NAME = {row.name: row for row in ROWS}


def test_every_mechanism_has_a_row_in_every_role_that_it_is_offered_for() -> None:
    known = {(row.mechanism, row.role) for row in ROWS if row.mechanism is not Mech.OTHER}
    offered = {*SIMULATED_STATE.slots[0].abilities}
    roles = {row.role for row in ROWS}
    assert {pair for pair in offered if pair[1] in roles and pair[0].facts.since <= MODEL.version} == known


@pytest.mark.parametrize("row", ROWS[::4], ids=lambda row: row.name)
def test_the_way_to_what_a_row_is_about_is_one_that_the_text_lets_succeed(row: Row) -> None:
    s = SIMULATED_STATE
    for call in (*row.way, *row.begin):
        assert may_succeed(MODEL, s, call)
        assert in_scope(MODEL, s, call)
        s = likeliest(MODEL, s, call)


def test_a_row_has_each_data_each_buffer_each_signature_at_once_and_in_parts() -> None:
    encrypting = [call.args for cell in BY_NAME["AES_CBC ENCRYPT"].cells for call in cell.calls]
    assert {args.data for args in encrypting} >= {Data.FITTING, Data.ODD, Data.EMPTY, Data.HUGE}
    assert {args.buffer for args in encrypting} >= {Buffer.ENOUGH, Buffer.NULL, Buffer.SHORT}
    for function in ("C_Verify", "C_VerifyFinal"):
        calls = [c for cell in BY_NAME["ECDSA_SHA256 VERIFY"].cells for c in cell.calls if c.function == function]
        assert {c.args.signature for c in calls} == {Data.KEPT, Data.TAMPERED, Data.CUT}


class _Without(Simulated):
    """A simulated module that succeeds where it may, and whose token lists single DES and does not do it."""

    def _choose(self, call: Call) -> CKR:
        codes = permitted(self._model, self._state, call)
        return CKR.OK if CKR.OK in codes else min(codes)

    def call(self, call: Call) -> Observation:
        """Refuse the mechanism where it is to begin something."""
        if call.function == "C_EncryptInit" and call.args.mechanism is Mech.DES_ECB:
            return Observation(CKR.MECHANISM_INVALID)
        return super().call(call)


def _filled(*names: str) -> Tally:
    calls = tuple(dict.fromkeys(matrix_calls(MODEL, SIMULATED_STATE)))
    driver = Driver(MODEL, SIMULATED_STATE, _Without(MODEL, SIMULATED_STATE), calls=calls)
    worker, tally = Worker(driver), Tally()
    for row in map(BY_NAME.__getitem__, names):
        way, begin = (tuple(map(driver.number, x)) for x in (row.way, row.begin))
        cells = tuple((cell.name, tuple(map(driver.number, cell.calls))) for cell in row.cells)
        done = worker.do(Cells(row.name, way, begin, cells))
        tally.add(done.tally)
        assert not done.failures or row.mechanism is Mech.DES_ECB
    return tally


def test_a_worker_reaches_every_cell_of_what_works() -> None:
    names = ("SHA256 DIGEST", "AES_CBC ENCRYPT", "AES_GCM DECRYPT", "DSA_SHA1 VERIFY", "AES_KEY_WRAP UNWRAP")
    tally = _filled(*names, "DH_PKCS_DERIVE DERIVE", "DSA_PARAMETER_GEN GENERATE", "EC_KEY_PAIR_GEN GENERATE_KEY_PAIR")
    assert {how for seen in tally.cells.values() for how in seen} == {REACHED}
    found = matrix_json(tally)
    assert (
        found["cells"]
        == found["reached"]
        == sum(len(row.cells) for row in ROWS if (row.name, row.cells[0].name) in tally.cells)
    )


def test_a_mechanism_that_is_listed_and_does_not_work_is_told_and_does_not_count() -> None:
    tally = _filled("DES_ECB ENCRYPT", "SHA256 DIGEST")
    found = matrix_json(tally)
    assert found["reached"] == found["cells"] == len(BY_NAME["SHA256 DIGEST"].cells)
    (lacking,) = found["lacking"]
    assert lacking == {
        "row": "DES_ECB ENCRYPT",
        "cells": len(BY_NAME["DES_ECB ENCRYPT"].cells),
        "why": "C_EncryptInit gives CKR_MECHANISM_INVALID",
        "begun": False,
    }
    assert tally.operational("C_EncryptInit", "DES_ECB") is False
    assert tally.operational("C_DigestInit", "SHA256") is True
    assert tally.operational("C_EncryptInit", "SHA256") is None


def test_what_a_cell_lacks_is_told_by_row() -> None:
    tally = Tally(cells={("X SIGN", "a"): {REACHED}, ("X SIGN", "b"): {"C_Sign cannot be made"}})
    assert matrix_json(tally) == {
        "cells": 2,
        "reached": 1,
        "lacking": [{"row": "X SIGN", "cells": 1, "why": "C_Sign cannot be made", "begun": True}],
    }


OTHERS = (
    (0xCE534371, (Role.ENCRYPT,)),
    (0x80000373, (Role.SIGN, Role.VERIFY)),
    (0x3E4, (Role.WRAP, Role.UNWRAP, Role.DERIVE)),
    (0x8000000A, (Role.GENERATE, Role.GENERATE_KEY_PAIR, Role.DIGEST)),
)
WITH_OTHERS = replace(
    SIMULATED_STATE,
    slots=tuple(replace(x, others=OTHERS, mechanisms=(*x.mechanisms, Mech.OTHER)) for x in SIMULATED_STATE.slots),
)


def test_a_mechanism_without_a_record_is_tried_in_every_role_that_its_flags_claim() -> None:
    found = [row for row in rows(MODEL, WITH_OTHERS) if row.mechanism is Mech.OTHER]
    assert {(row.number, row.role) for row in found} >= {(number, role) for number, roles in OTHERS for role in roles}
    for row in found:
        s = WITH_OTHERS
        for call in (*row.way, *row.cells[0].calls):
            assert may_succeed(MODEL, s, call), (row.name, call)
            s = likeliest(MODEL, s, call)


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        (Observation(CKR.OK), Outcome.PASS),
        (Observation(CKR.MECHANISM_PARAM_INVALID), Outcome.INCONCLUSIVE),
        (Observation(CKR.KEY_TYPE_INCONSISTENT), Outcome.INCONCLUSIVE),
        (Observation(CKR.SLOT_ID_INVALID), Outcome.FAIL),
    ],
)
def test_of_such_a_mechanism_is_asked_what_every_one_must_do(seen: Observation, outcome: Outcome) -> None:
    row = next(row for row in rows(MODEL, WITH_OTHERS) if row.name == "0x80000373 SIGN")
    s = WITH_OTHERS
    for call in row.way:
        s = likeliest(MODEL, s, call)
    (begin,) = row.cells[0].calls
    assert begin.args.number == 0x80000373
    assert other_mechanism(begin.args.number).mechanism == 0x80000373
    assert read_call(begin.function, arguments(begin, MODEL.functions[begin.function].uses)) == begin
    verdict, _ = judge(MODEL, frozenset({s}), begin, seen)
    assert verdict.outcome is outcome


def test_that_such_a_mechanism_dies_without_a_parameter_is_a_question_of_robustness() -> None:
    row = next(row for row in rows(MODEL, WITH_OTHERS) if row.name == "0x80000373 SIGN")
    verdict, _ = judge(MODEL, frozenset({WITH_OTHERS}), row.cells[0].calls[0], Observation(ending=Ending.DIED))
    assert verdict.kind is Kind.ROBUSTNESS
