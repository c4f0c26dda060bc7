"""A module with a practice is found to be right; one with the breach beside it, see `test_breaches`, is found out.

All of them are made to do the same pieces of work: those of one check of the simulated module.
"""

import pytest
from pieces import CALLS, failures, named

from p11conform.adapters.honest import PRACTICES, Behaviour, Practice


@pytest.mark.parametrize("practice", PRACTICES, ids=named)
def test_an_honest_module_is_right(practice: Practice) -> None:
    *failed, (made, _) = failures(practice.honest, CALLS)
    assert [(f.function, f.seen, f.cause) for _, f in failed if f is not None] == []
    assert made >= CALLS


def test_there_are_twenty_and_more_and_each_does_something() -> None:
    assert len({practice.name for practice in PRACTICES}) >= 20
    assert all(practice.honest != practice.breach != Behaviour() for practice in PRACTICES)
