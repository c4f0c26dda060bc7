"""SoftHSM2 with a defect planted by modules_c/planted.c, and what a check is to say of each."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from conftest import INIT, LOGIN, LOGIN_SO, LOGOUT, OPEN

from p11conform import subject
from p11conform.adapters.isolated import Kind as Way
from p11conform.adapters.isolated import measure_isolated
from p11conform.adapters.modules import registry
from p11conform.model.call import Args, Attribute, Buffer, Call, Setting
from p11conform.model.state import Mech, Pin, Trait
from p11conform.properties.engine.verdict import ENDS_OTHERS
from p11conform.properties.policy import Level, Rights
from p11conform.subject import Subject

IN = (INIT, OPEN, LOGIN)
AES = Call("C_GenerateKey", Args(mechanism=Mech.AES_KEY_GEN))
SECRET = Call("C_GenerateKey", Args(mechanism=Mech.AES_KEY_GEN, trait=Trait.SENSITIVE))
HMAC_KEY = Call("C_GenerateKey", Args(mechanism=Mech.GENERIC_SECRET_KEY_GEN))
PAIR = Call("C_GenerateKeyPair", Args(mechanism=Mech.EC_KEY_PAIR_GEN))
CIPHER = Args(mechanism=Mech.AES_CBC)
HMAC = Args(mechanism=Mech.SHA256_HMAC)
ENCRYPT, DIGEST = Call("C_EncryptInit", CIPHER), Call("C_DigestInit", Args(mechanism=Mech.SHA256))
SIGN, VERIFY = Call("C_SignInit", HMAC), Call("C_VerifyInit", HMAC)
UPDATE = Call("C_SignUpdate")
CLOSE, INFO = Call("C_CloseSession"), Call("C_GetSessionInfo")
DESTROY = Call("C_DestroyObject")
FIND, FOUND, FOUND_ALL = Call("C_FindObjectsInit"), Call("C_FindObjects"), Call("C_FindObjectsFinal")


@dataclass(frozen=True, slots=True)
class Planted:
    """A defect: a sequence that shows it, and what is to be said: an earlier call's lapse, or what is misjudged."""

    name: str
    calls: tuple[Call, ...]
    function: str
    lapse: tuple[str, str] | None = None


PLANTED: Final = (
    Planted(
        "refused-init-ends",
        (INIT, OPEN, AES, ENCRYPT, ENCRYPT, Call("C_Encrypt")),
        "C_Encrypt",
        ("C_EncryptInit", ENDS_OTHERS),
    ),
    Planted(
        "verify-stays",
        (INIT, OPEN, HMAC_KEY, VERIFY, Call("C_Verify"), VERIFY),
        "C_VerifyInit",
        ("C_Verify", "operation-ended-by-error"),
    ),
    Planted(
        "close-leaves-login",
        (*IN, CLOSE, OPEN, INFO),
        "C_GetSessionInfo",
        ("C_CloseSession", "session-closed-but-login"),
    ),
    Planted(
        "length-not-enough",
        (INIT, OPEN, AES, ENCRYPT, Call("C_Encrypt", Args(buffer=Buffer.NULL)), Call("C_Encrypt")),
        "C_Encrypt",
    ),
    Planted("sign-query-refused", (INIT, OPEN, HMAC_KEY, SIGN, Call("C_Sign", Args(buffer=Buffer.NULL))), "C_Sign"),
    Planted("no-length-told", (INIT, OPEN, DIGEST, Call("C_Digest", Args(buffer=Buffer.SHORT))), "C_Digest"),
    Planted("handle-zero", (INIT, OPEN), "C_OpenSession"),
    Planted(
        "tells-secrets",
        (INIT, OPEN, SECRET, Call("C_GetAttributeValue", Args(attribute=Attribute.VALUE))),
        "C_GetAttributeValue",
    ),
    Planted("no-mechanism", (INIT, Call("C_GetMechanismInfo")), "C_GetMechanismInfo"),
    Planted("pair-stays", (INIT, OPEN, PAIR, DESTROY), "C_DestroyObject"),
    Planted("logout-does-nothing", (*IN, LOGOUT, INFO), "C_GetSessionInfo", ("C_Logout", "logged-out")),
    Planted(
        "destroy-does-nothing",
        (INIT, OPEN, AES, DESTROY, FIND, FOUND),
        "C_FindObjects",
        ("C_DestroyObject", "object-destroyed"),
    ),
    Planted(
        "final-does-nothing",
        (INIT, OPEN, FIND, FOUND_ALL, FOUND),
        "C_FindObjects",
        ("C_FindObjectsFinal", "search-ended"),
    ),
    Planted(
        "pin-stays",
        (*IN, Call("C_SetPIN", Args(new_pin=Pin.OTHER)), LOGOUT, LOGIN),
        "C_Login",
        ("C_SetPIN", "pin-changed"),
    ),
    Planted(
        "digest-not-begun", (INIT, OPEN, DIGEST, Call("C_Digest")), "C_Digest", ("C_DigestInit", "operation-begun")
    ),
    Planted(
        "close-all-does-nothing",
        (INIT, OPEN, Call("C_CloseAllSessions"), INFO),
        "C_GetSessionInfo",
        ("C_CloseAllSessions", "sessions-closed"),
    ),
    Planted(
        "random-ends-digests",
        (INIT, OPEN, DIGEST, Call("C_GenerateRandom"), Call("C_Digest")),
        "C_Digest",
        ("C_GenerateRandom", f"{ENDS_OTHERS}-operations"),
    ),
    Planted(
        "close-logs-out",
        (INIT, OPEN, OPEN, LOGIN, Call("C_CloseSession", Args(session=1)), INFO),
        "C_GetSessionInfo",
        ("C_CloseSession", f"{ENDS_OTHERS}-login"),
    ),
    Planted("initialized-again", (INIT, INIT), "C_Initialize"),
    Planted("never-a-user", (*IN, INFO), "C_GetSessionInfo", ("C_Login", "logged-in")),
    Planted("pin-by-anybody", (INIT, OPEN, Call("C_InitPIN")), "C_InitPIN"),
    Planted(
        "refused-login-logs-out",
        (*IN, LOGIN_SO, INFO),
        "C_GetSessionInfo",
        ("C_Login", f"{ENDS_OTHERS}-login"),
    ),
    Planted(
        "destroys-and-fails",
        (INIT, OPEN, AES, DESTROY, Call("C_GetAttributeValue")),
        "C_GetAttributeValue",
        ("C_DestroyObject", "object-destroyed-in-spite-of-the-error"),
    ),
    Planted(
        "any-mechanism",
        (INIT, OPEN, Call("C_GenerateKey", Args(mechanism=Mech.AES_KEY_GEN, trait=Trait.LIMITED)), ENCRYPT),
        "C_EncryptInit",
    ),
    Planted(
        "sets-back",
        (INIT, OPEN, SECRET, Call("C_SetAttributeValue", Args(attribute=Attribute.SENSITIVE, setting=Setting.BACK))),
        "C_SetAttributeValue",
    ),
    Planted("writes-past", (INIT, OPEN, HMAC_KEY, SIGN, Call("C_Sign", Args(buffer=Buffer.EXACT))), "C_Sign"),
    Planted(
        "query-ends",
        (INIT, OPEN, HMAC_KEY, SIGN, UPDATE, Call("C_SignFinal", Args(buffer=Buffer.NULL)), Call("C_SignFinal")),
        "C_SignFinal",
        ("C_SignFinal", "operation-goes-on-or-ends-by-a-query"),
    ),
)


def planted(library: str, name: str) -> Subject:
    """SoftHSM2 with a defect; `library` is what was built of planted.c."""
    module = registry.provider("softhsm2").provision()
    environment = {**module.environment, "PLANTED_LIBRARY": module.library, "PLANTED": name}
    module = replace(module, library=library, environment=environment)
    measured = measure_isolated(library, environment, None, 10.0, namespaces=module.namespaces)
    return subject._subject(module, measured, Rights(Level.OURS), Way.RAW, 10.0)


Build = Callable[..., str]
