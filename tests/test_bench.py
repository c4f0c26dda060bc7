"""The benchmark command: a figure a line, and those figures that do not depend on the machine."""

from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from p11conform import cli
from p11conform.adapters.base import ModuleUnusable
from p11conform.adapters.modules import softhsm2
from p11conform.commands import bench


def test_each_figure_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "MEASURES", {"one": lambda: iter([("a", 0.5), ("b", 1234.5)]), "two": bench.tour_calls})
    result = CliRunner().invoke(cli.main, ["bench"])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == ["a: 0.500", "b: 1234"]
    name, _, ratio = result.stdout.splitlines()[2].partition(": ")
    assert name == "tour_calls_vs_lower_bound"
    assert 1.0 <= float(ratio) <= 1.15


def test_a_missing_module_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Iterator[tuple[str, float]]:
        raise ModuleUnusable("SoftHSM is not installed; install softhsm2")
        yield

    monkeypatch.setattr(bench, "MEASURES", {"it": missing})
    result = CliRunner().invoke(cli.main, ["bench"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "install softhsm2" in result.stderr


def test_the_oracle_is_measured_with_and_without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "STEPS", 3000)
    monkeypatch.setattr(bench, "LOOPS", 1)
    figures = dict(bench.oracle_steps())
    assert figures.keys() == {"oracle_steps_memoised_per_s", "oracle_steps_cold_per_s"}
    assert figures["oracle_steps_memoised_per_s"] > figures["oracle_steps_cold_per_s"] > 0


def test_deaths_are_measured_on_a_module_that_needs_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "DEATHS", 3)
    ((name, milliseconds),) = bench.deaths()
    assert name == "death_cost_ms"
    assert milliseconds > 0


@pytest.mark.module
def test_putting_back_is_measured_on_a_token_by_path(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def check(*arguments: str, **environment: str) -> tuple[dict[str, Any], float]:
        asked.append(arguments)
        assert {"SOFTHSM2_CONF", "P11CONFORM_PIN", "P11CONFORM_SO_PIN"} == set(environment)
        return {"run": {"restores": {"share": 0.25}}}, 0.0

    if softhsm2.find() is None:
        pytest.skip("SoftHSM is not installed")
    monkeypatch.setattr(bench, "_check", check)
    assert list(bench.restoring()) == [("restore_share", 0.25)]
    assert asked[0][0] == softhsm2.find()
    assert "--allow-destructive" in asked[0]
