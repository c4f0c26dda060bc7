"""Every module of the registry: it starts from nothing, is used, put back and taken down without a trace."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psutil
import pytest
from click.testing import CliRunner
from conftest import adapter_of
from left import mounted, processes, running, still_running

from p11conform.adapters import private
from p11conform.adapters.base import ModuleUnusable
from p11conform.adapters.isolated import Isolated
from p11conform.adapters.modules import provider as provider_module
from p11conform.adapters.modules import registry, softhsm2
from p11conform.adapters.modules.daemon import Daemon
from p11conform.adapters.modules.module import Module
from p11conform.adapters.modules.provider import Need, Provider, Site
from p11conform.cli import main
from p11conform.model.call import Args, Call
from p11conform.model.state import Pin
from p11conform.model.vocabulary import CKR

ROOT = Path(__file__).parents[1]

OPEN, LOGIN, FIND = Call("C_OpenSession"), Call("C_Login"), Call("C_FindObjectsInit")
MAKE = Call("C_CreateObject")

MAKES: Final[Mapping[str, CKR]] = {"tpm2": CKR.ATTRIBUTE_VALUE_INVALID}
"""What C_CreateObject of a session object gives to the user where it does not succeed."""


@pytest.fixture(params=registry.OWN, ids=lambda provider: provider.name)
def provider(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    if (obstacle := found.obstacle()) is not None:
        pytest.skip(f"{found.name}: {obstacle}")
    return found


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory for temporary files, which must be empty again, with nothing running there or mounted."""
    mounts = mounted()
    with TemporaryDirectory(prefix="t") as name:  # short, as it holds sockets
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)
        assert still_running(Path(name)) == []
        assert list(Path(name).iterdir()) == []
    assert mounted() == mounts


def answers(adapter: Isolated, module: Module, *calls: Call) -> list[str]:
    """What calls return after a fresh start; those that the adapter cannot make are left out."""
    adapter.reset(False)
    made = [call for call in (module.binding.initialize, *calls) if adapter.supports(call)]
    return [adapter.call(call).text for call in made]


def use(module: Module) -> list[str]:
    """Information, a login of the user and a session object, if the token has a user; else a search."""
    with closing(adapter_of(module)) as adapter:
        return answers(adapter, module, Call("C_GetInfo"), OPEN, LOGIN, MAKE if module.binding.pins else FIND)


def expected(name: str, module: Module) -> list[str]:
    last = str(MAKES.get(name, CKR.OK))
    return [str(CKR.OK)] * 4 + [last] if module.binding.pins else [str(CKR.OK)] * 4


@pytest.mark.module
def test_a_module_starts_and_is_taken_down_without_a_trace_three_times(provider: Provider, place: Path) -> None:
    for _ in range(3):
        module = provider.provision()
        try:
            assert module.name == provider.name
            assert use(module) == expected(provider.name, module)
        finally:
            module.discard()
        assert running(place) == []
        assert list(place.iterdir()) == []


@pytest.mark.module
@pytest.mark.usefixtures("place")
def test_two_of_one_kind_stand_side_by_side(provider: Provider) -> None:
    with ExitStack() as stack:
        modules = [provider.provision() for _ in range(2)]
        for module in modules:
            stack.callback(module.discard)
        adapters = [stack.enter_context(closing(adapter_of(module))) for module in modules]
        for adapter, module in zip(adapters, modules, strict=True):
            seen = answers(adapter, module, OPEN, LOGIN)
            assert seen == [str(CKR.OK)] * len(seen)
        # The login of the one is none in the other.
        if modules[0].binding.pins:
            assert adapters[0].call(Call("C_Logout")).code == CKR.OK
            assert adapters[1].call(Call("C_Logout")).code == CKR.OK


@pytest.mark.module
@pytest.mark.usefixtures("place")
def test_a_token_is_put_back(provider: Provider) -> None:
    module = provider.provision()
    try:
        if Pin.USER.name not in module.binding.pins:
            pytest.skip(f"{provider.name} has no PIN that could be changed")
        changed = Call("C_SetPIN", Args(pin=Pin.USER, new_pin=Pin.OTHER))
        wrong = Call("C_Login", Args(pin=Pin.WRONG))
        with closing(adapter_of(module)) as adapter:
            for _ in range(2):
                assert answers(adapter, module, OPEN, LOGIN, changed)[-1] == str(CKR.OK)
                assert answers(adapter, module, OPEN, LOGIN)[-1] == str(CKR.PIN_INCORRECT)
                answers(adapter, module, OPEN, *([wrong] * 5))
                adapter.reset(True)
                assert answers(adapter, module, OPEN, LOGIN)[-1] == str(CKR.OK)
    finally:
        module.discard()


@pytest.mark.module
def test_what_ended_is_started_again_when_the_token_is_put_back(provider: Provider, place: Path) -> None:
    module = provider.provision()
    try:
        daemons = [p for p in processes(place) if p.pid == os.getpgid(p.pid)]
        if not daemons:
            pytest.skip(f"{provider.name} has no daemon")
        killed = [p for p in daemons if p.name() not in HOLDERS]
        for process in killed:
            os.killpg(process.pid, signal.SIGKILL)
        while any(process.status() != psutil.STATUS_ZOMBIE for process in killed):
            time.sleep(0.001)
        module.restore()
        assert use(module) == expected(provider.name, module)
    finally:
        module.discard()


HOLDERS: Final = ("sleep",)
"""Programs that only keep a namespace."""


TESTER: Final = """
    import sys, time
    from p11conform.adapters.modules import registry
    module = registry.provider(sys.argv[1]).provision()
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.mark.module
def test_what_a_killed_tester_had_started_ends_and_the_next_start_works(provider: Provider, place: Path) -> None:
    with subprocess.Popen(
        (sys.executable, "-c", textwrap.dedent(TESTER), provider.name),
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        text=True,
    ) as tester:
        assert tester.stdout is not None
        assert tester.stdout.readline() == "ready\n"
        assert running(place)
        tester.send_signal(signal.SIGKILL)
    module = provider.provision()
    try:
        assert use(module) == expected(provider.name, module)
    finally:
        module.discard()
    assert still_running(place) == []
    assert len(private.sweep()) == 1


def listed() -> str:
    result = CliRunner().invoke(main, ("modules",), env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.stdout


def unlike(change: Callable[[Provider], Provider], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all of our own modules changed."""
    monkeypatch.setattr(registry, "OWN", tuple(change(own) for own in registry.OWN))


NOWHERE: Final = Need("no-such-package", ("/no/such/file", "no-such-program"))


def test_what_is_missing_is_listed_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    unlike(lambda own: replace(own, library=NOWHERE, others=(Need("another", ("/no",)), NOWHERE)), monkeypatch)
    text = listed()
    assert all(own.name in text for own in registry.OWN)
    assert "not installed; apt-get install no-such-package another" in text
    assert text.splitlines()[-1] == "to have all of them: apt-get install no-such-package another"
    for arguments, code in ((("check", "nss"), 3), (("check", "all"), 3), (("profile", "nss"), 3)):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == code
        assert result.stdout == ""
        assert result.stderr.splitlines()[-1].startswith("p11conform: ")


@pytest.mark.module
def test_all_stands_for_every_module_that_is_installed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = [own for own in registry.OWN if own.obstacle() is None][:2]
    if not here:
        pytest.skip("no module is installed")
    nowhere = replace(registry.OWN[0], name="nowhere", library=NOWHERE)
    monkeypatch.setattr(registry, "OWN", (*here, nowhere))
    result = CliRunner().invoke(main, ("check", "all", "--calls", "200", "--jobs", "2", "--json", str(tmp_path)))
    assert result.exit_code in (0, 1), result.output
    assert "left out: nowhere: not installed; apt-get install no-such-package" in result.stderr
    reports = {path.stem: json.loads(path.read_text()) for path in tmp_path.iterdir()}
    assert {own.name: own.name for own in here} == {name: report["module"]["name"] for name, report in reports.items()}
    assert all(report["calls"] >= 200 for report in reports.values())
    assert result.exit_code == any(report["findings"] for report in reports.values())
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--json", "no/such/directory"), "no such directory"),
        (("--profile", "x"), "one module"),
        (("--slot", "1"), "--slot"),
    ],
)
def test_what_makes_no_sense_for_all_is_refused(
    options: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlike(lambda own: replace(own, library=Need("", (sys.executable,)), others=()), monkeypatch)
    result = CliRunner().invoke(main, ("check", "all", *options))
    assert result.exit_code == 2
    assert says in result.stderr


def test_what_needs_root_says_so_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Need("a-package", (sys.executable,))
    unlike(lambda own: replace(own, library=here, others=(), root=True), monkeypatch)
    monkeypatch.setattr(provider_module, "privileged", lambda: False)
    assert "run as root" in listed()
    with pytest.raises(ModuleUnusable, match="needs root"):
        registry.provider("nss").provision()


def test_what_a_provider_began_is_taken_down_where_it_fails(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_library: str, site: Site) -> Module:
        Daemon(site, ("sleep", "600"))
        assert running(place)
        raise ModuleUnusable("no more")

    unlike(lambda own: replace(own, library=Need("", (sys.executable,)), others=(), build=fails), monkeypatch)
    with pytest.raises(ModuleUnusable, match="no more"):
        registry.provider("nss").provision()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Installs a package that adds a module by a name and an object reference."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "a_package"))
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, reference: str) -> None:
        info = tmp_path / "mine-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[p11conform.modules]\n{name} = {reference}\n")
        registry.added.cache_clear()

    yield install
    registry.added.cache_clear()


@pytest.mark.module
@pytest.mark.usefixtures("place")
def test_another_package_adds_a_module(package: Callable[[str, str], None]) -> None:
    if (obstacle := softhsm2.PROVIDER.obstacle()) is not None:
        pytest.skip(f"softhsm2: {obstacle}")
    package("mine", "mine:PROVIDER")
    assert "a module of mine" in listed()
    result = CliRunner().invoke(main, ("check", "mine", "--calls", "300", "--jobs", "2"))
    assert result.exit_code in (0, 1), result.output
    assert result.stdout.startswith("mine 2.")


@pytest.mark.parametrize(
    ("name", "reference", "why"),
    [
        ("mine", "mine:NOTHING", "does not load: AttributeError"),
        ("mine", "nothing:PROVIDER", "does not load: ModuleNotFoundError"),
        ("mine", "mine:build", "is no Provider of the name mine"),
        ("other", "mine:PROVIDER", "is no Provider of the name other"),
    ],
)
def test_a_package_that_is_at_fault_is_named(
    package: Callable[[str, str], None], name: str, reference: str, why: str
) -> None:
    package(name, reference)
    assert f"{reference} of mine {why}" in listed()
    result = CliRunner().invoke(main, ("check", name))
    assert result.exit_code == 3
    assert why in result.stderr


def test_no_package_takes_the_name_of_one_of_ours(package: Callable[[str, str], None]) -> None:
    package("nss", "mine:PROVIDER")
    assert "a module of mine" not in listed()
