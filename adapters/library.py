"""A module as a shared library: how it is loaded, and which functions its list has."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, TypeAlias

from ..model.call import code_text
from ..model.interface import SIGNATURES
from ..model.vocabulary import CKR, Version
from .base import ModuleUnusable
from .cryptoki import CData, ffi, new, prototype

Functions: TypeAlias = Mapping[str, CData | None]
"""The functions that a module's list has a place for, by name; None where it holds NULL."""

_SINCE_2_01 = """
    C_Initialize C_Finalize C_GetInfo C_GetFunctionList
    C_GetSlotList C_GetSlotInfo C_GetTokenInfo C_GetMechanismList C_GetMechanismInfo C_InitToken C_InitPIN C_SetPIN
    C_OpenSession C_CloseSession C_CloseAllSessions C_GetSessionInfo C_GetOperationState C_SetOperationState
    C_Login C_Logout
    C_CreateObject C_CopyObject C_DestroyObject C_GetObjectSize C_GetAttributeValue C_SetAttributeValue
    C_FindObjectsInit C_FindObjects C_FindObjectsFinal
    C_EncryptInit C_Encrypt C_EncryptUpdate C_EncryptFinal C_DecryptInit C_Decrypt C_DecryptUpdate C_DecryptFinal
    C_DigestInit C_Digest C_DigestUpdate C_DigestKey C_DigestFinal
    C_SignInit C_Sign C_SignUpdate C_SignFinal C_SignRecoverInit C_SignRecover
    C_VerifyInit C_Verify C_VerifyUpdate C_VerifyFinal C_VerifyRecoverInit C_VerifyRecover
    C_DigestEncryptUpdate C_DecryptDigestUpdate C_SignEncryptUpdate C_DecryptVerifyUpdate
    C_GenerateKey C_GenerateKeyPair C_WrapKey C_UnwrapKey C_DeriveKey C_SeedRandom C_GenerateRandom
    C_GetFunctionStatus C_CancelFunction C_WaitForSlotEvent
"""

APPENDED: Final[Mapping[Version, tuple[str, ...]]] = {Version.V2_01: tuple(_SINCE_2_01.split())}
"""The functions that a version appended to the list, in the order of their pointers (chapter 3.6).

Versions that appended none have no row: up to v2.40 the list is that of v2.01. What v3.0 and later ones append is a row
more each. Such a list is a type of its own, which C_GetInterface hands out; that of C_GetFunctionList ends where v2.40
ends, whatever version it says.
"""


def listed(version: Version) -> tuple[str, ...]:
    """The functions of a version's list, in order."""
    return tuple(name for since, names in APPENDED.items() if since <= version for name in names)


def declaration(struct: str, functions: Iterable[str]) -> str:
    """A list as C has it: a version, and a pointer for each function."""
    return f"struct {struct} {{ CK_VERSION version; {' '.join(map(_pointer, functions))} }};"


def _pointer(name: str) -> str:
    """The pointer to a function, also to one that the model does not have."""
    return prototype(f"(*{name})", SIGNATURES[name]) if name in SIGNATURES else f"void *{name};"


_LIST: Final = listed(Version.V2_40)

ffi.cdef(declaration("CK_FUNCTION_LIST", _LIST))


@cache
def load(library: str) -> Functions:
    """The functions of a module. A library stays loaded, once loaded.

    What the list says of its version counts for nothing: there are lists that say 0.0 or 3.0, and all are alike.

    Raises:
        ModuleUnusable: if there is no such library, or it hands out no function list.
    """
    try:
        handle: CData = ffi.dlopen(library)
    except OSError as error:
        reason = str(error).removeprefix(f"cannot load library '{library}': ").removeprefix(f"{library}: ")
        reason = reason.partition(".  Additionally, ctypes")[0]
        raise ModuleUnusable(f"{library}: cannot be loaded ({reason}); give the path of a PKCS#11 module") from None
    _LOADED.append(handle)
    try:
        get_list = handle.C_GetFunctionList
    except AttributeError:
        raise ModuleUnusable(f"{library}: has no C_GetFunctionList; give the path of a PKCS#11 module") from None
    out = new("CK_FUNCTION_LIST_PTR_PTR")
    code = get_list(out)
    if code != CKR.OK or not out[0]:
        given = code_text(code) if code != CKR.OK else "CKR_OK and a NULL list"
        raise ModuleUnusable(f"{library}: C_GetFunctionList gives {given}; the module needs mending")
    return {name: getattr(out[0], name) or None for name in _LIST if name in SIGNATURES}


_LOADED: list[CData] = []
"""Every library opened: cffi unloads one that nobody holds, and vendor libraries do not survive that."""
