"""A module as a shared library: how it is loaded, and which functions its list has."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final, TypeAlias

from ..model.call import code_text
from ..model.interface import COVERED, SIGNATURES
from ..model.vocabulary import CKR, Version
from .base import ModuleUnusable
from .cryptoki import CData, c_string, ffi, new, prototype

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

_SINCE_3_0 = """
    C_GetInterfaceList C_GetInterface C_LoginUser C_SessionCancel
    C_MessageEncryptInit C_EncryptMessage C_EncryptMessageBegin C_EncryptMessageNext C_MessageEncryptFinal
    C_MessageDecryptInit C_DecryptMessage C_DecryptMessageBegin C_DecryptMessageNext C_MessageDecryptFinal
    C_MessageSignInit C_SignMessage C_SignMessageBegin C_SignMessageNext C_MessageSignFinal
    C_MessageVerifyInit C_VerifyMessage C_VerifyMessageBegin C_VerifyMessageNext C_MessageVerifyFinal
"""

_SINCE_3_2 = """
    C_EncapsulateKey C_DecapsulateKey
    C_VerifySignatureInit C_VerifySignature C_VerifySignatureUpdate C_VerifySignatureFinal
    C_GetSessionValidationFlags C_AsyncComplete C_AsyncGetID C_AsyncJoin
    C_WrapKeyAuthenticated C_UnwrapKeyAuthenticated
"""

APPENDED: Final[Mapping[Version, tuple[str, ...]]] = {
    Version.V2_01: tuple(_SINCE_2_01.split()),
    Version.V3_0: tuple(_SINCE_3_0.split()),
    Version.V3_2: tuple(_SINCE_3_2.split()),
}
"""The functions that a version appended to the list, in the order of their pointers (chapter 3.6).

Versions that appended none have no row: up to v2.40 the list is that of v2.01, and that of v3.1 is that of v3.0. The
lists since v3.0 are types of their own, which C_GetInterface hands out; that of C_GetFunctionList ends where v2.40
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

NAME: Final = "PKCS 11"
"""The name of the interfaces that the standard defines."""

INTERFACES: Final = tuple(v for v in COVERED if not v <= Version.V2_40)
"""The versions whose interfaces can be called: the lists of older ones are what C_GetFunctionList gives."""


def interface_of(version: Version) -> Version | None:
    """The version of the interface through which a module is held to a version, None for the list of all modules."""
    return version if version in INTERFACES else None


def _struct(version: Version) -> str:
    """The type of a version's list."""
    return f"CK_FUNCTION_LIST_{version.name.removeprefix('V')}"


ffi.cdef(declaration("CK_FUNCTION_LIST", _LIST))
for _version in INTERFACES:
    ffi.cdef(declaration(_struct(_version), listed(_version)))


@cache
def load(library: str, interface: Version | None = None) -> Functions:
    """The functions of a module: those of the list that C_GetFunctionList gives, or of an interface of a version.

    A library stays loaded, once loaded. What the first list says of its version counts for nothing: there are lists
    that say 0.0 or 3.0, and all are alike. An interface has to be of the version that it was asked for, since its list
    is as long as its version says.

    Raises:
        ModuleUnusable: if there is no such library, it hands out no function list, or has no such interface.
    """
    if interface is not None:
        version = _struct(interface)
        functions = ffi.cast(f"struct {version} *", _interface(library, _opened(library), interface))
        return {name: getattr(functions, name) or None for name in listed(interface) if name in SIGNATURES}
    first = _first_list(library)
    return {name: getattr(first, name) or None for name in _LIST if name in SIGNATURES}


def _first_list(library: str) -> CData:
    """The list that C_GetFunctionList gives.

    Raises:
        ModuleUnusable: if there is no such library, or it hands out no function list.
    """
    out = new("CK_FUNCTION_LIST_PTR_PTR")
    code = _opened(library).C_GetFunctionList(out)
    if code != CKR.OK or not out[0]:
        given = code_text(code) if code != CKR.OK else "CKR_OK and a NULL list"
        raise ModuleUnusable(f"{library}: C_GetFunctionList gives {given}; the module needs mending")
    return out[0]


def list_version(library: str) -> tuple[int, int]:
    """The version that the list of C_GetFunctionList says, for what it is worth.

    Raises:
        ModuleUnusable: if there is no such library, or it hands out no function list.
    """
    version = _first_list(library).version
    return version.major, version.minor


def offered(library: str) -> tuple[Version, ...]:
    """The versions of the interfaces that a module lists and that can be called, the oldest first.

    Raises:
        ModuleUnusable: if there is no such library, or it is no module.
    """
    handle = _opened(library)
    if not hasattr(handle, "C_GetInterfaceList"):
        return ()
    count = new("CK_ULONG *")
    if handle.C_GetInterfaceList(ffi.NULL, count) != CKR.OK:
        return ()
    most = count[0] = min(count[0], _MOST)
    interfaces = new("CK_INTERFACE[]", most)
    if handle.C_GetInterfaceList(interfaces, count) != CKR.OK:
        return ()
    found = {said(x) for x in interfaces[0 : min(count[0], most)] if is_standard(x)}
    return tuple(v for v in INTERFACES if v.number in found)


_MOST: Final = 64
"""Interfaces of a module that are looked at, at most."""


def is_standard(interface: CData) -> bool:
    """Whether an interface is one of the standard's, with a list."""
    named = bool(interface.pInterfaceName and interface.pFunctionList)
    return named and ffi.string(ffi.cast("char *", interface.pInterfaceName)) == NAME.encode()


def said(interface: CData) -> tuple[int, int]:
    """The version that the list of an interface says, with which every list begins."""
    version: CData = ffi.cast("CK_VERSION *", interface.pFunctionList)
    return version.major, version.minor


def _interface(library: str, handle: CData, version: Version) -> CData:
    """The list of an interface of a version.

    Raises:
        ModuleUnusable: if there is none, or it is not what it was asked for.
    """
    instead = f"choose --spec {Version.V2_40}, or one of the versions that C_GetInterfaceList lists"
    if not hasattr(handle, "C_GetInterface"):
        raise ModuleUnusable(f"{library}: has no C_GetInterface, and so no interface of {version}; {instead}")
    out, wanted = new("CK_INTERFACE_PTR *"), new("CK_VERSION *", version.number)
    code = handle.C_GetInterface(c_string(NAME), wanted, out, 0)
    if code != CKR.OK or not out[0]:
        given = code_text(code) if code != CKR.OK else "CKR_OK and a NULL interface"
        raise ModuleUnusable(f"{library}: C_GetInterface gives {given} for version {version}; {instead}")
    if not is_standard(out[0]):
        raise ModuleUnusable(
            f"{library}: C_GetInterface gives an interface without the name or without a list; {instead}"
        )
    if said(out[0]) != version.number:
        given = ".".join(map(str, said(out[0])))
        raise ModuleUnusable(f"{library}: C_GetInterface gives a list of version {given} for {version}; {instead}")
    return out[0].pFunctionList


@cache
def _opened(library: str) -> CData:
    """A library that is loaded, and stays so.

    Raises:
        ModuleUnusable: if there is none, or it is no module.
    """
    try:
        handle: CData = ffi.dlopen(library)
    except OSError as error:
        reason = str(error).removeprefix(f"cannot load library '{library}': ").removeprefix(f"{library}: ")
        reason = reason.partition(".  Additionally, ctypes")[0]
        raise ModuleUnusable(f"{library}: cannot be loaded ({reason}); give the path of a PKCS#11 module") from None
    if not hasattr(handle, "C_GetFunctionList"):
        raise ModuleUnusable(f"{library}: has no C_GetFunctionList; give the path of a PKCS#11 module")
    _LOADED.append(handle)
    return handle


_LOADED: list[CData] = []
"""Every library opened: cffi unloads one that nobody holds, and vendor libraries do not survive that."""
