"""Defects planted in SoftHSM2: each is seen in a short sequence, and blamed on the call that has it."""

import pytest
from conftest import INIT, OPEN
from planted import PLANTED, Build, Planted, planted

from p11conform.adapters.modules import registry
from p11conform.model.oracle import Model
from p11conform.properties.run.blame import blame_any
from p11conform.properties.run.driver import Driver

pytestmark = [
    pytest.mark.module,
    pytest.mark.skipif(registry.obstacle("softhsm2") is not None, reason="needs SoftHSM2"),
]


@pytest.mark.parametrize("defect", PLANTED, ids=lambda x: x.name)
def test_a_planted_defect_is_blamed_on_the_call_that_has_it(compiled: Build, model: Model, defect: Planted) -> None:
    tested = planted(compiled("planted"), defect.name)
    try:
        with tested.open() as adapter:
            driver = Driver(model, tested.initial, adapter, tested.rights.policy, rights=tested.rights)
            assert driver.replay((INIT, OPEN)).failure is None or defect.name == "handle-zero"
            replay = driver.replay(defect.calls)
            failure = replay.failure
            assert failure is not None, [(call.function, seen.text) for call, seen in replay.steps]
            assert failure.call.function == defect.function
            lapse = blame_any(model, tested.initial, replay.steps, failure).lapse
            assert (lapse and (lapse.function, lapse.row)) == defect.lapse
    finally:
        tested.discard()
