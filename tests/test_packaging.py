"""The wheel holds the whole package, though its rooms stand at the top of the repository, and nothing else."""

from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]
ROOMS = ("model", "properties", "adapters")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    directory = tmp_path_factory.mktemp("wheel")
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(directory), versions=["standard"])
    return ZipFile(built)


HELD = {".py", ".jinja", ".json", ".c"}
"""How files of the rooms end: the code, the page of a report, its schema, and the shims that are built on demand."""


def test_the_wheel_holds_every_file_of_the_package_and_no_other(wheel: ZipFile) -> None:
    front = ROOT / "src" / "p11conform"
    files = [path.relative_to(front) for path in (*front.glob("*.py"), *(front / "commands").glob("*.py"))]
    files += [path.relative_to(ROOT) for room in ROOMS for path in (ROOT / room).rglob("*") if path.suffix in HELD]
    wanted = {f"p11conform/{path.as_posix()}" for path in (*files, Path("py.typed"))}
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == wanted


def test_the_rooms_are_links_in_the_source() -> None:
    front = ROOT / "src" / "p11conform"
    assert {room: (front / room).resolve() for room in ROOMS} == {room: ROOT / room for room in ROOMS}


def test_the_wheel_says_how_to_start_it_and_under_which_licence(wheel: ZipFile) -> None:
    about = {name.partition(".dist-info/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}
    assert "p11conform = p11conform.cli:main" in wheel.read(about["entry_points.txt"]).decode()
    metadata = wheel.read(about["METADATA"]).decode().splitlines()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert (ROOT / "LICENSE").read_bytes() == wheel.read(about["licenses/LICENSE"])
