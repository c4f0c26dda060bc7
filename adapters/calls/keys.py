"""Key management and random numbers (5.13, 5.14)."""

from collections.abc import Callable, Mapping
from typing import Final

from ...model.attributes import SECRET_KEYS
from ...model.call import Args, Buffer, Flaw, Parameter
from ...model.chapters.operations import TELLS_LENGTH
from ...model.state import Kind, Mech, Role
from ...model.vocabulary import CKR
from ..application import Application
from ..base import Binding
from ..buffers import into, limited
from ..cryptoki import CData, ffi
from ..kept import CAPSULE, SEALED, WRAPPED
from ..lane import LABEL, NULL, OTHER_LABEL, Lane
from ..memory import CAPACITY, Blank, Room, block, word
from ..parameters import mechanism
from ..templates import Way, template, without_required
from ..templates import number as ulong
from ..values import MADE_UP_BLOB, PART, given, sealed
from .concrete import Arguments, Concrete, Outputs, length, object_at, output, pointer, session
from .objects import New, can_be_made, makes, new_object, objects_made, template_words

_ELSE: Final = {Role.GENERATE: Mech.AES_KEY_GEN, Role.GENERATE_KEY_PAIR: Mech.EC_KEY_PAIR_GEN}
"""What a template is made for where the mechanism generates no such thing."""


def _kinds(role: Role, a: Args) -> tuple[Kind, ...]:
    """What the mechanism of a call generates in a role."""
    return (a.mechanism if role in a.mechanism.facts.roles else _ELSE[role]).facts.makes


def _using(app: Application, _lane: Lane, a: Args) -> Arguments:
    return session(app, a), mechanism(a)


def _generated(_app: Application, _lane: Lane, a: Args) -> tuple[New, ...]:
    (kind,) = _kinds(Role.GENERATE, a)
    return (new_object(a, Way.GENERATE, kind),)


def _pair(_app: Application, _lane: Lane, a: Args) -> tuple[New, ...]:
    """Place, trait and flaw are those of the private half; the public one is not private, and lacks what is MISSING."""
    public_kind, private_kind = _kinds(Role.GENERATE_KEY_PAIR, a)
    public = template(Way.PAIR, public_kind, OTHER_LABEL, token=a.token, private=False, trait=a.trait)
    if a.flaw == Flaw.MISSING:
        public = without_required(public, Way.PAIR)
    return New(public_kind, public), new_object(a, Way.PAIR, private_kind)


def _c_wrap_key(app: Application, lane: Lane, a: Args) -> Arguments:
    return *_using(app, lane, a), object_at(app, a.key), object_at(app, a.other_key)


def _wrapped(app: Application, lane: Lane, a: Args) -> Outputs:
    if (made := output(lane, a)) is not None:
        app.kept.keep(WRAPPED, made)
    return ()


def _using_key(app: Application, lane: Lane, a: Args) -> Arguments:
    return *_using(app, lane, a), object_at(app, a.key)


def _unwrapping(app: Application, lane: Lane, a: Args) -> Arguments:
    return *_using_key(app, lane, a), *given(a.data, MADE_UP_BLOB, app.kept.output[WRAPPED])


def _unwrapped(_app: Application, _lane: Lane, a: Args) -> tuple[New, ...]:
    return (new_object(a, Way.UNWRAP, a.kind),)


def _derived(_app: Application, _lane: Lane, a: Args) -> tuple[New, ...]:
    return (new_object(a, Way.DERIVE, a.kind),)


def _secret(binding: Binding, a: Args) -> bool:
    """Only secret keys are unwrapped and derived here."""
    return a.kind in SECRET_KEYS and can_be_made(binding, a)


def _not_all_defaults(_binding: Binding, a: Args) -> bool:
    """What a pair is like whose private template is empty, which it may be, is for each token to say."""
    return a.flaw != Flaw.EMPTY


def _c_seed_random(app: Application, _lane: Lane, a: Args) -> Arguments:
    return session(app, a), *given(a.data, PART)


def _c_generate_random(app: Application, lane: Lane, a: Args) -> Arguments:
    buffer, size = given(a.data, PART)
    return session(app, a), lane.bytes if buffer else NULL, size


def _random_bytes(_app: Application, lane: Lane, a: Args, function: Callable[..., int]) -> Callable[..., int]:
    buffer, size = given(a.data, PART)
    return limited(function, lane.rooms[Room.BYTES], size, filled=True) if buffer else function


# Authenticated wrapping.


def _sealing(app: Application, lane: Lane, a: Args) -> Arguments:
    how = _authenticated(lane.wrapping, a)
    return session(app, a), how, object_at(app, a.key), object_at(app, a.other_key), NULL, 0


def _authenticated(mechanisms: Mapping[Parameter, CData], a: Args) -> CData:
    return mechanisms[a.parameter] if a.mechanism == Mech.AES_GCM else mechanism(a)


def _sealed(app: Application, lane: Lane, a: Args) -> Outputs:
    if (made := output(lane, a)) is not None:
        ffi.memmove(lane.kept_seal, lane.seal, len(lane.seal))
        app.kept.keep(SEALED, made)
    return ()


def _unsealing(app: Application, lane: Lane, a: Args) -> Arguments:
    blob = given(a.data, MADE_UP_BLOB, app.kept.output[SEALED])
    return session(app, a), _authenticated(lane.unwrapping, a), object_at(app, a.key), *blob


# Encapsulation.


def _encapsulated(_app: Application, _lane: Lane, a: Args) -> tuple[New, ...]:
    return (new_object(a, Way.ENCAPSULATE, a.kind),)


def _c_encapsulate_key(app: Application, lane: Lane, a: Args) -> Arguments:
    template = template_words(lane, a, (new.template for new in _encapsulated(app, lane, a)))
    place = NULL if a.buffer == Buffer.NULL else lane.bytes
    return *_using_key(app, lane, a), *template, place, lane.capsule, pointer(a, lane.capsule + 1)


def _no_capsule(_app: Application, lane: Lane, _a: Args) -> Blank:
    return block(lane.capsule, ulong(CAPACITY[Room.BYTES]) + ulong(0))


def _capsule_length(_app: Application, lane: Lane, _a: Args, code: int) -> Outputs:
    return (("length", lane.capsule[0]),) if code in TELLS_LENGTH else ()


def _encapsulation_done(app: Application, lane: Lane, a: Args) -> Outputs:
    if a.buffer == Buffer.NULL:
        return ()
    app.kept.keep(CAPSULE, bytes(ffi.buffer(lane.bytes, min(lane.capsule[0], CAPACITY[Room.BYTES]))))
    return objects_made(app, lane, a, _encapsulated(app, lane, a), lane.capsule + 1)


def _into_capsule(_app: Application, lane: Lane, a: Args, function: Callable[..., int]) -> Callable[..., int]:
    return into(function, lane.rooms[Room.BYTES], a, after=1)


def _decapsulated(_app: Application, _lane: Lane, a: Args) -> tuple[New, ...]:
    return (new_object(a, Way.DECAPSULATE, a.kind),)


def _c_decapsulate_key(app: Application, lane: Lane, a: Args) -> Arguments:
    template = template_words(lane, a, (new.template for new in _decapsulated(app, lane, a)))
    capsule = given(a.data, _MADE_UP_CAPSULE, app.kept.output[CAPSULE])
    return *_using_key(app, lane, a), *template, *capsule, pointer(a, lane.made)


_MADE_UP_CAPSULE: Final = sealed(Mech.ML_KEM)


def _no_handle(_app: Application, lane: Lane, _a: Args) -> Blank:
    return word(lane.made)


def _decapsulation_done(app: Application, lane: Lane, a: Args) -> Outputs:
    return objects_made(app, lane, a, _decapsulated(app, lane, a), lane.made)


CALLS: Final[Mapping[str, Concrete]] = {
    "C_GenerateKey": makes(_using, _generated),
    "C_GenerateKeyPair": makes(_using, _pair, possible=_not_all_defaults, labels=(OTHER_LABEL, LABEL)),
    "C_WrapKey": Concrete(_c_wrap_key, _wrapped, length, Room.BYTES, heeded={CKR.BUFFER_TOO_SMALL}),
    "C_UnwrapKey": makes(_unwrapping, _unwrapped, possible=_secret, remembers=True),
    "C_DeriveKey": makes(_using_key, _derived, possible=_secret),
    "C_WrapKeyAuthenticated": Concrete(_sealing, _sealed, room=Room.BYTES, heeded={CKR.BUFFER_TOO_SMALL}),
    "C_UnwrapKeyAuthenticated": makes(_unsealing, _unwrapped, possible=_secret, remembers=True, between=(NULL, 0)),
    "C_EncapsulateKey": Concrete(
        _c_encapsulate_key,
        _encapsulation_done,
        _capsule_length,
        blank=_no_capsule,
        heeded={CKR.OK, CKR.BUFFER_TOO_SMALL},
        around=_into_capsule,
        possible=_secret,
    ),
    "C_DecapsulateKey": Concrete(
        _c_decapsulate_key, _decapsulation_done, blank=_no_handle, possible=_secret, remembers=True
    ),
    "C_SeedRandom": Concrete(_c_seed_random),
    "C_GenerateRandom": Concrete(_c_generate_random, around=_random_bytes),
}
