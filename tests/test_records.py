"""A kind of object and a function are records: what follows from one that is added by its records alone."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import p11conform

KIND = {
    "model/kinds.py": (r"    EC_PRIVATE = 7\n", "    SHA256_HMAC = 90\n"),
    "model/attributes.py": (
        r"        KindFacts\(Kind\.EC_PRIVATE, .*\n",
        '        KindFacts(Kind.SHA256_HMAC, Class.SECRET_KEY, "4.10", 0x2B, guarded=True),\n',
    ),
}
"""Where a record goes in: after what, and the record."""

OF_KIND = """
import json
from dataclasses import replace
from p11conform.adapters.templates import CKA, Way, can_have, template
from p11conform.commands.tables import page
from p11conform.model.call import Args, Attribute, Call
from p11conform.model.oracle import build, permitted, successors
from p11conform.model.rule import Guarded
from p11conform.model.state import Kind, Login, Mech, Object, Origin, Session, Slot, State, Trait
from p11conform.model.vocabulary import CKR
from p11conform.properties.proofs.checks import Outcome, prove_together
from p11conform.properties.proofs.invariants import invariants
from p11conform.properties.proofs.symbolic import System
from p11conform.properties.search.setups import situations

NEW = Kind.SHA256_HMAC
model = build()
start = State(True, (Slot(login=Login.USER),), (Session(True, 0, True), Session()), (Object(), Object()))
unused = State(False, (Slot(),), (Session(),) * 2, (Object(),) * 3)
(made,) = successors(model, start, Call("C_CreateObject", Args(kind=NEW)), CKR.OK)
read = Call("C_GetAttributeValue", Args(attribute=Attribute.VALUE))
few = {name: model.functions[name] for name in ("C_CreateObject", "C_GetAttributeValue")}
system = System(replace(model, functions=few), start)
(hidden,) = (r.when for r in few["C_GetAttributeValue"].rules if r.code == CKR.ATTRIBUTE_SENSITIVE)
more = {name: model.functions[name] for name in ("C_Initialize", "C_OpenSession", "C_DestroyObject", "C_Finalize")}
claimed = {i.name: i.predicate for i in invariants(model)}
one = State(False, (Slot(),), (Session(),), (Object(),))
proofs = prove_together(System(replace(model, functions=few | more), one), claimed)
hidden_and_new = Guarded(hidden, lambda s, a: s.objects[a.object].kind == NEW)
found = system.meeting(system.space(), "C_GetAttributeValue", [hidden_and_new])


def names(codes):
    return sorted(code.name for code in codes)


def holding(**given):
    return replace(start, objects=(Object(True, True, NEW, **given), Object()))


bytes_of = {way.name: dict(template(way, NEW, b"x", token=False, private=False, trait=Trait.PLAIN))
            for way in (Way.CREATE, Way.UNWRAP, Way.DERIVE)}
print(json.dumps({
    "offered": sorted(n for n, f in model.functions.items() if any(c.args.kind == NEW for c in f.calls(start))),
    "made": made.objects[0].kind.name,
    "looked at": any(x.args.kind == NEW for _, place in situations(model, unused) for x in place.way),
    "class and type": [(x[CKA.CLASS][0], x[CKA.KEY_TYPE][0]) for x in bytes_of.values()],
    "value": len(bytes_of["CREATE"][CKA.VALUE]),
    "guarded": can_have(NEW, Trait.SENSITIVE),
    "plain value": "OK" in names(permitted(model, holding(origin=Origin.IMPORTED), read)),
    "hidden value": "OK" in names(permitted(model, holding(trait=Trait.SENSITIVE), read)),
    "wrong key": "KEY_TYPE_INCONSISTENT" in names(permitted(
        model, holding(), Call("C_EncryptInit", Args(mechanism=Mech.AES_ECB)))),
    "proved": found is not None and CKR.OK not in permitted(model, *found),
    "lifted": [name for name in few if system.transition(name)],
    "invariants": len(proofs) > 30 and all(x.outcome is Outcome.PROVED for x in proofs.values()),
    "page": [line for line in page().splitlines() if line.startswith("| SHA256_HMAC |") and "0x2B" in line],
}))
"""

FUNCTION = {
    "model/interface.py": (
        r'    _f\(\n        "C_CancelFunction",(?:\n        .*)+\n    \),\n',
        '    _f("C_DigestXofFinal", "5.15", "CK_SESSION_HANDLE hSession", SESSION, "OPERATION_NOT_INITIALIZED"),\n',
    ),
    "model/chapters/parallel.py": (
        r'C_CANCEL_FUNCTION = _legacy\("C_CancelFunction"\)\n',
        """

def nothing_squeezed(s: State, a: Args) -> bool:
    return True


C_DIGEST_XOF_FINAL = Function(
    "C_DigestXofFinal",
    ("session",),
    (
        *SESSION,
        Rule(
            "nothing-squeezed",
            CKR.OPERATION_NOT_INITIALIZED,
            nothing_squeezed,
            "5.1.6 CKR_OPERATION_NOT_INITIALIZED",
            "There is no operation to end, for none was begun.",
        ),
    ),
    given=session_valid,
)
""",
    ),
}
"""C_DigestXofFinal of a draft of v3.3, which fails as long as nobody begins a digest, among functions like it."""

LISTED = ("model/chapters/parallel.py", "C_CANCEL_FUNCTION)", "C_CANCEL_FUNCTION, C_DIGEST_XOF_FINAL)")
IMPORTS = (
    ("model/chapters/parallel.py", "from .common import LIBRARY", "from .common import LIBRARY, SESSION"),
    ("model/chapters/parallel.py", "import session_invalid", "import session_invalid, session_valid"),
)

OF_FUNCTION = """
import json
from dataclasses import replace
from p11conform.adapters import raw
from p11conform.adapters.base import Binding
from p11conform.adapters.library import declaration
from p11conform.adapters.simulated import Simulated
from p11conform.commands.tables import page
from p11conform.model.call import Args, Call
from p11conform.model.chapters.conditions import session_valid
from p11conform.model.interface import SIGNATURES
from p11conform.model.oracle import build, permitted
from p11conform.model.state import Login, Object, Session, Slot, State
from p11conform.model.vocabulary import CKR
from p11conform.properties.proofs.checks import Outcome, prove_together
from p11conform.properties.proofs.invariants import invariants
from p11conform.properties.proofs.symbolic import System
from p11conform.properties.run.campaign import Budget, check
from p11conform.properties.search.setups import situations

NEW = "C_DigestXofFinal"
model = build()
start = State(True, (Slot(login=Login.USER),), (Session(True, 0, True), Session()), (Object(),))
unused = State(False, (Slot(),), (Session(),) * 2, (Object(),))
few = {name: model.functions[name] for name in ("C_Initialize", "C_OpenSession", "C_Finalize", NEW)}
small = replace(model, functions=few)
row = next(r for r in few[NEW].rules if r.id == "nothing-squeezed")
system = System(small, start)
found = system.meeting(system.space(), NEW, [session_valid, row.when])
claimed = {i.name: i.predicate for i in invariants(model)}
proofs = prove_together(System(small, State(False, (Slot(),), (Session(),), (Object(),))), claimed)
given = []


def called(*words):
    given.append(words)
    return CKR.OPERATION_NOT_INITIALIZED


raw.load = lambda *_: {name: called if name == NEW else lambda *_: CKR.OK for name in SIGNATURES}
adapter = raw.Raw("scripted", Binding((5,)))
results = check(small, unused, Simulated(small.without(NEW, row), unused), budget=Budget(calls=2000, seconds=600))
print(json.dumps({
    "permitted": sorted(code.name for code in permitted(model, start, Call(NEW))),
    "closed": "SESSION_HANDLE_INVALID" in {c.name for c in permitted(model, start, Call(NEW, Args(session=1)))},
    "looked at": sum(NEW in place.functions for _, place in situations(model, unused)) > 5,
    "supported": adapter.supports(Call(NEW)),
    "called": adapter.call(Call(NEW)).code == CKR.OPERATION_NOT_INITIALIZED and len(given[0]) == 1,
    "declared": "(*C_DigestXofFinal)(CK_SESSION_HANDLE" in declaration("L", [NEW]),
    "findings": sorted({name for f in results.findings for name in f.functions}),
    "sound": len(check(small, unused, Simulated(small, unused), budget=Budget(calls=2000, seconds=600)).findings),
    "proved": found is not None and CKR.OK not in permitted(model, *found),
    "lifted": [name for name in few if system.transition(name)],
    "invariants": len(proofs) > 30 and all(x.outcome is Outcome.PROVED for x in proofs.values()),
    "page": [line for line in page().splitlines() if NEW in line and line.startswith("#")],
    "row": [line for line in page().splitlines() if "nothing-squeezed" in line] != [],
}))
"""


def added(home: Path, records: Mapping[str, tuple[str, str]], program: str, *changes: tuple[str, str, str]) -> Any:
    """What a program says of the package with more records in it."""
    package = home / "p11conform"
    shutil.copytree(Path(p11conform.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name, (before, record) in records.items():
        text = (package / name).read_text()
        (found,) = re.findall(before, text)
        (package / name).write_text(text.replace(found, found + record))
    for name, old, new in changes:
        text = (package / name).read_text()
        assert old in text
        (package / name).write_text(text.replace(old, new))
    environment = {**os.environ, "PYTHONPATH": str(home)}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_kind_added_by_its_record_alone_is_whole(tmp_path: Path) -> None:
    """Keys for HMAC are created, unwrapped and derived, looked at, guarded, lifted and shown."""
    assert added(tmp_path, KIND, OF_KIND) == {
        "offered": ["C_CreateObject", "C_DeriveKey", "C_UnwrapKey"],
        "made": "SHA256_HMAC",
        "looked at": True,
        "class and type": [[4, 0x2B]] * 3,
        "value": 20,
        "guarded": True,
        "plain value": True,
        "hidden value": False,
        "wrong key": True,
        "proved": True,
        "lifted": ["C_CreateObject", "C_GetAttributeValue"],
        "invariants": True,
        "page": ["| SHA256_HMAC | SECRET_KEY | 0x2B | value guarded | 4.10 |"],
    }


def test_a_function_added_by_its_records_alone_is_whole(tmp_path: Path) -> None:
    """C_DigestXofFinal is called, tried everywhere, judged, found out where it lies, lifted and shown."""
    assert added(tmp_path, FUNCTION, OF_FUNCTION, LISTED, *IMPORTS) == {
        "permitted": ["OPERATION_NOT_INITIALIZED"],
        "closed": True,
        "looked at": True,
        "supported": True,
        "called": True,
        "declared": True,
        "findings": ["C_DigestXofFinal"],
        "sound": 0,
        "proved": True,
        "lifted": ["C_Initialize", "C_OpenSession", "C_Finalize", "C_DigestXofFinal"],
        "invariants": True,
        "page": ["## C_DigestXofFinal"],
        "row": True,
    }
