"""Key management, random numbers, and what is left of parallel functions (5.13 to 5.15)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ...model.attributes import SECRET_KEYS
from ...model.call import Args, Buffer, Flaw
from ...model.state import Kind, Mech
from ...model.vocabulary import CKR
from ..parameters import MECHANISM
from ..templates import Way, template, without_required
from ..values import MADE_UP_BLOB, PART, WRAPPED, given
from .concrete import NULL, Arguments, Concrete, Outputs, Room, length, object_at, of_session, session
from .objects import LABEL, OTHER_LABEL, New, can_be_made, makes, new_object

if TYPE_CHECKING:
    from ..raw import Raw

_SECRETS: Mapping[Mech, Kind] = {Mech.GENERIC_SECRET_KEY_GEN: Kind.GENERIC_SECRET}
_PAIRS: Mapping[Mech, tuple[Kind, Kind]] = {Mech.RSA_PKCS_KEY_PAIR_GEN: (Kind.RSA_PUBLIC, Kind.RSA_PRIVATE)}
_EC_PAIR = (Kind.EC_PUBLIC, Kind.EC_PRIVATE)


def _using(raw: "Raw", a: Args) -> Arguments:
    return session(raw, a), MECHANISM[a.mechanism, a.parameter]


def _generated(_raw: "Raw", a: Args) -> tuple[New, ...]:
    return (new_object(a, Way.GENERATE, _SECRETS.get(a.mechanism, Kind.AES)),)


def _pair(_raw: "Raw", a: Args) -> tuple[New, ...]:
    """Place, trait and flaw are those of the private half; the public one is not private, and lacks what is MISSING."""
    public_kind, private_kind = _PAIRS.get(a.mechanism, _EC_PAIR)
    public = template(Way.PAIR, public_kind, OTHER_LABEL, token=a.token, private=False, trait=a.trait)
    if a.flaw == Flaw.MISSING:
        public = without_required(public, Way.PAIR)
    return New(public_kind, public), new_object(a, Way.PAIR, private_kind)


def _c_wrap_key(raw: "Raw", a: Args) -> Arguments:
    return *_using(raw, a), object_at(raw, a.key), object_at(raw, a.other_key)


def _wrapped(raw: "Raw", a: Args) -> Outputs:
    # A buffer one below the length that was told may be large enough: that length may overstate (5.2).
    if a.buffer != Buffer.NULL and not a.null:
        raw.kept.keep(WRAPPED, raw.bytes_given())
    return ()


def _using_key(raw: "Raw", a: Args) -> Arguments:
    return *_using(raw, a), object_at(raw, a.key)


def _unwrapping(raw: "Raw", a: Args) -> Arguments:
    return *_using_key(raw, a), *given(a.data, MADE_UP_BLOB, raw.kept.output[WRAPPED])


def _unwrapped(_raw: "Raw", a: Args) -> tuple[New, ...]:
    return (new_object(a, Way.UNWRAP, a.kind),)


def _derived(_raw: "Raw", a: Args) -> tuple[New, ...]:
    return (new_object(a, Way.DERIVE, a.kind),)


def _secret(a: Args) -> bool:
    """Only secret keys are unwrapped and derived here."""
    return a.kind in SECRET_KEYS and can_be_made(a.kind, a)


def _not_all_defaults(a: Args) -> bool:
    """What a pair is like whose private template is empty, which it may be, is for each token to say."""
    return a.flaw != Flaw.EMPTY


def _c_seed_random(raw: "Raw", a: Args) -> Arguments:
    return session(raw, a), *given(a.data, PART)


def _c_generate_random(raw: "Raw", a: Args) -> Arguments:
    buffer, size = given(a.data, PART)
    return session(raw, a), raw.bytes if buffer else NULL, size


CALLS: Final[Mapping[str, Concrete]] = {
    "C_GenerateKey": makes(_using, _generated),
    "C_GenerateKeyPair": makes(_using, _pair, possible=_not_all_defaults, labels=(OTHER_LABEL, LABEL)),
    "C_WrapKey": Concrete(_c_wrap_key, _wrapped, length, Room.BYTES, heeded={CKR.BUFFER_TOO_SMALL}),
    "C_UnwrapKey": makes(_unwrapping, _unwrapped, possible=_secret, remembers=True),
    "C_DeriveKey": makes(_using_key, _derived, possible=_secret),
    "C_SeedRandom": Concrete(_c_seed_random),
    "C_GenerateRandom": Concrete(_c_generate_random),
    "C_GetFunctionStatus": Concrete(of_session),
    "C_CancelFunction": Concrete(of_session),
}
