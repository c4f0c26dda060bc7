"""The C interface through cffi: the types of Cryptoki, and values of them. Function lists: library.py.

The prototypes are those of `model.interface`; only the records that they point to are written down here (chapter 3,
and the parameters of mechanisms).
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, TypeAlias

from cffi import FFI

from ..model.interface import SIGNATURES, Signature
from ..model.vocabulary import CKF

EXPORTED = ("C_GetFunctionList", *(name for name in SIGNATURES if name.startswith("C_GetInterface")))
"""The functions that a library gives by their name; all others are in the lists that these hand out."""

CData: TypeAlias = Any
"""A C value of cffi: its members come from the declarations, out of sight of a type checker."""

UNAVAILABLE_INFORMATION = 2 ** (8 * FFI().sizeof("unsigned long")) - 1
"""CK_UNAVAILABLE_INFORMATION: the value of a count that the token does not tell."""

_BYTES = "CK_BYTE CK_BBOOL CK_CHAR CK_UTF8CHAR"
_NUMBERS = (
    "CK_ULONG CK_RV CK_FLAGS CK_NOTIFICATION CK_SLOT_ID CK_SESSION_HANDLE CK_OBJECT_HANDLE CK_USER_TYPE CK_STATE"
    " CK_MECHANISM_TYPE CK_ATTRIBUTE_TYPE CK_SESSION_VALIDATION_FLAGS_TYPE"
)
_RECORDS = {
    "CK_VERSION": "CK_BYTE major; CK_BYTE minor;",
    "CK_INFO": """CK_VERSION cryptokiVersion; CK_UTF8CHAR manufacturerID[32]; CK_FLAGS flags;
        CK_UTF8CHAR libraryDescription[32]; CK_VERSION libraryVersion;""",
    "CK_SLOT_INFO": """CK_UTF8CHAR slotDescription[64]; CK_UTF8CHAR manufacturerID[32]; CK_FLAGS flags;
        CK_VERSION hardwareVersion; CK_VERSION firmwareVersion;""",
    "CK_TOKEN_INFO": """CK_UTF8CHAR label[32]; CK_UTF8CHAR manufacturerID[32]; CK_UTF8CHAR model[16];
        CK_CHAR serialNumber[16]; CK_FLAGS flags; CK_ULONG ulMaxSessionCount; CK_ULONG ulSessionCount;
        CK_ULONG ulMaxRwSessionCount; CK_ULONG ulRwSessionCount; CK_ULONG ulMaxPinLen; CK_ULONG ulMinPinLen;
        CK_ULONG ulTotalPublicMemory; CK_ULONG ulFreePublicMemory; CK_ULONG ulTotalPrivateMemory;
        CK_ULONG ulFreePrivateMemory; CK_VERSION hardwareVersion; CK_VERSION firmwareVersion; CK_CHAR utcTime[16];""",
    "CK_SESSION_INFO": "CK_SLOT_ID slotID; CK_STATE state; CK_FLAGS flags; CK_ULONG ulDeviceError;",
    "CK_ATTRIBUTE": "CK_ATTRIBUTE_TYPE type; CK_VOID_PTR pValue; CK_ULONG ulValueLen;",
    "CK_MECHANISM": "CK_MECHANISM_TYPE mechanism; CK_VOID_PTR pParameter; CK_ULONG ulParameterLen;",
    "CK_MECHANISM_INFO": "CK_ULONG ulMinKeySize; CK_ULONG ulMaxKeySize; CK_FLAGS flags;",
    "CK_AES_CTR_PARAMS": "CK_ULONG ulCounterBits; CK_BYTE cb[16];",
    "CK_GCM_PARAMS": """CK_BYTE_PTR pIv; CK_ULONG ulIvLen; CK_ULONG ulIvBits; CK_BYTE_PTR pAAD; CK_ULONG ulAADLen;
        CK_ULONG ulTagBits;""",
    "CK_RSA_PKCS_OAEP_PARAMS": """CK_MECHANISM_TYPE hashAlg; CK_ULONG mgf; CK_ULONG source; CK_VOID_PTR pSourceData;
        CK_ULONG ulSourceDataLen;""",
    "CK_RSA_PKCS_PSS_PARAMS": "CK_MECHANISM_TYPE hashAlg; CK_ULONG mgf; CK_ULONG sLen;",
    "CK_CCM_PARAMS": """CK_ULONG ulDataLen; CK_BYTE_PTR pNonce; CK_ULONG ulNonceLen; CK_BYTE_PTR pAAD;
        CK_ULONG ulAADLen; CK_ULONG ulMACLen;""",
    "CK_KEY_DERIVATION_STRING_DATA": "CK_BYTE_PTR pData; CK_ULONG ulLen;",
    "CK_DES_CBC_ENCRYPT_DATA_PARAMS": "CK_BYTE iv[8]; CK_BYTE_PTR pData; CK_ULONG length;",
    "CK_AES_CBC_ENCRYPT_DATA_PARAMS": "CK_BYTE iv[16]; CK_BYTE_PTR pData; CK_ULONG length;",
    "CK_PKCS5_PBKD2_PARAMS": """CK_ULONG saltSource; CK_VOID_PTR pSaltSourceData; CK_ULONG ulSaltSourceDataLen;
        CK_ULONG iterations; CK_ULONG prf; CK_VOID_PTR pPrfData; CK_ULONG ulPrfDataLen; CK_BYTE_PTR pPassword;
        CK_ULONG *ulPasswordLen;""",
    "CK_ECDH1_DERIVE_PARAMS": """CK_ULONG kdf; CK_ULONG ulSharedDataLen; CK_BYTE_PTR pSharedData;
        CK_ULONG ulPublicDataLen; CK_BYTE_PTR pPublicData;""",
    "CK_GCM_MESSAGE_PARAMS": """CK_BYTE_PTR pIv; CK_ULONG ulIvLen; CK_ULONG ulIvFixedBits; CK_ULONG ivGenerator;
        CK_BYTE_PTR pTag; CK_ULONG ulTagBits;""",
    "CK_SALSA20_CHACHA20_POLY1305_PARAMS": """CK_BYTE_PTR pNonce; CK_ULONG ulNonceLen; CK_BYTE_PTR pAAD;
        CK_ULONG ulAADLen;""",
    "CK_HKDF_PARAMS": """CK_BBOOL bExtract; CK_BBOOL bExpand; CK_MECHANISM_TYPE prfHashMechanism; CK_ULONG ulSaltType;
        CK_BYTE_PTR pSalt; CK_ULONG ulSaltLen; CK_OBJECT_HANDLE hSaltKey; CK_BYTE_PTR pInfo; CK_ULONG ulInfoLen;""",
    "CK_ASYNC_DATA": """CK_ULONG ulVersion; CK_BYTE_PTR pValue; CK_ULONG ulValue; CK_OBJECT_HANDLE hObject;
        CK_OBJECT_HANDLE hAdditionalObject;""",
    "CK_INTERFACE": "CK_UTF8CHAR_PTR pInterfaceName; CK_VOID_PTR pFunctionList; CK_FLAGS flags;",
    "CK_C_INITIALIZE_ARGS": """CK_CREATEMUTEX CreateMutex; CK_DESTROYMUTEX DestroyMutex; CK_LOCKMUTEX LockMutex;
        CK_UNLOCKMUTEX UnlockMutex; CK_FLAGS flags; CK_VOID_PTR pReserved;""",
}
_CALLBACKS = """
    typedef CK_RV (*CK_NOTIFY)(CK_SESSION_HANDLE hSession, CK_NOTIFICATION event, CK_VOID_PTR pApplication);
    typedef CK_RV (*CK_CREATEMUTEX)(CK_VOID_PTR_PTR ppMutex);
    typedef CK_RV (*CK_DESTROYMUTEX)(CK_VOID_PTR pMutex);
    typedef CK_RV (*CK_LOCKMUTEX)(CK_VOID_PTR pMutex);
    typedef CK_RV (*CK_UNLOCKMUTEX)(CK_VOID_PTR pMutex);
"""


def prototype(declared: str, signature: Signature) -> str:
    """A function, or a pointer to one, with the parameters of a signature."""
    parameters = ", ".join(f"{p.type} {p.name}" for p in signature.parameters)
    return f"CK_RV {declared}({parameters});"


def declarations() -> Iterator[str]:
    """The types of Cryptoki, less the function list, as C has them."""

    def named(base: str, name: str) -> str:
        return f"typedef {base} {name}; typedef {name} *{name}_PTR;"

    yield from (named("unsigned char", name) for name in _BYTES.split())
    yield from (named("unsigned long", name) for name in _NUMBERS.split())
    yield "typedef void *CK_VOID_PTR; typedef CK_VOID_PTR *CK_VOID_PTR_PTR;"
    yield _CALLBACKS
    for name, members in _RECORDS.items():
        yield named(f"struct {name} {{ {members} }}", name)
    yield "typedef struct CK_FUNCTION_LIST CK_FUNCTION_LIST;"
    yield "typedef CK_FUNCTION_LIST *CK_FUNCTION_LIST_PTR; typedef CK_FUNCTION_LIST_PTR *CK_FUNCTION_LIST_PTR_PTR;"
    yield "typedef CK_INTERFACE_PTR *CK_INTERFACE_PTR_PTR;"
    yield from (prototype(name, SIGNATURES[name]) for name in EXPORTED)


ffi = FFI()
ffi.cdef("\n".join(declarations()))


def new(kind: str, value: Any = None) -> CData:
    """A C value of the given pointer or array type; it lives as long as the object returned."""
    return ffi.new(kind, value)


def octets(content: bytes) -> CData:
    """A copy of some bytes, without the NUL that cffi appends where it may choose the length."""
    made = ffi.new("CK_BYTE[]", len(content))  # not a type for each length: parsing one takes milliseconds
    ffi.buffer(made)[:] = content
    return made


def initialize_args(reserved: CData = ffi.NULL, flags: int = 0) -> CData:
    """A CK_C_INITIALIZE_ARGS without callbacks."""
    # The zeroed second record is for NSS, whose structure has one more member before pReserved.
    args = new("CK_C_INITIALIZE_ARGS[2]")
    args[0].flags = flags
    args[0].pReserved = reserved
    return args


@cache
def c_string(text: str) -> CData:
    """A NUL-terminated copy of a text, for pReserved: it is never freed, for a module may look at it at any time."""
    return new("char[]", text.encode())


@cache
def threaded_args(reserved: CData) -> CData:
    """What an ordinary application gives C_Initialize for a module that wants a string in pReserved; never freed."""
    return initialize_args(reserved, CKF.OS_LOCKING_OK)


def padded(text: str, size: int = 32) -> bytes:
    """A text as the fixed fields of Cryptoki hold it: UTF-8, blank padded, without a NUL."""
    return text.encode()[:size].ljust(size)


def unpadded(field: CData) -> str:
    """The text in a blank-padded field."""
    return bytes(ffi.buffer(field)).decode(errors="replace").rstrip(" \0")


def count(value: int) -> int:
    """A count as the model has it: LIMIT_UNKNOWN for CK_UNAVAILABLE_INFORMATION, 0 for CK_EFFECTIVELY_INFINITE."""
    return -1 if value == UNAVAILABLE_INFORMATION else value
