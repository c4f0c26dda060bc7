"""Programs that show a finding: they compile alone, run, and hold no PIN."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from p11conform.adapters.modules import softhsm2
from p11conform.adapters.modules.module import initialize_tokens
from p11conform.adapters.script import NotReached, Step, Told, Wanted, steps
from p11conform.adapters.script_c import c_program
from p11conform.adapters.script_cffi import CFFI
from p11conform.adapters.script_pkcs11_tool import tool_script
from p11conform.adapters.script_python import program_on, python_program
from p11conform.cli import main
from p11conform.model.call import Call, read_call
from p11conform.model.oracle import build
from p11conform.model.state import State
from p11conform.model.vocabulary import CKR

PIN, SO_PIN = "pin of mine", "so pin of mine"
TOLD = Told(("what it is",), ("CKR_OK",))


def call(function: str, **given: object) -> Call:
    return read_call(function, given)


INIT, OPEN = call("C_Initialize"), call("C_OpenSession")
LOGIN, LOGOUT = call("C_Login"), call("C_Logout")
KEY = call("C_GenerateKey", mechanism="GENERIC_SECRET_KEY_GEN")
OK = str(CKR.OK)
SIGNED = [
    (INIT, OK),
    (OPEN, OK),
    (LOGIN, OK),
    (KEY, OK),
    (call("C_SignInit", mechanism="SHA256_HMAC"), OK),
    (call("C_Sign"), OK),
    (call("C_VerifyInit", mechanism="SHA256_HMAC"), OK),
]
AES = call("C_GenerateKey", mechanism="AES_KEY_GEN")
TRACES = {
    "a signature with a bit flipped": [*SIGNED, (call("C_Verify", signature="TAMPERED"), "CKR_SIGNATURE_INVALID")],
    "a signature that is right": [*SIGNED, (call("C_Verify", signature="KEPT"), OK)],
    "a buffer too short": [(INIT, OK), (call("C_GetSlotList", buffer="SHORT"), "CKR_BUFFER_TOO_SMALL")],
    "an attribute too short": [
        (INIT, OK),
        (OPEN, OK),
        (call("C_CreateObject", kind="DATA"), OK),
        (call("C_GetAttributeValue", attribute="LABEL", buffer="SHORT"), "CKR_BUFFER_TOO_SMALL"),
    ],
    "a wrong PIN": [(INIT, OK), (OPEN, OK), (call("C_Login", pin="WRONG"), "CKR_PIN_INCORRECT")],
    "mutexes of ours": [(call("C_Initialize", init="CALLBACKS"), OK), (OPEN, OK), (LOGOUT, OK)],
    "a ciphertext of two parts": [
        (INIT, OK),
        (OPEN, OK),
        (AES, OK),
        (call("C_EncryptInit", mechanism="AES_CBC"), OK),
        (call("C_EncryptUpdate"), OK),
        (call("C_EncryptFinal"), OK),
        (call("C_DecryptInit", mechanism="AES_CBC"), OK),
        (call("C_Decrypt", data="KEPT"), OK),
    ],
    "a parameter that points": [
        (INIT, OK),
        (OPEN, OK),
        (AES, OK),
        (call("C_EncryptInit", mechanism="AES_GCM"), OK),
    ],
}
"""Sequences, each with what SoftHSM 2 does: all that a program has to carry from call to call is in one of them."""


@pytest.fixture
def token(tmp_path: Path) -> dict[str, str]:
    library = softhsm2.find()
    if library is None:
        pytest.skip("SoftHSM is not installed")
    (tmp_path / "tokens").mkdir()
    conf = tmp_path / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    initialize_tokens(library, {"SOFTHSM2_CONF": str(conf)}, ("mine",), SO_PIN.encode(), PIN.encode())
    return os.environ | {"SOFTHSM2_CONF": str(conf), "P11CONFORM_PIN": PIN, "P11CONFORM_SO_PIN": SO_PIN}


def programs(written: tuple[Step, ...], told: Told, directory: Path) -> Iterator[list[str]]:
    """The programs, ready to be run: on PyKCS11 where that reaches, on cffi, and in C."""
    pythons = {python_program(written, told), program_on(CFFI, "cffi", written, told)}
    for n, python in enumerate(sorted(pythons)):
        (directory / f"it{n}.py").write_text(python)
        yield [sys.executable, str(directory / f"it{n}.py")]
    compiler = shutil.which("cc")
    if compiler is not None:
        (directory / "it.c").write_text(c_program(written, told))
        built = directory / "it"
        command = (compiler, "-Wall", "-Wextra", "-Werror", "-o", built, directory / "it.c", "-ldl")
        subprocess.run(command, check=True)
        yield [str(built)]


def ran(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A program run on SoftHSM."""
    return subprocess.run([*command, softhsm2.find() or ""], env=environment, capture_output=True, text=True)


@pytest.mark.module
@pytest.mark.parametrize("trace", TRACES.values(), ids=list(TRACES))
def test_all_programs_do_what_the_trace_has(
    trace: list[tuple[Call, str]], token: dict[str, str], tmp_path: Path
) -> None:
    for command in programs(steps(trace), Told(("about",), ()), tmp_path):
        done = ran(command, token)
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == "the divergence shows"


def test_python_is_on_pykcs11_where_that_passes_on_what_is_given() -> None:
    reached = {name for name, trace in TRACES.items() if "PyKCS11.\n" in python_program(steps(trace), TOLD)}
    assert reached == {
        "a signature with a bit flipped",
        "a signature that is right",
        "a wrong PIN",
        "a ciphertext of two parts",
    }


@pytest.mark.module
def test_what_does_not_show_is_told(token: dict[str, str], tmp_path: Path) -> None:
    written = steps([(INIT, OK), (OPEN, OK), (LOGIN, "CKR_PIN_INCORRECT")])
    for command in programs(written, TOLD, tmp_path):
        done = ran(command, token)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "it does not show")
        asked = ran(command, {name: value for name, value in token.items() if name != "P11CONFORM_PIN"})
        assert (asked.returncode, "set P11CONFORM_PIN" in asked.stderr) == (2, True)


DATA = call("C_CreateObject", kind="DATA")
FIND, FOUND = call("C_FindObjectsInit"), call("C_FindObjects")
INFO, TOKEN_INFO, LABEL = (
    call("C_GetSessionInfo"),
    call("C_GetTokenInfo"),
    call("C_GetAttributeValue", attribute="LABEL"),
)
SECRET = call("C_GenerateKey", mechanism="AES_KEY_GEN", trait="SENSITIVE")
HALF_SECRET = call("C_GetAttributeValue", attribute="VALUE")
UNLIKELY = call("C_CreateObject", kind="AES", flaw="UNKNOWN_TYPE")
OUTPUTS = [
    ("state", 3, [OPEN, LOGIN, INFO]),
    ("flags", 6, [OPEN, INFO]),
    ("slot", 0, [OPEN, INFO]),
    ("token_present", 1, [call("C_GetSlotInfo")]),
    ("initialized", 1, [TOKEN_INFO]),
    ("user_pin_initialized", 1, [TOKEN_INFO]),
    ("rw_sessions", -1, [OPEN, TOKEN_INFO]),
    ("length", 2, [call("C_GetSlotList", buffer="NULL")]),
    ("slots", 3, [call("C_GetSlotList")]),
    ("handle", 1, [OPEN, OPEN]),
    ("handle", 1, [OPEN, DATA, DATA]),
    ("found", 3, [OPEN, DATA, DATA, FIND, FOUND]),
    ("strangers", 1, [OPEN, DATA, (UNLIKELY, "CKR_ATTRIBUTE_TYPE_INVALID"), FIND, FOUND]),
    ("count", 1, [OPEN, DATA, DATA, FIND, call("C_FindObjects", many="ONE")]),
    ("value", 0, [OPEN, DATA, LABEL]),
    ("value", 1, [OPEN, DATA, call("C_SetAttributeValue", attribute="LABEL"), LABEL]),
    ("given", 0, [OPEN, SECRET, (HALF_SECRET, "CKR_ATTRIBUTE_SENSITIVE")]),
]
"""Outputs that a finding may be about, with what SoftHSM gives; it keeps an object that it did not create."""


@pytest.mark.module
@pytest.mark.parametrize(("name", "right", "calls"), OUTPUTS, ids=[f"{x[0]}-{x[1]}" for x in OUTPUTS])
def test_an_output_decides_where_the_answer_does_not(
    name: str, right: int, calls: list[Call | tuple[Call, str]], token: dict[str, str], tmp_path: Path
) -> None:
    trace = [(INIT, OK), *(x if isinstance(x, tuple) else (x, OK) for x in calls)]
    right_alone = Told(("about",), ("CKR_OK",), Wanted(name, (right,)))
    *others, last = programs(steps(trace), right_alone, tmp_path)
    for command in (others[0], last):
        done = ran(command, token)
        assert (done.returncode, f"{name}: {right}" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.module
def test_an_output_that_is_not_permitted_is_the_divergence(token: dict[str, str], tmp_path: Path) -> None:
    told = Told(("about",), ("CKR_OK",), Wanted("state", at_least=4))
    for command in programs(steps([(INIT, OK), (OPEN, OK), (INFO, OK)]), told, tmp_path):
        done = ran(command, token)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "the divergence shows")


@pytest.mark.module
def test_pkcs11_tool_says_what_it_can(token: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("pkcs11-tool") is None:
        pytest.skip("pkcs11-tool is not installed")
    for observed, code in (("CKR_PIN_INCORRECT", 1), ("CKR_PIN_LOCKED", 0)):
        script = tool_script([(INIT, OK), (OPEN, OK), (call("C_Login", pin="WRONG"), observed)], TOLD)
        (tmp_path / "it.sh").write_text(script)
        done = ran(["sh", str(tmp_path / "it.sh")], token)
        assert done.returncode == code, done.stdout + done.stderr


def test_pkcs11_tool_is_not_made_to_say_what_it_cannot() -> None:
    for trace in ([*SIGNED, (call("C_Verify"), "CKR_DATA_INVALID")], [(INIT, OK), (OPEN, OK), (LOGIN, OK)]):
        with pytest.raises(NotReached):
            tool_script(trace, TOLD)
    by_env = tool_script([(INIT, OK), (OPEN, OK), (LOGIN, OK), (FIND, "CKR_DATA_INVALID")], TOLD)
    assert "--pin env:P11CONFORM_PIN --list-objects" in by_env


@pytest.mark.module
def test_every_finding_of_softhsm_shows_in_its_programs(token: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    checked = CliRunner().invoke(main, ["check", "softhsm2", "--calls", "5000", "--json", str(file)])
    assert checked.exit_code == 1, checked.output
    report = json.loads(file.read_text())
    ids = [x["id"] for f in report["findings"] for x in (f, *f["symptoms"][1:])]
    assert len(ids) >= 3
    for id in ids:
        for language, start in (("python", [sys.executable]), ("c", [])):
            program = tmp_path / f"{id}.{language}"
            made = CliRunner().invoke(main, ["reproduce", str(file), id, "--as", language, "-o", str(program)])
            assert made.exit_code == 0, made.output
            if language == "c":
                source = program.rename(program.with_suffix(".source.c"))
                subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-o", program, source, "-ldl"], check=True)
            done = ran([*start, str(program)], token)
            assert (done.returncode, done.stdout.splitlines()[-1:]) == (1, ["the divergence shows"]), done.stdout


def test_every_call_can_be_written() -> None:
    for f in build().functions.values():
        plain = next(f.calls(State()))
        written = steps([(INIT, OK), (OPEN, OK), (plain, OK)])
        assert "PIN\\x00" not in c_program(written, TOLD)
        compile(python_program(written, TOLD), f.name, "exec")
        compile(program_on(CFFI, "cffi", written, TOLD), f.name, "exec")


@pytest.mark.parametrize(("language", "holds"), [("c", "f->C_Logout("), ("python", "lib.C_Logout(")])
def test_a_finding_is_written_as_a_program(language: str, holds: str, report: dict[str, Any], tmp_path: Path) -> None:
    file, program = tmp_path / "report.json", tmp_path / "program"
    file.write_text(json.dumps(report))
    ran = CliRunner().invoke(main, ["reproduce", str(file), "F-2781001a", "--as", language, "-o", str(program)])
    assert ran.exit_code == 0, ran.output
    assert holds in program.read_text()
    assert "F-2781001a, missing error" in program.read_text()
    unknown = CliRunner().invoke(main, ["reproduce", str(file), "F-00000000"])
    assert (unknown.exit_code, "its ids: F-2781001a" in unknown.stderr) == (2, True)
