"""Key management, random numbers, and what is left of parallel functions (5.13 to 5.15)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ...model.attributes import SECRET_KEYS
from ...model.call import Args, Flaw
from ...model.state import Kind, Mech
from ..cryptoki import CData
from ..parameters import MECHANISM
from ..templates import Way, template, without_required
from ..values import MADE_UP_BLOB, PART, given
from .concrete import NULL, Arguments, Concrete, Outputs, Room, length, of_session, output
from .objects import attributes, can_be_made, entry, expect, new_template, object_made, template_arguments

if TYPE_CHECKING:
    from ..raw import Raw

_SECRETS: Mapping[Mech, Kind] = {Mech.GENERIC_SECRET_KEY_GEN: Kind.GENERIC_SECRET}
_PAIRS: Mapping[Mech, tuple[Kind, Kind]] = {Mech.RSA_PKCS_KEY_PAIR_GEN: (Kind.RSA_PUBLIC, Kind.RSA_PRIVATE)}
_EC_PAIR = (Kind.EC_PUBLIC, Kind.EC_PRIVATE)


def _using(raw: "Raw", a: Args) -> tuple[int, CData]:
    return raw.handles.session(a.session), MECHANISM[a.mechanism, a.parameter]


def _new_key(raw: "Raw", a: Args, way: Way, kind: Kind) -> Arguments:
    """The template of a key, and where its handle goes."""
    wanted = new_template(raw, a, way, kind)
    return *template_arguments(wanted, a.flaw), *expect(raw, a, entry(raw, a, kind, wanted))


def _c_generate_key(raw: "Raw", a: Args) -> Arguments:
    return *_using(raw, a), *_new_key(raw, a, Way.GENERATE, _SECRETS.get(a.mechanism, Kind.AES))


def _c_generate_key_pair(raw: "Raw", a: Args) -> Arguments:
    """Place, trait and flaw are those of the private half; the public one is not private, and lacks what is MISSING."""
    public_kind, private_kind = _PAIRS.get(a.mechanism, _EC_PAIR)
    label = raw.objects.new_label()
    public = template(Way.PAIR, public_kind, label, token=a.token, private=False, trait=a.trait)
    if a.flaw == Flaw.MISSING:
        public = without_required(public, Way.PAIR)
    private = new_template(raw, a, Way.PAIR, private_kind)
    out = expect(raw, a, entry(raw, a, public_kind, public), entry(raw, a, private_kind, private))
    return *_using(raw, a), attributes(public), len(public), *template_arguments(private, a.flaw), *out


def _c_wrap_key(raw: "Raw", a: Args) -> Arguments:
    return *_using(raw, a), raw.objects.handle(a.key), raw.objects.handle(a.other_key)


def _wrapped(raw: "Raw", a: Args) -> Outputs:
    if (made := output(raw, a)) is not None:
        raw.kept.wrapped = made
    return ()


def _c_unwrap_key(raw: "Raw", a: Args) -> Arguments:
    blob = given(a.data, MADE_UP_BLOB, raw.kept.wrapped)
    return *_using(raw, a), raw.objects.handle(a.key), *blob, *_new_key(raw, a, Way.UNWRAP, a.kind)


def _c_derive_key(raw: "Raw", a: Args) -> Arguments:
    return *_using(raw, a), raw.objects.handle(a.key), *_new_key(raw, a, Way.DERIVE, a.kind)


def _secret(a: Args) -> bool:
    """Only secret keys are unwrapped and derived here."""
    return a.kind in SECRET_KEYS and can_be_made(a.kind, a)


def _not_all_defaults(a: Args) -> bool:
    """What a pair is like whose private template is empty, which it may be, is for each token to say."""
    return a.flaw != Flaw.EMPTY


def _c_seed_random(raw: "Raw", a: Args) -> Arguments:
    return raw.handles.session(a.session), *given(a.data, PART)


def _c_generate_random(raw: "Raw", a: Args) -> Arguments:
    buffer, size = given(a.data, PART)
    return raw.handles.session(a.session), raw.bytes if buffer else NULL, size


CALLS: Final[Mapping[str, Concrete]] = {
    "C_GenerateKey": Concrete(_c_generate_key, object_made),
    "C_GenerateKeyPair": Concrete(_c_generate_key_pair, object_made, possible=_not_all_defaults),
    "C_WrapKey": Concrete(_c_wrap_key, _wrapped, length, Room.BYTES),
    "C_UnwrapKey": Concrete(_c_unwrap_key, object_made, possible=_secret),
    "C_DeriveKey": Concrete(_c_derive_key, object_made, possible=_secret),
    "C_SeedRandom": Concrete(_c_seed_random),
    "C_GenerateRandom": Concrete(_c_generate_random),
    "C_GetFunctionStatus": Concrete(of_session),
    "C_CancelFunction": Concrete(of_session),
}
