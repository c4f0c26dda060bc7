"""A mechanism is one record: what is made of the records, and one that is added by its record alone."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import p11conform
from p11conform.adapters.values import plain, sealed, signature
from p11conform.model.mechanisms import FLAGS, MECHANISMS, NOT_FOLLOWED, NOUNS, Mech, Role, taking, with_role
from p11conform.model.state import Kind, Slot
from p11conform.model.vocabulary import Version
from p11conform.properties.proofs.lift import WIDTH

RECORD = "    AES_CMAC = 21, Mechanism(0x108A, _SIGN, *_AES, signature=16)\n"

ADDED = """
import json
from dataclasses import replace
from p11conform.adapters.parameters import MECHANISM
from p11conform.adapters.values import signature
from p11conform.model.call import Args, Call, Data, Parameter
from p11conform.model.chapters.signatures import signature_tampered_with
from p11conform.model.oracle import build, outputs, permitted, successors
from p11conform.model.state import Kind, Login, Mech, Object, Origin, Session, Slot, State
from p11conform.model.vocabulary import CKR
from p11conform.properties.proofs.checks import Outcome, prove_together
from p11conform.properties.proofs.invariants import invariants
from p11conform.properties.proofs.symbolic import System
from p11conform.properties.search.setups import situations
from p11conform.commands.tables import page

CMAC = Mech.AES_CMAC
model = build()
key = Object(True, True, Kind.AES, origin=Origin.GENERATED)
start = State(True, (Slot(login=Login.USER),), (Session(True, 0, True), Session()), (key, Object()))


def do(function, **given):
    return Call(function, Args(mechanism=CMAC, **given))


def after(s, call):
    (following,) = successors(model, s, call, CKR.OK)
    return following


sign, mac, verify = do("C_SignInit"), do("C_Sign"), do("C_VerifyInit")
signed = after(after(start, sign), mac)
verifying = after(signed, verify)


def names(codes):
    return sorted(code.name for code in codes)


calls = [*model.functions["C_SignInit"].calls(start), *model.functions["C_VerifyInit"].calls(start)]
four = {name: model.functions[name] for name in ("C_SignInit", "C_Sign", "C_VerifyInit", "C_Verify")}
system = System(replace(model, functions=four), start)


def by_cmac(s, a):
    return s.sessions[a.session].operations.verify.mechanism == CMAC and s.sessions[a.session].open


tampered = next(r.when for r in four["C_Verify"].rules if r.id == "signature-tampered-with")
found = system.meeting(system.space(), "C_Verify", [lambda s, a: a.session == 0 and by_cmac(s, a), tampered])
unused = State(False, (Slot(),), (Session(),) * 2, (Object(),) * 3)
more = {name: model.functions[name] for name in ("C_Initialize", "C_OpenSession", "C_CreateObject", "C_Finalize")}
claimed = {i.name: i.predicate for i in invariants(model)}
one = State(False, (Slot(),), (Session(),), (Object(),))
proofs = prove_together(System(replace(model, functions=four | more), one), claimed)
print(json.dumps({
    "offered": sorted({c.function for c in calls if c.args.mechanism == CMAC}),
    "looked at": any(
        x.args.mechanism == CMAC and x.function == "C_VerifyInit" for _, place in situations(model, unused)
        for x in place.way
    ),
    "number": int(MECHANISM[CMAC, Parameter.RIGHT].mechanism),
    "parameter": int(MECHANISM[CMAC, Parameter.RIGHT].ulParameterLen),
    "made up": len(signature(CMAC)),
    "length": dict(outputs(model, signed, mac, CKR.OK))["length"],
    "kept": names(permitted(model, verifying, do("C_Verify"))),
    "tampered": names(permitted(model, verifying, do("C_Verify", signature=Data.TAMPERED))),
    "cut": names(permitted(model, verifying, do("C_Verify", signature=Data.CUT))),
    "wrong key": "KEY_TYPE_INCONSISTENT" in names(permitted(
        model, replace(start, objects=(replace(key, kind=Kind.GENERIC_SECRET), Object())), sign)),
    "proved": found is not None and CKR.OK not in permitted(model, *found),
    "lifted": [name for name in four if system.transition(name)],
    "invariants": len(proofs) > 30 and all(x.outcome is Outcome.PROVED for x in proofs.values()),
    "page": [line for line in page().splitlines() if "AES_CMAC" in line],
}))
"""


def test_a_mechanism_added_by_its_record_alone_is_whole(tmp_path: Path) -> None:
    """AES_CMAC is offered, has a parameter and a length, is lifted and shown, and a tampered MAC never verifies."""
    package, compiled = Path(p11conform.__file__).parent, shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, tmp_path / "p11conform", ignore=compiled)
    records = tmp_path / "p11conform" / "model" / "mechanisms.py"
    text = records.read_text()
    (last,) = re.findall(r"^    EC_KEY_PAIR_GEN = .*\n", text, re.MULTILINE)
    records.write_text(text.replace(last, last + RECORD))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", ADDED], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen.pop("page") == [
        "| AES_CMAC | 0x108A | signing, verification | AES | signature of 16 bytes |",
    ]
    assert seen == {
        "offered": ["C_SignInit", "C_VerifyInit"],
        "looked at": True,
        "number": 0x108A,
        "parameter": 0,
        "made up": 16,
        "length": [16],
        "kept": ["OK"],
        "tampered": ["SIGNATURE_INVALID", "SIGNATURE_LEN_RANGE"],
        "cut": ["SIGNATURE_LEN_RANGE"],
        "wrong key": True,
        "proved": True,
        "lifted": ["C_SignInit", "C_Sign", "C_VerifyInit", "C_Verify"],
        "invariants": True,
    }


def test_records_agree_with_themselves() -> None:
    """A mechanism that takes a key takes it in a role, and one that makes an output has the length of it."""
    for m, facts in MECHANISMS.items():
        assert facts.mech is m
        assert not {*facts.roles} & {*facts.also}
        assert bool(facts.digest) == (Role.DIGEST in facts.roles)
        assert bool(facts.ciphertext) == bool({Role.ENCRYPT, Role.ENCAPSULATE} & {*facts.roles})
        assert bool(facts.signature) == (Role.SIGN in facts.roles)
        assert not facts.varied or facts.parameter
    assert len({m.facts.number for m in Mech}) == len(Mech) == len(MECHANISMS) + 1
    assert all(m.value < 1 << WIDTH for m in Mech), "small numbers, so that they lift"
    assert all((m.value > 100) == (not m.facts.since <= Version.V2_40) for m in Mech), "each block has its own numbers"


def test_tables_are_made_of_the_records() -> None:
    assert with_role(Role.DIGEST) == (Mech.SHA_1, Mech.SHA256, Mech.SHA3_256)
    assert taking(Role.ENCRYPT, Kind.RSA_PUBLIC) == (Mech.RSA_PKCS, Mech.RSA_X_509, Mech.RSA_PKCS_OAEP)
    assert Mech.AES_KEY_WRAP in NOT_FOLLOWED[Role.ENCRYPT]
    assert {*FLAGS} == {*NOUNS} == {*Role}
    assert Slot().mechanisms == tuple(MECHANISMS)
    assert (Mech.ECDSA, Role.VERIFY) in Slot().abilities


def test_what_an_application_makes_up_has_the_lengths_of_the_records() -> None:
    assert [len(signature(m)) for m in with_role(Role.SIGN)] == [m.facts.signature for m in with_role(Role.SIGN)]
    assert all(len(sealed(m)) % m.facts.block == 0 for m in with_role(Role.DECRYPT))
    assert [len(plain(m)) for m in (Mech.RSA_X_509, Mech.UNKNOWN)] == [256, 32]
