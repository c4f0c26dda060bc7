"""Short sequences that come before all others: what the text promises of every output, and of every key.

An application that asks for a length, and gives a buffer of that, gets its output (5.2). What protects a key does so
for good, and a call that fails has changed nothing.
"""

from collections.abc import Iterator

from ...model.call import Attribute, Buffer, Call, Data, Setting, altered
from ...model.mechanisms import MECHANISMS, Role
from ...model.oracle import Model, in_scope
from ...model.state import Mech, State, Trait
from .setups import AES, BEGIN, FUNCTIONS_OF, USER, Way, begun, follow, known, plain

_CHECKING = (Role.VERIFY, Role.VERIFY_RECOVER)
_SENSITIVE, _UNEXTRACTABLE, _LIMITED = (
    plain("C_GenerateKey", mechanism=Mech.AES_KEY_GEN, trait=trait)
    for trait in (Trait.SENSITIVE, Trait.UNEXTRACTABLE, Trait.LIMITED)
)


def stories(model: Model, initial: State) -> Iterator[Way]:
    """The sequences whose way the text lets succeed in a scope, and whose last call is for this model."""
    for way in _stories(initial):
        *before, last = way
        s = follow(model, initial, before)
        if s is not None and known(model, last) and in_scope(model, s, last):
            yield way


def _stories(initial: State) -> Iterator[Way]:
    yield from _of_keys()
    for way, last in _with_output(initial):
        for buffer in (Buffer.EXACT, Buffer.SHORT):
            yield (*way, altered(last, buffer=buffer))
        yield (*way, altered(last, buffer=Buffer.NULL), last)


def _of_keys() -> Iterator[Way]:
    for key, attribute in ((_SENSITIVE, Attribute.SENSITIVE), (_UNEXTRACTABLE, Attribute.EXTRACTABLE)):
        yield (*USER, key, plain("C_SetAttributeValue", attribute=attribute, setting=Setting.BACK))
    yield (*USER, *AES, plain("C_SetAttributeValue", attribute=Attribute.SEVERAL), plain("C_GetAttributeValue"))
    yield (*USER, _LIMITED, plain("C_EncryptInit", mechanism=Mech.AES_CBC))


def _with_output(initial: State) -> Iterator[tuple[Way, Call]]:
    """Ways to the calls that give output, by the first mechanism of each kind of operation that a token has."""
    yield BEGIN[:1], plain("C_GetSlotList")
    yield BEGIN[:1], plain("C_GetMechanismList")
    digest = plain("C_DigestInit", mechanism=Mech.SHA256)
    yield (*BEGIN, digest), plain("C_Digest")
    yield (*BEGIN, digest, plain("C_DigestUpdate")), plain("C_DigestFinal")
    yield (*BEGIN, digest), plain("C_GetOperationState")
    yield (*USER, *AES, *AES), plain("C_WrapKey", mechanism=Mech.AES_KEY_WRAP, other_key=1)
    offered = {mech for slot in initial.slots for mech in slot.mechanisms}
    for role in FUNCTIONS_OF:
        first = next((m for m in MECHANISMS.values() if m.mech in offered and role in m.roles), None)
        if first is None or role in _CHECKING or role is Role.DIGEST:
            continue
        _, whole, *parts = FUNCTIONS_OF[role]
        way = begun(first, role)
        data = {"data": Data.KEPT} if role is Role.DECRYPT else {}
        yield way, plain(whole, **data)
        if parts:
            part, last = parts
            yield (*way, plain(part, **data)), plain(last)
            if role in (Role.ENCRYPT, Role.DECRYPT):
                yield way, plain(part, **data)
