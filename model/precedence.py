"""Which of two codes is returned when the conditions of both hold (section 5.1).

Relations compare two codes, no more: they are not a strict order, and no closure is taken. Some run against others
(see `CONTRADICTIONS`); where both directions are stated for a function, neither code outranks the other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache, partial

from .interface import SIGNATURES, Signature
from .rule import Rule, Strength
from .vocabulary import CKR, Version


class Scope(Enum):
    """The functions that a relation speaks of, where it names none."""

    ALL = "all functions"
    SESSION = "functions with a session handle"
    TOKEN = "functions that use a token"


@dataclass(frozen=True, slots=True)
class Relation:
    """`higher` is returned rather than `lower` when both apply.

    `strength` is MUST where the text declares it, and SHOULD where it recommends an order: that of 5.1.1 to 5.1.3 and
    of the classes (5.1.7). `only_under` names the reading of an interpretation without which there is no relation.
    `rows` are the ids of the rows of `higher` that it is about, where it is not about all of them.
    """

    higher: CKR
    lower: CKR
    section: str
    scope: Scope | frozenset[str] = Scope.ALL
    since: Version = Version.V2_01
    only_under: tuple[str, str] | None = None
    strength: Strength = Strength.MUST
    rows: frozenset[str] | None = None

    def applies(self, function: Signature, version: Version, readings: Mapping[str, str]) -> bool:
        """Whether the relation speaks of this function, in this version, under these readings."""
        return self.in_force(version, readings) and covers(self.scope, function)

    def in_force(self, version: Version, readings: Mapping[str, str]) -> bool:
        """Whether there is the relation in this version, under these readings."""
        under = self.only_under
        return self.since <= version and (under is None or readings[under[0]] == under[1])


def covers(scope: Scope | frozenset[str], function: Signature) -> bool:
    """Whether a function is of those that relations of a scope speak of."""
    match scope:
        case Scope.ALL:
            return True
        case Scope.SESSION:
            return function.takes_session
        case Scope.TOKEN:
            return function.uses_token
        case names:
            return function.name in names


_recommended = partial(Relation, strength=Strength.SHOULD)


def _listed(section: str, scope: Scope, *codes: CKR, since: Version = Version.V2_01) -> Iterator[Relation]:
    """A list whose order is the order of precedence."""
    for i, higher in enumerate(codes):
        for lower in codes[i + 1 :]:
            yield _recommended(higher, lower, section, scope, since)


_UNIVERSAL = (CKR.GENERAL_ERROR, CKR.HOST_MEMORY, CKR.FUNCTION_FAILED)
_SESSION = (CKR.SESSION_HANDLE_INVALID, CKR.DEVICE_REMOVED, CKR.SESSION_CLOSED)
_TOKEN = (CKR.DEVICE_MEMORY, CKR.DEVICE_ERROR, CKR.TOKEN_NOT_PRESENT, CKR.DEVICE_REMOVED)
_CLASSED = frozenset((*_UNIVERSAL, *_SESSION, *_TOKEN, CKR.OK, CKR.OPERATION_NOT_VALIDATED, CKR.TOKEN_NOT_INITIALIZED))
_OTHER = tuple(code for code in CKR if code not in _CLASSED)

_PIN_SETTING = frozenset({"C_InitPIN", "C_SetPIN", "C_InitToken"})
_SELF_TESTING = frozenset({"C_Initialize", "C_GenerateRandom", "C_SeedRandom", "C_GenerateKeyPair"})
_RECOVER = frozenset({"C_VerifyRecover"})
_V240, _V32 = Version.V2_40, Version.V3_2

EXPLICIT: tuple[Relation, ...] = (
    *_listed("5.1.1", Scope.ALL, *_UNIVERSAL, CKR.OK),
    *(_recommended(code, CKR.OPERATION_NOT_VALIDATED, "5.1.1", since=_V32) for code in _UNIVERSAL),
    _recommended(CKR.OPERATION_NOT_VALIDATED, CKR.OK, "5.1.1", since=_V32),
    *_listed("5.1.2", Scope.SESSION, *_SESSION),
    *_listed("5.1.3", Scope.TOKEN, *_TOKEN),
    *(_recommended(code, CKR.TOKEN_NOT_INITIALIZED, "5.1.3", Scope.TOKEN, _V32) for code in _TOKEN),
    _recommended(CKR.SESSION_HANDLE_INVALID, CKR.TOKEN_NOT_PRESENT, "5.1.7", Scope.SESSION),
    Relation(CKR.DATA_LEN_RANGE, CKR.DATA_INVALID, "5.1.6"),
    Relation(CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.ENCRYPTED_DATA_INVALID, "5.1.6"),
    Relation(CKR.KEY_TYPE_INCONSISTENT, CKR.KEY_FUNCTION_NOT_PERMITTED, "5.1.6"),
    Relation(CKR.RANDOM_NO_RNG, CKR.RANDOM_SEED_NOT_SUPPORTED, "5.1.6", frozenset({"C_SeedRandom"})),
    Relation(CKR.TOKEN_WRITE_PROTECTED, CKR.SESSION_READ_ONLY, "5.1.6"),
    Relation(CKR.SIGNATURE_LEN_RANGE, CKR.SIGNATURE_INVALID, "5.1.6"),
    Relation(CKR.OPERATION_NOT_INITIALIZED, CKR.STATE_UNSAVEABLE, "5.1.6", frozenset({"C_GetOperationState"})),
    Relation(CKR.WRAPPED_KEY_LEN_RANGE, CKR.WRAPPED_KEY_INVALID, "5.1.6", frozenset({"C_UnwrapKey"})),
    Relation(CKR.EXCEEDED_MAX_ITERATIONS, CKR.FUNCTION_FAILED, "5.1.6", since=_V240),
    Relation(CKR.FIPS_SELF_TEST_FAILED, CKR.GENERAL_ERROR, "5.1.6", _SELF_TESTING, _V240),
    _recommended(
        CKR.PIN_LEN_RANGE, CKR.PIN_TOO_WEAK, "5.1.6", _PIN_SETTING, _V240, rows=frozenset({"new-pin-too-short"})
    ),
    Relation(CKR.PUBLIC_KEY_INVALID, CKR.MECHANISM_PARAM_INVALID, "5.1.6", frozenset({"C_DeriveKey"}), _V240),
    Relation(CKR.SIGNATURE_INVALID, CKR.BUFFER_TOO_SMALL, "5.11", _RECOVER),
    Relation(CKR.SIGNATURE_LEN_RANGE, CKR.BUFFER_TOO_SMALL, "5.11", _RECOVER),
)
"""Relations that a sentence of the text states, with the order of the lists in 5.1.1 to 5.1.3."""

_READINGS = {(high, CKR.CRYPTOKI_NOT_INITIALIZED): ("A-01", "literal") for high in (*_SESSION, *_TOKEN)}


def _classes() -> Iterator[Relation]:
    """The order of the classes (5.1.7): universal, session, token, then every other code.

    A code that is of both classes stands where the list of the higher one has it.
    """
    section = "5.1.7"
    ranks: tuple[tuple[tuple[CKR, ...], Scope], ...] = (
        (_UNIVERSAL, Scope.ALL),
        (_SESSION, Scope.SESSION),
        (_TOKEN, Scope.TOKEN),
        (_OTHER, Scope.ALL),
    )
    stated = {(r.higher, r.lower) for r in EXPLICIT}
    for i, (upper, scope) in enumerate(ranks):
        for lower_codes, _ in ranks[i + 1 :]:
            for high in upper:
                for low in lower_codes:
                    if high != low and low not in upper and (high, low) not in stated:
                        reading = _READINGS.get((high, low))
                        strength = Strength.SHOULD if reading is None else Strength.MUST
                        yield Relation(high, low, section, scope, only_under=reading, strength=strength)
    yield from (_recommended(CKR.TOKEN_NOT_INITIALIZED, low, section, Scope.TOKEN, _V32) for low in _OTHER)
    for upper in (_UNIVERSAL, _SESSION, _TOKEN):
        yield from (
            _recommended(high, CKR.TOKEN_NOT_INITIALIZED, section, Scope.TOKEN, _V32)
            for high in upper
            if (high, CKR.TOKEN_NOT_INITIALIZED) not in stated
        )
    yield from (
        _recommended(CKR.OPERATION_NOT_VALIDATED, low, section, Scope.ALL, _V32)
        for low in dict.fromkeys((*_SESSION, *_TOKEN, CKR.TOKEN_NOT_INITIALIZED))
    )
    yield from (
        Relation(CKR.CRYPTOKI_NOT_INITIALIZED, low, section, Scope.ALL, only_under=("A-01", "first"))
        for low in dict.fromkeys((*_SESSION, *_TOKEN, *_OTHER))
        if low is not CKR.CRYPTOKI_NOT_INITIALIZED
    )


RELATIONS: tuple[Relation, ...] = (*EXPLICIT, *_classes())
"""Every relation between two codes."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Codes whose relations run against each other, and how the model deals with it."""

    codes: tuple[CKR, ...]
    why: str
    resolution: str


CONTRADICTIONS: tuple[Contradiction, ...] = (
    Contradiction(
        (CKR.DEVICE_REMOVED, CKR.DEVICE_MEMORY, CKR.DEVICE_ERROR, CKR.TOKEN_NOT_PRESENT),
        "above the token class by 5.1.7, at the foot of it by 5.1.3",
        "neither outranks the other in a function with a session handle",
    ),
    Contradiction(
        (CKR.EXCEEDED_MAX_ITERATIONS, CKR.FUNCTION_FAILED),
        "5.1.6 puts the first above a code of the top class",
        "neither outranks the other",
    ),
    Contradiction(
        (CKR.FIPS_SELF_TEST_FAILED, CKR.GENERAL_ERROR),
        "5.1.6 puts the first above a code of the top class",
        "neither outranks the other in the functions that test themselves",
    ),
    Contradiction(
        (CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.ENCRYPTED_DATA_INVALID),
        "5.1.6 orders them, 5.9 lets C_Decrypt return either for a bad length",
        "the rows of C_Decrypt give both codes for a bad length, and 5.9 wins there; interpretation A-90",
    ),
    Contradiction(
        (CKR.SESSION_HANDLE_INVALID, CKR.CRYPTOKI_NOT_INITIALIZED),
        "the class order puts the first above the second, yet before C_Initialize no handle is valid",
        "interpretation A-01",
    ),
    Contradiction(
        (CKR.OPERATION_NOT_VALIDATED, CKR.SESSION_HANDLE_INVALID),
        "3.2 puts the first into the top class, and lets codes of the lowest stand for it",
        "it is legal at any time since v3.2, and proves nothing",
    ),
)

EITHER: Mapping[str, frozenset[CKR]] = {
    "C_Decrypt": frozenset({CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.ENCRYPTED_DATA_INVALID}),
    "C_DecryptFinal": frozenset({CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.ENCRYPTED_DATA_INVALID}),
    "C_DecryptMessage": frozenset({CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.ENCRYPTED_DATA_INVALID}),
    "C_DecryptMessageNext": frozenset({CKR.ENCRYPTED_DATA_LEN_RANGE, CKR.ENCRYPTED_DATA_INVALID}),
}
"""Codes of a function that its own text lets stand for each other, against a relation of 5.1.6 (5.9, 5.11 of v3.0)."""

EITHER_READING = ("A-90", "either")
"""The reading under which they do."""


ORDERS = ("A-02", "class order")
"""The reading under which a recommended order decides, and is no mere advice."""


@dataclass(frozen=True, slots=True)
class Order:
    """The relations of one function, (higher, lower) → the relation, contradicted pairs left out.

    Those that `decide` make a lower code wrong; those that `advise` make it no more than inadvisable; `stated` are
    both.
    """

    decide: Mapping[tuple[CKR, CKR], Relation]
    advise: Mapping[tuple[CKR, CKR], Relation]
    stated: Mapping[tuple[CKR, CKR], Relation]


def between(pairs: Mapping[tuple[CKR, CKR], Relation], high: Rule, low: CKR) -> Relation | None:
    """The one of some relations by which a row comes before a code, if any."""
    found = pairs.get((high.code, low))
    return found if found is None or found.rows is None or high.id in found.rows else None


def order(function: str, version: Version, readings: Mapping[str, str]) -> Order:
    """The relations that speak of one function in a version, under the readings in force."""
    scopes = frozenset(scope for scope in _SCOPES if covers(scope, SIGNATURES[function]))
    free = EITHER.get(function, frozenset()) if readings[EITHER_READING[0]] == EITHER_READING[1] else frozenset()
    return _order(scopes, free, version, frozenset(readings.items()))


_SCOPES = tuple(dict.fromkeys(r.scope for r in RELATIONS))


@lru_cache(maxsize=64)
def _order(
    scopes: frozenset[Scope | frozenset[str]],
    free: frozenset[CKR],
    version: Version,
    chosen: frozenset[tuple[str, str]],
) -> Order:
    """Worked out once for all functions that the same relations speak of: there are few sorts of them."""
    readings = dict(chosen)
    found = {(r.higher, r.lower): r for r in reversed(RELATIONS) if r.scope in scopes and r.in_force(version, readings)}
    clear = {
        (high, low): relation
        for (high, low), relation in found.items()
        if (low, high) not in found and not (high in free and low in free)
    }
    binding = readings[ORDERS[0]] == ORDERS[1]
    decide = {pair: r for pair, r in clear.items() if binding or r.strength is not Strength.SHOULD}
    return Order(decide, {pair: r for pair, r in clear.items() if pair not in decide}, clear)
