"""A module with the breach beside a practice is found out; see `test_honest`."""

import pytest
from pieces import Composed, failures, named

from p11conform.adapters.honest import PRACTICES, Practice


@pytest.mark.parametrize("practice", PRACTICES, ids=named)
def test_a_breach_is_found(practice: Practice) -> None:
    assert any(f.function == practice.shown for _, f in failures(practice.breach, sort=Composed) if f is not None)
