"""Attributes and kinds: what follows from their records."""

from collections.abc import Iterator
from typing import cast

import pytest

from p11conform.adapters.templates import types
from p11conform.commands import tables
from p11conform.model import attributes
from p11conform.model.attributes import ATTRIBUTES, GUARDED_KEYS, KEYS, KINDS, PAIRS, AttributeFacts, possesses
from p11conform.model.call import Args, Attribute, Call
from p11conform.model.decide import forbids_ok
from p11conform.model.oracle import build, permitted, ruling
from p11conform.model.state import Kind, Login, Object, Session, Slot, State, Trait
from p11conform.model.vocabulary import CKR

OTHERS = [kind for kind in Kind if kind not in GUARDED_KEYS]


@pytest.fixture
def always_sensitive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Attribute]:
    """CKA_ALWAYS_SENSITIVE, which the model does not know, by its member and its record."""
    new = int.__new__(Attribute, len(Attribute))
    new._name_, new._value_ = "ALWAYS_SENSITIVE", len(Attribute)
    monkeypatch.setitem(Attribute._member_map_, "ALWAYS_SENSITIVE", new)
    monkeypatch.setitem(Attribute._value2member_map_, int(new), new)
    monkeypatch.setattr(Attribute, "_member_names_", [*Attribute._member_names_, "ALWAYS_SENSITIVE"])
    record = AttributeFacts(new, 0x165, GUARDED_KEYS, "4.9 CKA_ALWAYS_SENSITIVE", read_only=True, boolean=True)
    monkeypatch.setitem(cast(dict[Attribute, AttributeFacts], attributes.ATTRIBUTES), new, record)
    types.cache_clear()
    yield new
    types.cache_clear()


def holding(kind: Kind, trait: Trait = Trait.PLAIN) -> State:
    objects = (Object(True, True, kind, trait=trait), Object())
    return State(True, (Slot(login=Login.USER),), (Session(True, 0, True),), objects)


def must(s: State, call: Call) -> set[CKR]:
    return {r.code for r in ruling(build(), s, call).rules if forbids_ok(r)}


def advised(s: State, call: Call) -> set[CKR]:
    return {r.code for r in ruling(build(), s, call).rules if r.strength.value == "should"}


def test_an_attribute_is_added_by_its_record(always_sensitive: Attribute) -> None:
    read = Call("C_GetAttributeValue", Args(attribute=always_sensitive))
    change = Call("C_SetAttributeValue", Args(attribute=always_sensitive))
    copy = Call("C_CopyObject", Args(attribute=always_sensitive))
    for kind in GUARDED_KEYS:
        assert possesses(kind, always_sensitive)
        assert must(holding(kind), read) == set()
        assert advised(holding(kind), change) == {CKR.ATTRIBUTE_READ_ONLY}
        assert advised(holding(kind), copy) == {CKR.ATTRIBUTE_READ_ONLY}
        assert types(always_sensitive, kind) == (0x165,)
    for kind in OTHERS:
        assert CKR.OK not in permitted(build(), holding(kind), read)
        assert must(holding(kind), read) == {CKR.ATTRIBUTE_TYPE_INVALID}
    assert always_sensitive in build().functions["C_GetAttributeValue"].domain("attribute", holding(Kind.AES))
    kinds = ", ".join(kind.name for kind in GUARDED_KEYS)
    assert f"| ALWAYS_SENSITIVE | 0x165 | {kinds} | read only |" in tables.page()


def test_every_attribute_and_kind_has_a_record() -> None:
    assert set(ATTRIBUTES) == set(Attribute)
    assert set(KINDS) == set(Kind)
    assert {x.attribute for x in ATTRIBUTES.values()} == set(Attribute)


def test_only_keys_are_guarded_or_paired() -> None:
    assert set(GUARDED_KEYS) <= set(KEYS)
    assert {kind for pair in PAIRS for kind in pair} <= set(KEYS)
    assert all(KINDS[one].key_type == KINDS[other].key_type for one, other in PAIRS)
