"""A check by the workers of a dask cluster, and by several here, each with a token of its own."""

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from test_crew import plain

from p11conform import cli, cluster
from p11conform.adapters.modules import softhsm2
from p11conform.adapters.modules.module import Module
from p11conform.commands import check
from p11conform.exits import Exit, Failure
from p11conform.model.state import Pin
from p11conform.options import PIN, Opening

distributed = pytest.importorskip("distributed", reason="needs the extra: pip install 'p11conform[cluster]'")


DEFAULTS: Any = check.command.make_context("check", [__file__]).params
"""The options of a check of a library by path."""


@pytest.fixture
def at_end() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def mine(at_end: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Module:
    """SoftHSM with two tokens that are to be a stranger's."""
    if softhsm2.find() is None:
        pytest.skip("SoftHSM is not installed: install softhsm2")
    module = softhsm2.provision()
    at_end.callback(module.discard)
    for name, value in module.environment.items():
        monkeypatch.setenv(name, value)
    return module


def pin_of(module: Module) -> str:
    return module.binding.pins[Pin.USER.name].decode()


def two_workers(at_end: ExitStack, *, processes: bool) -> Any:
    """A scheduler and two workers on this machine."""
    at_end.callback(logging.getLogger("distributed").setLevel, logging.getLogger("distributed").level)
    return at_end.enter_context(
        distributed.LocalCluster(n_workers=2, processes=processes, threads_per_worker=1, dashboard_address=None)
    )


def checked(*arguments: str, code: tuple[int, ...] = (Exit.CONFORMS, Exit.FINDINGS), pin: str | None = None) -> Result:
    result = CliRunner().invoke(cli.main, ["check", *arguments], env={PIN: pin})
    assert result.exit_code in code, result.output
    return result


@pytest.mark.module
def test_the_workers_of_a_cluster_and_those_here_give_the_same_report(tmp_path: Path, at_end: ExitStack) -> None:
    if softhsm2.find() is None:
        pytest.skip("SoftHSM is not installed: install softhsm2")
    there = two_workers(at_end, processes=True).scheduler_address
    reports = []
    for name, how in (("here", ("--jobs", "2")), ("there", ("--cluster", there))):
        file = tmp_path / f"{name}.json"
        checked("softhsm2", "--calls", "1500", "--seconds", "600", "--json", str(file), *how)
        reports.append(plain(json.loads(file.read_text())))
        del reports[-1]["run"]["token"]["serial"]
    assert reports[0] == reports[1]
    assert reports[0]["run"]["jobs"] == 2
    assert reports[0]["findings"]


@pytest.mark.module
def test_each_worker_of_a_cluster_has_a_token_of_its_own_and_no_pin_is_logged(
    tmp_path: Path, at_end: ExitStack, mine: Module, caplog: pytest.LogCaptureFixture
) -> None:
    there = two_workers(at_end, processes=False).scheduler_address
    labels = [f"--token-label={label}" for label in mine.binding.labels]
    file = tmp_path / "report.json"
    how = ("--calls", "300", "--seconds", "600", "--json", str(file), "--cluster", there)
    pin = pin_of(mine)
    told = checked(mine.library, *labels, *how, pin=pin)
    census = json.loads(file.read_text())["run"]["token"]["census"]
    assert census == [f"{label}: 0 objects before, 0 after" for label in mine.binding.labels]
    assert f"'{pin}'" not in caplog.text + told.output
    one = checked(mine.library, labels[0], *how, code=(Exit.USAGE,))
    assert "a machine has 2 workers" in one.stderr.splitlines()[-1]


@pytest.mark.module
def test_a_token_that_a_cluster_cannot_use_is_said_in_a_line(
    at_end: ExitStack, mine: Module, caplog: pytest.LogCaptureFixture
) -> None:
    there = two_workers(at_end, processes=False).scheduler_address
    labels = [f"--token-label={label}" for label in mine.binding.labels]
    told = checked(mine.library, *labels, "--cluster", there, code=(Exit.UNUSABLE,), pin="Sesame-9999")
    assert told.stdout == ""
    assert "CKR_PIN_INCORRECT" in told.stderr.splitlines()[-1]
    assert "Sesame" not in told.output + caplog.text


def refused(*arguments: str) -> str:
    """The one line that a command line is refused with."""
    told = checked(*arguments, code=(Exit.USAGE,))
    (line,) = told.output.splitlines()
    return line


def test_where_dask_is_missing_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p11conform.commands.check.find_spec", lambda _: None)
    assert "pip install 'p11conform[cluster]'" in refused("softhsm2", "--cluster", "tcp://127.0.0.1:1")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "odd://x", ""])
def test_a_scheduler_that_does_not_answer_is_said_in_a_line(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT", 0.2)
    assert f"--cluster {address}: no scheduler" in refused("softhsm2", "--cluster", address)


def test_no_pin_crosses_a_network_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PIN, "1234")
    opening = Opening.of(__file__, DEFAULTS)
    cluster.see_that_pins_may_go("x", opening, ("tcp://127.0.0.1:1", "tls://192.0.2.1:1", "inproc://192.0.2.1/1"))
    with pytest.raises(Failure, match="in the clear"):
        cluster.see_that_pins_may_go("x", opening, ("tcp://127.0.0.1:1", "tcp://192.0.2.1:1"))
    assert "1234" not in repr(opening)


# Several tokens here.


@pytest.mark.module
def test_workers_here_have_the_tokens_that_are_named(tmp_path: Path, mine: Module) -> None:
    labels = [f"--token-label={label}" for label in mine.binding.labels]
    reports = []
    for jobs, tokens in ((2, labels), (1, labels[:1])):
        file = tmp_path / "report.json"
        how = ("--calls", "300", "--seconds", "600", "--jobs", str(jobs), "--json", str(file))
        checked(mine.library, *tokens, *how, pin=pin_of(mine))
        reports.append(plain(json.loads(file.read_text())))
        assert len(reports[-1]["run"]["token"]["census"]) == jobs
        del reports[-1]["run"]["token"]["census"], reports[-1]["run"]["jobs"]
    assert reports[0] == reports[1]
