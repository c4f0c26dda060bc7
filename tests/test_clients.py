"""Clients of other people, recorded on SoftHSM2 by other people's tools and by our shim, and judged."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from p11conform.adapters.logs import recorder
from p11conform.adapters.logs.registry import open_log
from p11conform.adapters.logs.step import Step
from p11conform.adapters.modules import softhsm2
from p11conform.adapters.modules.module import initialize_tokens
from p11conform.judging import Answer, Judge, Judged
from p11conform.model.oracle import Model
from p11conform.properties.engine.partial import Partial

pytestmark = pytest.mark.module

PIN, SO_PIN, LABEL = "2468013", "86420864", "recorded"
SPIES = ("/usr/lib/x86_64-linux-gnu/pkcs11-spy.so", "/usr/lib/x86_64-linux-gnu/pkcs11/pkcs11-spy.so")


@pytest.fixture(scope="module")
def partial(model: Model) -> Partial:
    return Partial(model)


@pytest.fixture(scope="module")
def library() -> str:
    found = softhsm2.find()
    if found is None:
        pytest.skip("SoftHSM2 is not installed: apt-get install softhsm2")
    return found


@pytest.fixture(scope="module")
def environment(library: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A token of our own."""
    home = tmp_path_factory.mktemp("token")
    _, given = softhsm2.configured(home)
    initialize_tokens(library, given, (LABEL,), SO_PIN.encode(), PIN.encode())
    return {**os.environ, **given}


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def run(command: list[str], env: Mapping[str, str], text: str | None = None) -> None:
    subprocess.run(command, env=dict(env), input=text, capture_output=True, text=True, check=False, timeout=120)


def spied(library: str, environment: Mapping[str, str], log: Path) -> None:
    """pkcs11-tool through pkcs11-spy."""
    needs("pkcs11-tool")
    spy = next((x for x in SPIES if Path(x).exists()), None)
    if spy is None:
        pytest.skip("pkcs11-spy is not installed: apt-get install opensc")
    env = {**environment, "PKCS11SPY": library, "PKCS11SPY_OUTPUT": str(log), "P11_PIN": PIN}
    tool = ["pkcs11-tool", "--module", spy, "--token-label", LABEL, "--login", "--pin", "env:P11_PIN"]
    run([*tool, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "01", "--label", "pair"], env)
    run([*tool, "--test"], env)


NAMESPACE = """
mount -t tmpfs none /etc && mount -t tmpfs none /usr/share/p11-kit/modules && mkdir -p /etc/pkcs11/modules &&
printf 'user-config: none\\nlog-calls: yes\\n' >/etc/pkcs11/pkcs11.conf &&
printf 'module: %s\\n' "$P11_LIBRARY" >/etc/pkcs11/modules/one.module || exit 77
p11tool --login --generate-privkey=ecdsa --curve secp256r1 --label made "pkcs11:token=$P11_LABEL" 2>>"$P11_LOG"
p11tool --login --test-sign "pkcs11:token=$P11_LABEL;object=made;type=private" 2>>"$P11_LOG"
"""


def logged(library: str, environment: Mapping[str, str], log: Path) -> None:
    """GnuTLS through p11-kit, which is made to load nothing but SoftHSM2."""
    needs("p11tool", "unshare")
    given = {"P11_LIBRARY": library, "P11_LABEL": LABEL, "P11_LOG": str(log), "GNUTLS_PIN": PIN}
    run(["unshare", "-rm", "sh", "-c", NAMESPACE], {**environment, **given}, "")
    if not log.exists():
        pytest.skip("no mount namespace of our own can be made here, or p11-kit does not log")


PYTHON = """
import os, sys
import PyKCS11
lib = PyKCS11.PyKCS11Lib()
lib.load(sys.argv[1])
slot = next(s for s in lib.getSlotList(tokenPresent=True) if lib.getTokenInfo(s).label.strip() == sys.argv[2])
session = lib.openSession(slot, PyKCS11.CKF_SERIAL_SESSION | PyKCS11.CKF_RW_SESSION)
session.login(os.environ["P11_PIN"])
common = [(PyKCS11.CKA_TOKEN, False), (PyKCS11.CKA_PRIVATE, True)]
public = common + [(PyKCS11.CKA_MODULUS_BITS, 2048), (PyKCS11.CKA_VERIFY, True)]
pub, priv = session.generateKeyPair(public, common + [(PyKCS11.CKA_SIGN, True), (PyKCS11.CKA_SENSITIVE, True)])
mechanism = PyKCS11.Mechanism(PyKCS11.CKM_SHA256_RSA_PKCS, None)
signature = session.sign(priv, b"data", mechanism)
session.verify(pub, b"data", signature, mechanism)
session.digest(b"data", PyKCS11.Mechanism(PyKCS11.CKM_SHA256, None))
for found in session.findObjects([(PyKCS11.CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY)]):
    session.getAttributeValue(found, [PyKCS11.CKA_CLASS, PyKCS11.CKA_SENSITIVE, PyKCS11.CKA_LABEL])
session.destroyObject(priv)
session.logout()
session.closeSession()
"""


def shimmed(library: str, environment: Mapping[str, str], log: Path) -> None:
    """PyKCS11 through our shim."""
    needs("cc")
    shim = log.with_suffix(".so")
    recorder.build(Path(library), shim, log)
    env = {**environment, "P11_PIN": PIN}
    subprocess.run([sys.executable, "-c", PYTHON, str(shim), LABEL], env=env, check=True, timeout=120)


CLIENTS: Mapping[str, Callable[[str, Mapping[str, str], Path], None]] = {
    "pkcs11-tool through pkcs11-spy": spied,
    "p11tool through p11-kit": logged,
    "PyKCS11 through the shim": shimmed,
}

WRONG = {"C_OpenSession": 0x60, "C_FindObjectsInit": 0xB3, "C_CloseSession": 0x82}
"""Functions whose last successful answer is altered, and the value that is put in its place."""


@pytest.fixture(scope="module", params=[*CLIENTS.values()], ids=[*CLIENTS])
def steps(
    request: pytest.FixtureRequest,
    library: str,
    environment: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Step]:
    log = tmp_path_factory.mktemp("log") / "calls"
    request.param(library, environment, log)
    return list(open_log(log).steps)


def violations(partial: Partial, steps: list[Step]) -> list[Judged]:
    return [x for x in Judge(partial).all(steps) if x.opinion.answer is Answer.NOT_PERMITTED]


def test_no_client_brings_about_a_false_alarm(partial: Partial, steps: list[Step]) -> None:
    assert len(steps) > 15
    assert [(x.number, x.step.function, x.opinion) for x in violations(partial, steps)] == []


def test_three_altered_answers_are_found_and_no_others(partial: Partial, steps: list[Step]) -> None:
    altered, wrong = list(steps), []
    for function, code in WRONG.items():
        n = max(n for n, x in enumerate(altered) if x.function == function and x.returned == 0)
        altered[n] = replace(altered[n], returned=code)
        wrong.append(n + 1)
    assert [x.number for x in violations(partial, altered)] == sorted(wrong)


def test_the_shim_writes_no_pin(library: str, environment: Mapping[str, str], tmp_path: Path) -> None:
    log = tmp_path / "calls"
    shimmed(library, environment, log)
    text = log.read_text(encoding="utf-8")
    assert PIN not in text
    assert json.loads(text.splitlines()[0])["schema"] == "p11conform.trace/1"
    assert oct(log.stat().st_mode & 0o777) == "0o600"
