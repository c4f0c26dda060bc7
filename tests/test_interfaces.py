"""Compiled modules with interfaces: which list is called, and that none is called beyond its end."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from p11conform.adapters.base import Binding, ModuleUnusable
from p11conform.adapters.isolated import Isolated, Kind
from p11conform.adapters.library import INTERFACES, interface_of, list_version, listed
from p11conform.adapters.measure import Measured
from p11conform.adapters.modules import registry
from p11conform.model.call import Args, Call, Ending, Interface
from p11conform.model.interface import COVERED, SIGNATURES
from p11conform.model.oracle import build
from p11conform.model.state import Object, Pin, State
from p11conform.model.table import TABLE
from p11conform.model.vocabulary import CKR, Version
from p11conform.properties.reports.results import report_json
from p11conform.properties.run.campaign import Results
from p11conform.properties.run.tally import Tally
from p11conform.subject import own_module

Compiled = Callable[..., str]
VENDOR, OLD = 0x80000000, 0x80000000 + 1000
V2_40, V3_0 = Version.V2_40, Version.V3_0
READ = """
import json, sys
from p11conform.adapters.base import ModuleUnusable
from p11conform.adapters.cryptoki import ffi
from p11conform.adapters.library import load, offered
from p11conform.model.vocabulary import Version
wanted = Version(sys.argv[2]) if sys.argv[2:] else None
try:
    functions = load(sys.argv[1], wanted)
    told = {n: f and ffi.cast("CK_RV (*)(void)", f)() for n, f in functions.items()}
except ModuleUnusable as error:
    told = str(error)
json.dump([told, [str(v) for v in offered(sys.argv[1])]], sys.stdout)
"""


def read(library: str, *version: str) -> tuple[dict[str, int | None] | str, list[str]]:
    """What each function of a list returns, or why there is none, and the versions that the module offers."""
    package = Path(sys.modules["p11conform"].__path__[0]).parent
    command = (sys.executable, "-c", READ, library, *version)
    environment = {**os.environ, "PYTHONPATH": str(package)}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    told, offered = json.loads(ran.stdout)
    return told, offered


def test_each_version_has_the_functions_of_the_model() -> None:
    for version in COVERED:
        assert {*listed(version)} == {name for name, x in SIGNATURES.items() if version in x.listed}
    assert [interface_of(v) for v in COVERED] == [v if v in INTERFACES else None for v in COVERED]
    assert interface_of(V2_40) is None


def test_a_module_is_called_through_the_list_of_the_version(compiled: Compiled) -> None:
    library = compiled("interfaces", OFFERED=300, LENGTH=92)
    told, offered = read(library, "3.0")
    assert isinstance(told, dict)
    assert [*told.values()] == [VENDOR + place for place in range(92)]
    assert told["C_GetInterfaceList"] == VENDOR + 68
    assert offered == ["3.0"]
    told, _ = read(library)
    assert isinstance(told, dict)
    assert [*told.values()] == [OLD + place for place in range(68)], "v2.40 and older have the old list"


@pytest.mark.parametrize(("version", "length"), [("3.1", 92), ("3.2", 104)])
def test_longer_lists_belong_to_later_versions(compiled: Compiled, version: str, length: int) -> None:
    """Behind the last pointer of a list there is no memory, so that whoever read on would die."""
    number = 100 * int(version[0]) + int(version[2])
    library = compiled("interfaces", OFFERED=number, LENGTH=length)
    told, offered = read(library, version)
    assert isinstance(told, dict)
    assert [*told.values()] == [VENDOR + place for place in range(length)]
    assert offered == [version]
    told, _ = read(library, "3.0")
    assert isinstance(told, str), "a list of another version is not called"


def measured(interfaces: Sequence[str] = (), announced: Sequence[str] | None = None, first: str = "2.40") -> Measured:
    said = interfaces if announced is None else announced
    return Measured(first, "", "", "1.0", (), tuple(map(Version, interfaces)), tuple(said), first)


@pytest.mark.parametrize(
    ("module", "version"),
    [
        (measured(), "2.40"),
        (measured(["3.0"]), "3.0"),
        (measured(["3.0", "3.2"]), "3.2"),
        (measured(["3.0", "3.2"], ["3.0", ""]), "3.0"),
        (measured(["3.0"], [""]), "2.40"),
        (measured(["3.0"], ["2.40"]), "3.0"),
        (measured(["3.0"], first="2.20"), "3.0"),
        (measured(first="2.20"), "2.20"),
        (measured(first="2.11"), "2.01"),
        (measured(first="2.30"), "2.20"),
        (measured(first="2.1"), "2.01"),
        (measured(first="3.0"), "2.40"),
        (measured(first="0.0"), "2.40"),
    ],
)
def test_a_module_is_of_the_version_of_its_interface_or_its_list(module: Measured, version: str) -> None:
    """What a list says is of no use beyond v2.40."""
    assert str(module.version) == version


@pytest.mark.parametrize(
    ("listed", "announced", "held_to"),
    [
        ("2.1", "2.20", "2.20"),
        ("2.40", "2.20", "2.40"),
        ("2.20", "3.0", "2.20"),
        ("", "2.20", "2.40"),
    ],
)
def test_without_an_interface_the_later_of_what_the_list_and_c_get_info_say_counts(
    listed: str, announced: str, held_to: str
) -> None:
    """By an older version than the one that a module says it is of it might be accused of what came since."""
    assert str(Measured(announced, "", "", "", (), list_version=listed).version) == held_to


def test_an_announced_version_that_is_not_that_of_the_interface_is_told() -> None:
    module, model = measured(["3.0"], ["2.40"]), build(V3_0)
    results = Results(model, (), Tally(), 0, 0.0)
    assert module.announces(V3_0) == "2.40"
    about = {"name": "x", "adapter": "raw", "cryptoki_version": module.announces(V3_0)}
    (told,) = report_json(results, about)["notes"]
    assert told == {"kind": "announces version", "about": "2.40, not 3.0", "functions": ["C_GetInfo"]}
    assert report_json(results, {**about, "cryptoki_version": "3.0"})["notes"] == []


def test_what_a_list_says_of_its_version_is_read(compiled: Compiled) -> None:
    assert [list_version(compiled("interfaces", OFFERED=300, LENGTH=92, FIRST=f)) for f in (220, 0)] == [
        (2, 20),
        (0, 0),
    ]


@pytest.mark.module
@pytest.mark.parametrize(("name", "version"), [("nss", V3_0), ("softhsm2", V2_40)])
def test_a_real_module_is_held_to_its_own_version(name: str, version: Version) -> None:
    if registry.provider(name).obstacle() is not None:
        pytest.skip(f"needs {name}")
    tested = own_module(name, Kind.RAW, 10.0, newest=True)
    try:
        assert tested.version is version
        assert tested.about["cryptoki_version"] == str(version)
    finally:
        tested.discard()


def test_null_pointers_are_known_as_such(compiled: Compiled) -> None:
    told, _ = read(compiled("interfaces", OFFERED=300, LENGTH=92, EVERY=2), "3.0")
    assert isinstance(told, dict)
    assert [*told.values()] == [None if place % 2 else VENDOR + place for place in range(92)]


@pytest.mark.parametrize(
    ("macros", "why"),
    [
        ({"OFFERED": 240, "LENGTH": 68}, "C_GetInterface gives CKR_ARGUMENTS_BAD for version 3.0"),
        ({"OFFERED": 302, "LENGTH": 104}, "C_GetInterface gives CKR_ARGUMENTS_BAD for version 3.0"),
        ({"OFFERED": 300, "SAID": 240, "LENGTH": 68}, "a list of version 2.40 for 3.0"),
        ({"OFFERED": 300, "SAID": 0, "LENGTH": 0}, "a list of version 0.0 for 3.0"),
        ({"OFFERED": 300, "SAID": 302, "LENGTH": 68}, "a list of version 3.2 for 3.0"),
        ({"OFFERED": 300, "LENGTH": 92, "LIE": 1}, "without the name or without a list"),
        ({"OFFERED": 300, "LENGTH": 92, "LIE": 2}, "without the name or without a list"),
        ({"OFFERED": 300, "LENGTH": 92, "LIE": 3}, "CKR_OK and a NULL interface"),
        ({"OFFERED": 300, "LENGTH": 92, "LIE": 4}, "C_GetInterface gives CKR_ARGUMENTS_BAD"),
        ({"OFFERED": 300, "LENGTH": 92, "NO_INTERFACES": 1}, "has no C_GetInterface"),
    ],
)
def test_what_is_no_interface_of_the_version_is_not_called(
    compiled: Compiled, macros: dict[str, int], why: str
) -> None:
    library = compiled("interfaces", **macros)
    told, _ = read(library, "3.0")
    assert isinstance(told, str)
    assert why in told
    assert "choose --spec 2.40" in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("macros", "offered"),
    [
        ({"OFFERED": 240, "LENGTH": 68}, []),
        ({"OFFERED": 300, "LENGTH": 92, "LIE": 1}, []),
        ({"OFFERED": 300, "LENGTH": 92, "LIE": 2}, []),
        ({"OFFERED": 399, "LENGTH": 92}, []),
        ({"OFFERED": 300, "LENGTH": 92, "NO_INTERFACES": 1}, []),
    ],
)
def test_only_what_can_be_called_counts_as_offered(
    compiled: Compiled, macros: dict[str, int], offered: list[str]
) -> None:
    assert read(compiled("interfaces", **macros))[1] == offered


def test_a_module_under_test_is_called_through_its_interface(compiled: Compiled) -> None:
    library = compiled("interfaces", OFFERED=300, LENGTH=92, EVERY=2)
    place = listed(V3_0).index
    with Isolated(Kind.RAW, library, Binding((1,), interface=V3_0)) as module:
        module.reset(False)
        assert module.supports(Call("C_MessageSignFinal"))
        for name in ("C_MessageSignFinal", "C_SessionCancel", "C_MessageEncryptInit"):
            seen = module.call(Call(name))
            if place(name) % 2:
                assert seen.ending is Ending.ABSENT
            else:
                assert seen.code == VENDOR + place(name)
    with Isolated(Kind.RAW, library, Binding((1,))) as module:
        assert not module.supports(Call("C_MessageSignFinal"))
        assert module.supports(Call("C_Logout"))


@pytest.mark.parametrize(
    ("version", "offered", "macros"),
    [
        ("2.01", "3.2", {"FIRST": 302}),
        ("2.20", "3.0", {"FIRST": 0}),
        ("2.40", "3.2", {"FIRST": 302}),
        ("2.40", "3.0", {"NO_INTERFACES": 1}),
        ("3.0", "3.0", {}),
        ("3.1", "3.1", {}),
        ("3.2", "3.2", {}),
        ("3.0", "3.0", {"EVERY": 3}),
        ("3.2", "3.2", {"EVERY": 2, "FIRST": 220}),
    ],
)
def test_every_function_of_a_list_is_called_and_none_beyond_it(
    compiled: Compiled, version: str, offered: str, macros: dict[str, int]
) -> None:
    """Whatever the list of C_GetFunctionList says of its version, and whatever interfaces there are beside it."""
    held, there = Version(version), Version(offered)
    major, minor = there.number
    library = compiled("interfaces", OFFERED=100 * major + minor, LENGTH=len(listed(there)), **macros)
    first, names = VENDOR if held in INTERFACES else OLD, listed(held)
    places = {name: first + n for n, name in enumerate(names) if n % macros.get("EVERY", 1) == 0}
    pins = {pin.name: b"1234" for pin in Pin}
    with Isolated(Kind.RAW, library, Binding((1,), pins=pins, interface=interface_of(held))) as module:
        module.reset(False)
        calls = [Call(name) for name in TABLE]
        assert {call.function for call in calls if module.supports(call)} == {*names}
        seen = {call.function: module.call(call) for call in calls if module.supports(call)}
    assert {name: x.code for name, x in seen.items() if x.ending is Ending.RETURNED} == places
    assert {x.ending for name, x in seen.items() if name not in places} <= {Ending.ABSENT}


def test_functions_of_v3_2_are_called_with_all_that_they_take(compiled: Compiled) -> None:
    """Each call reaches the function at its place in the list; arguments that C would not take would raise."""
    library, model = compiled("interfaces", OFFERED=302, LENGTH=104), build(Version.V3_2)
    scope, place = State(objects=(Object(),) * 3), listed(Version.V3_2).index
    came = [f for f in model.functions.values() if f.signature.since is Version.V3_2]
    with Isolated(Kind.RAW, library, Binding((1,), objects=3, interface=Version.V3_2)) as module:
        module.reset(False)
        for f in came:
            calls = [x for x in replace(f, deviations=1).calls(scope) if module.supports(x)]
            assert {module.call(x).code for x in calls} == {VENDOR + place(f.name)}, f.name
    assert len(came) == 12


def test_a_module_without_the_interface_cannot_be_tested(compiled: Compiled) -> None:
    with pytest.raises(ModuleUnusable, match="choose --spec"):
        Isolated(Kind.RAW, compiled("interfaces", OFFERED=240, LENGTH=68), Binding((1,), interface=V3_0))


@pytest.mark.module
def test_softokn_gives_the_interface_that_was_asked_for() -> None:
    provider = registry.provider("nss")
    if provider.obstacle() is not None:
        pytest.skip("needs NSS softokn")
    module = provider.provision()
    try:
        binding = replace(module.binding, interface=V3_0)
        with Isolated(Kind.RAW, module.library, binding, module.environment) as adapter:
            adapter.reset(False)
            own = adapter.call(Call("C_GetInterface"))
            assert (own.code, own.outputs) == (CKR.OK, (("matches", 1),))
            unknown = adapter.call(Call("C_GetInterface", Args(interface=Interface.UNKNOWN_VERSION)))
            assert unknown.code != CKR.OK
            assert adapter.call(Call("C_GetInterfaceList")).code == CKR.OK
    finally:
        module.discard()
