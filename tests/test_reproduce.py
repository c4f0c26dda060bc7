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
from p11conform.adapters.script import steps
from p11conform.adapters.script_c import Told, c_program
from p11conform.adapters.script_python import python_program
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


def programs(c: str, python: str, directory: Path) -> Iterator[list[str]]:
    """The two programs, ready to be run."""
    (directory / "it.py").write_text(python)
    yield [sys.executable, str(directory / "it.py")]
    compiler = shutil.which("cc")
    if compiler is not None:
        (directory / "it.c").write_text(c)
        built = directory / "it"
        command = (compiler, "-Wall", "-Wextra", "-Werror", "-o", built, directory / "it.c", "-ldl")
        subprocess.run(command, check=True)
        yield [str(built)]


@pytest.mark.module
@pytest.mark.parametrize("trace", TRACES.values(), ids=list(TRACES))
def test_both_programs_do_what_the_trace_has(
    trace: list[tuple[Call, str]], token: dict[str, str], tmp_path: Path
) -> None:
    written = steps(trace)
    told = Told(("about",), ())
    for command in programs(c_program(written, told), python_program(written, told), tmp_path):
        ran = subprocess.run([*command, softhsm2.find() or ""], env=token, capture_output=True, text=True)
        assert ran.returncode == 1, ran.stdout + ran.stderr
        assert ran.stdout.splitlines()[-1] == "the divergence shows"


@pytest.mark.module
def test_what_does_not_show_is_told(token: dict[str, str], tmp_path: Path) -> None:
    written = steps([(INIT, OK), (OPEN, OK), (LOGIN, "CKR_PIN_INCORRECT")])
    for command in programs(c_program(written, TOLD), python_program(written, TOLD), tmp_path):
        ran = subprocess.run([*command, softhsm2.find() or ""], env=token, capture_output=True, text=True)
        assert (ran.returncode, ran.stdout.splitlines()[-1]) == (0, "it does not show")
        unset = {name: value for name, value in token.items() if name != "P11CONFORM_PIN"}
        asked = subprocess.run([*command, softhsm2.find() or ""], env=unset, capture_output=True, text=True)
        assert (asked.returncode, "set P11CONFORM_PIN" in asked.stderr) == (2, True)


def test_every_call_can_be_written() -> None:
    for f in build().functions.values():
        plain = next(f.calls(State()))
        written = steps([(INIT, OK), (OPEN, OK), (plain, OK)])
        assert "PIN\\x00" not in c_program(written, TOLD)
        compile(python_program(written, TOLD), f.name, "exec")


@pytest.mark.parametrize(("language", "holds"), [("c", "f->C_Logout("), ("python", "f.C_Logout(")])
def test_a_finding_is_written_as_a_program(language: str, holds: str, report: dict[str, Any], tmp_path: Path) -> None:
    file, program = tmp_path / "report.json", tmp_path / "program"
    file.write_text(json.dumps(report))
    ran = CliRunner().invoke(main, ["reproduce", str(file), "F-2781001a", "--as", language, "-o", str(program)])
    assert ran.exit_code == 0, ran.output
    assert holds in program.read_text()
    assert "F-2781001a, missing error" in program.read_text()
    unknown = CliRunner().invoke(main, ["reproduce", str(file), "F-00000000"])
    assert (unknown.exit_code, "its ids: F-2781001a" in unknown.stderr) == (2, True)
