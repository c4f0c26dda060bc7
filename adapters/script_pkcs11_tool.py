"""A sequence of calls as command lines of OpenSC's pkcs11-tool, as far as those can say it."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..model.call import Args, Call
from ..model.state import Mech, Pin
from ..model.table import TABLE, functions_where
from ..model.vocabulary import CKR, CKU
from .script import PINS, NotReached, Told

_Words = tuple[str, ...]

_PIN_OPTIONS: Final = {CKU.USER: "--pin", CKU.SO: "--so-pin"}
_NAMES: Final = {CKU.USER: "user", CKU.SO: "so"}


def _pin(option: str, pin: Pin) -> _Words:
    variable, content = PINS[int(pin)]
    if not (variable or content):
        raise NotReached("pkcs11-tool asks for a PIN that is not given")
    return option, f"env:{variable}" if variable else content


def _login(a: Args) -> _Words:
    if a.user not in _NAMES:
        raise NotReached(f"pkcs11-tool logs in no {a.user.name} by itself")
    return "--login", "--login-type", _NAMES[CKU(a.user)], *_pin(_PIN_OPTIONS[CKU(a.user)], Pin(a.pin))


def _key_type(a: Args) -> _Words:
    types = {
        Mech.AES_KEY_GEN: "AES:16",
        Mech.GENERIC_SECRET_KEY_GEN: "GENERIC:32",
        Mech.EC_KEY_PAIR_GEN: "EC:prime256v1",
    }
    if a.mechanism not in types or not a.token:
        raise NotReached("pkcs11-tool makes token objects only, and few kinds")
    return "--key-type", types[a.mechanism], "--label", "p11conform"


@dataclass(frozen=True, slots=True)
class _Says:
    """How pkcs11-tool comes to make a call: with these words, and after a login where `login` is set.

    Arguments other than those named in `given` are as it likes them: plain ones.
    """

    words: Callable[[Args], _Words]
    given: frozenset[str] = frozenset()
    login: bool = False


_SAYS: Final[Mapping[str, _Says]] = {
    "C_GetInfo": _Says(lambda _a: ("--show-info",)),
    "C_GetSlotList": _Says(lambda _a: ("--list-slots",), frozenset({"token_present"})),
    "C_GetMechanismList": _Says(lambda _a: ("--list-mechanisms",)),
    "C_InitToken": _Says(
        lambda a: ("--init-token", "--label", "p11conform", *_pin("--so-pin", Pin(a.pin))), frozenset({"pin"})
    ),
    "C_Login": _Says(lambda a: (*_login(a), "--list-objects"), frozenset({"user", "pin"})),
    "C_InitPIN": _Says(lambda a: ("--init-pin", *_pin("--new-pin", Pin(a.new_pin))), frozenset({"new_pin"}), True),
    "C_SetPIN": _Says(
        lambda a: ("--change-pin", *_pin("--pin", Pin(a.pin)), *_pin("--new-pin", Pin(a.new_pin))),
        frozenset({"pin", "new_pin"}),
        True,
    ),
    "C_FindObjectsInit": _Says(lambda _a: ("--list-objects",), login=True),
    "C_FindObjects": _Says(lambda _a: ("--list-objects",), login=True),
    "C_GenerateRandom": _Says(lambda _a: ("--generate-random", "16", "--output-file", "/dev/null"), login=True),
    "C_GenerateKey": _Says(lambda a: ("--keygen", *_key_type(a)), frozenset({"mechanism", "token"}), True),
    "C_GenerateKeyPair": _Says(lambda a: ("--keypairgen", *_key_type(a)), frozenset({"mechanism", "token"}), True),
    "C_DigestInit": _Says(
        lambda _a: ("--hash", "--mechanism", "SHA256", "--input-file", "/dev/null", "--output-file", "/dev/null"),
        login=True,
    ),
}
"""Functions whose answer pkcs11-tool tells where it is an error, by the options that have it call them."""

_SETUP: Final = functions_where(
    lambda f: not f.happens.isdisjoint(("library-initialized", "session-opened", "logged-in"))
)
"""What pkcs11-tool calls by itself before."""


def tool_script(trace: Sequence[tuple[Call, str]], told: Told) -> str:
    """A shell script with the command line.

    It exits with 1 where the divergence shows, 0 where it does not.

    Raises:
        NotReached: if pkcs11-tool cannot be had to make these calls, or does not tell what came of them.
    """
    *before, (last, observed) = trace
    says = _SAYS.get(last.function)
    if says is None:
        raise NotReached(f"pkcs11-tool has no option that ends in {last.function}")
    if told.output is not None or observed == str(CKR.OK) or observed.startswith(("died", "hung", "absent")):
        raise NotReached("pkcs11-tool tells errors, and no more")
    for call, seen in before:
        if call.function not in _SETUP or seen != str(CKR.OK):
            raise NotReached(f"pkcs11-tool does not call {call.function} in between")
        _plain(call, frozenset({"init", "rw", "user", "pin"}))
    _plain(last, says.given | {"init"})
    logins = [_login(call.args) for call, _ in before if call.function == "C_Login"]
    if logins and not says.login:
        raise NotReached(f"pkcs11-tool does not log in before {last.function}")
    words = [*(logins[0] if logins else ()), *says.words(last.args)]
    return "\n".join((*_lines(words, last.function, observed, told), ""))


def _plain(call: Call, given: frozenset[str]) -> None:
    plain = Args()
    for name in TABLE[call.function].uses:
        if name not in given and getattr(call.args, name) != getattr(plain, name):
            raise NotReached(f"pkcs11-tool gives {call.function} a {name} of its own")


def _lines(words: Sequence[str], function: str, observed: str, told: Told) -> Iterator[str]:
    yield "#!/bin/sh"
    yield from (f"# {line}" for line in told.lines)
    yield "# Run: sh reproduce.sh MODULE.so; it wants pkcs11-tool of OpenSC, which makes more calls before."
    yield "# PINs come from P11CONFORM_PIN and P11CONFORM_SO_PIN, the slot from P11CONFORM_SLOT, else the first token."
    yield '[ $# -eq 1 ] || { echo "usage: sh reproduce.sh MODULE.so" >&2; exit 2; }'
    yield f'said=$(pkcs11-tool --module "$1" ${{P11CONFORM_SLOT:+--slot "$P11CONFORM_SLOT"}} {shlex.join(words)} 2>&1)'
    yield 'echo "$said"'
    yield f'echo "permitted of {function}: {", ".join(told.permitted) or "nothing"}"'
    yield f'case $said in *"{function} failed: rv = {observed} "*) echo "the divergence shows"; exit 1 ;; esac'
    yield 'echo "it does not show"'
