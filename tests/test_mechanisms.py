"""A mechanism is one record: what is made of the records, and one that is added by its record alone."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import p11conform
from p11conform.adapters.measure import MeasuredSlot
from p11conform.adapters.values import plain, sealed, signature
from p11conform.model.attributes import PLAIN_KINDS, class_of, one_of_each_class
from p11conform.model.call import Args, Call, Parameter
from p11conform.model.mechanisms import FLAGS, MECHANISMS, NOT_FOLLOWED, NOUNS, Mech, Role, taking, with_role
from p11conform.model.oracle import build, outputs, permitted
from p11conform.model.state import Kind, Login, Object, Origin, Session, Slot, State
from p11conform.model.vocabulary import CKR
from p11conform.properties.proofs.lift import WIDTH
from p11conform.subject import slot_facts

RECORD = "    AES_GMAC = 120, Mechanism(0x108E, _SIGN, *_AES, signature=16)\n"

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
from p11conform.model.attributes import class_of
from p11conform.commands.tables import page

GMAC = Mech.AES_GMAC
model = build()
key = Object(True, True, Kind.AES, origin=Origin.GENERATED)
start = State(True, (Slot(login=Login.USER),), (Session(True, 0, True), Session()), (key, Object()))


def do(function, **given):
    return Call(function, Args(mechanism=GMAC, **given))


def after(s, call):
    (following,) = successors(model, s, call, CKR.OK)
    return following


sign, mac, verify = do("C_SignInit"), do("C_Sign"), do("C_VerifyInit")
signed = after(after(start, sign), mac)
verifying = after(signed, verify)


def names(codes):
    return sorted(code.name for code in codes)


four = {name: model.functions[name] for name in ("C_SignInit", "C_Sign", "C_VerifyInit", "C_Verify")}
system = System(replace(model, functions=four), start)


def by_gmac(s, a):
    return s.sessions[a.session].operations.verify.mechanism == GMAC and s.sessions[a.session].open


tampered = next(r.when for r in four["C_Verify"].rules if r.id == "signature-tampered-with")
more = {name: model.functions[name] for name in ("C_Initialize", "C_OpenSession", "C_CreateObject", "C_Finalize")}
claimed = {i.name: i.predicate for i in invariants(model)}
one = State(False, (Slot(),), (Session(),), (Object(),))
proofs = prove_together(System(replace(model, functions=four | more), one), claimed)
found = system.meeting(system.space(), "C_Verify", [lambda s, a: a.session == 0 and by_gmac(s, a), tampered])
print(json.dumps({
    "offered": sorted(
        f.name for f in model.functions.values()
        if "Message" not in f.name and "mechanism" in f.uses and GMAC in f.domain("mechanism", start)
    ),
    "alike": [m.name for m in Mech if class_of(m, start.slots) == class_of(GMAC, start.slots)],
    "number": int(MECHANISM[GMAC, Parameter.RIGHT].mechanism),
    "parameter": int(MECHANISM[GMAC, Parameter.RIGHT].ulParameterLen),
    "made up": len(signature(GMAC)),
    "length": dict(outputs(model, signed, mac, CKR.OK))["length"],
    "kept": names(permitted(model, verifying, do("C_Verify"))),
    "tampered": names(permitted(model, verifying, do("C_Verify", signature=Data.TAMPERED))),
    "cut": names(permitted(model, verifying, do("C_Verify", signature=Data.CUT))),
    "wrong key": "KEY_TYPE_INCONSISTENT" in names(permitted(
        model, replace(start, objects=(replace(key, kind=Kind.GENERIC_SECRET), Object())), sign)),
    "proved": found is not None and CKR.OK not in permitted(model, *found),
    "lifted": [name for name in four if system.transition(name)],
    "invariants": len(proofs) > 30 and all(x.outcome is Outcome.PROVED for x in proofs.values()),
    "page": [line for line in page().splitlines() if "AES_GMAC" in line],
}))
"""


def _plain_mac(m: Mech) -> bool:
    """Whether it is a MAC by a block cipher, of a length of its own."""
    return m.facts.symmetric and not m.facts.parameter and Kind.GENERIC_SECRET not in m.facts.private


def test_a_mechanism_added_by_its_record_alone_is_whole(tmp_path: Path) -> None:
    """AES_GMAC is offered, has a parameter and a length, is lifted and shown, and a tampered MAC never verifies."""
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
        "| AES_GMAC | 0x108E | signing, verification | AES | signature of 16 bytes |",
    ]
    assert seen == {
        "offered": ["C_SignInit", "C_VerifyInit"],
        "alike": ["AES_GMAC", *(m.name for m in Mech if m.facts.roles == (Role.SIGN, Role.VERIFY) and _plain_mac(m))],
        "number": 0x108E,
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


def test_mechanisms_of_one_class_have_the_same_rows() -> None:
    """A search looks at one of a class only: so every call with another one has to be answered alike."""
    keys = tuple(Object(True, True, kind, origin=Origin.GENERATED) for kind in (Kind.AES, Kind.RSA_PUBLIC))
    s = State(True, (Slot(login=Login.USER),), (Session(True, 0, True),), (*keys, Object()))
    model = build()
    chosen = {class_of(m, s.slots): m for m in one_of_each_class(Mech, s.slots)}
    others = [
        (m, c) for m in Mech if (c := chosen[class_of(m, s.slots)]) is not m and m.facts.private == c.facts.private
    ]
    assert len(others) > 40
    for name in ("C_DigestInit", "C_EncryptInit", "C_SignInit", "C_VerifyInit", "C_WrapKey", "C_DeriveKey"):
        uses = model.functions[name].uses
        for mech, stand_in in others:
            for key in range(len(keys)):
                for parameter in Parameter if "parameter" in uses else (Parameter.RIGHT,):
                    mine, theirs = (
                        permitted(model, s, Call(name, Args(mechanism=m, key=key, parameter=parameter, other_key=0)))
                        for m in (mech, stand_in)
                    )
                    assert mine == theirs, (name, mech, stand_in)


def test_a_search_has_one_mechanism_of_each_class_and_plain_kinds_of_key() -> None:
    initial = State(slots=(Slot(),), objects=(Object(),) * 3)
    calls = tuple(build().functions["C_SignInit"].calls(initial))
    classes = [class_of(m, initial.slots) for m in {c.args.mechanism for c in calls}]
    assert len({*classes}) == len(classes)
    assert {k for c in calls for k in c.args.mechanism.facts.private} <= {*PLAIN_KINDS}


def test_records_agree_with_themselves() -> None:
    """A mechanism that takes a key takes it in a role, and one that makes an output has the length of it."""
    for m, facts in MECHANISMS.items():
        assert facts.mech is m
        assert not {*facts.roles} & {*facts.also}
        assert bool(facts.digest) == (Role.DIGEST in facts.roles)
        assert bool(facts.ciphertext) == bool({Role.ENCRYPT, Role.ENCAPSULATE} & {*facts.roles})
        assert bool(facts.signature) == (Role.SIGN in facts.roles)
        assert not facts.varied or facts.parameter
    assert len({m.facts.number for m in Mech}) == len(Mech) == len(MECHANISMS) + 2
    assert len({m.value for m in Mech}) == len(Mech)
    assert all(0 <= m.value < 1 << WIDTH for m in Mech), "small numbers, so that they lift"


def test_tables_are_made_of_the_records() -> None:
    assert with_role(Role.DIGEST)[:2] == (Mech.SHA_1, Mech.SHA256)
    assert taking(Role.ENCRYPT, Kind.RSA_PUBLIC) == (Mech.RSA_PKCS, Mech.RSA_X_509, Mech.RSA_PKCS_OAEP)
    assert Mech.AES_KEY_WRAP in NOT_FOLLOWED[Role.ENCRYPT]
    assert {*FLAGS} == {*NOUNS} == {*Role}
    assert Slot().mechanisms == tuple(MECHANISMS)
    assert (Mech.ECDSA, Role.VERIFY) in Slot().abilities


def test_what_an_application_makes_up_has_the_lengths_of_the_records() -> None:
    assert [len(signature(m)) for m in with_role(Role.SIGN)] == [m.facts.signature for m in with_role(Role.SIGN)]
    assert all(len(sealed(m)) % m.facts.block == 0 for m in with_role(Role.DECRYPT))
    assert [len(plain(m)) for m in (Mech.RSA_X_509, Mech.UNKNOWN)] == [256, 32]


def test_a_list_is_no_longer_than_what_the_token_lists() -> None:
    """A mechanism of a later version, or without a record, has one that stands for it beside, which is none."""
    listed = (Mech.SHA256.facts.number, Mech.EDDSA.facts.number, 0x8000_0001)
    slot = MeasuredSlot(
        1, token_present=True, recognized=True, mechanisms=listed, mechanism_flags=(0x400, 0x800, 0x800)
    )
    s = State(True, (slot_facts(slot, slot, owned=True),))
    told = dict(outputs(build(), s, Call("C_GetMechanismList"), CKR.OK))["length"]
    assert (told[0], 2 in told, 3 in told) == (3, False, True)


def test_what_keys_a_mechanism_takes_where_it_is_not_followed_is_for_the_token_to_say() -> None:
    model = build()
    s = State(True, sessions=(Session(True, 0, True),), objects=(Object(True, True, Kind.EC_PUBLIC),))
    call = Call("C_WrapKey", Args(mechanism=Mech.AES_CBC))
    assert CKR.WRAPPING_KEY_TYPE_INCONSISTENT in permitted(model, s, call)
