"""The interface as the standard lists it: for each function its section, its parameters and its return values.

A list is not a rule: section 5.1 says that a library may run into codes outside it. It tells an off-list code from
a misplaced one, and says which functions belong to the classes of 5.1.2 and 5.1.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .vocabulary import CKR, Version

UNIVERSAL = "OK GENERAL_ERROR HOST_MEMORY FUNCTION_FAILED"
TOKEN = f"{UNIVERSAL} CRYPTOKI_NOT_INITIALIZED DEVICE_REMOVED DEVICE_ERROR DEVICE_MEMORY"
SESSION = f"{TOKEN} SESSION_HANDLE_INVALID SESSION_CLOSED"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a C_ function: its C type and its name, as declared."""

    type: str
    name: str


@dataclass(frozen=True, slots=True)
class Signature:
    """A C_ function: section, parameters, and the codes that its return-value list names, by version.

    The section is that of v2.40; of a function that came later, that of the version that brought it ("5.9 of v3.0").
    Versions without the function have no list of it.
    """

    name: str
    section: str
    parameters: tuple[Parameter, ...]
    listed: Mapping[Version, frozenset[CKR]]

    @property
    def takes_session(self) -> bool:
        """Whether 5.1.2 applies: the first parameter is a session handle."""
        return bool(self.parameters) and self.parameters[0].type == "CK_SESSION_HANDLE"

    @property
    def uses_token(self) -> bool:
        """Whether 5.1.3 applies: the function uses a particular token, as those do that list codes of one removed."""
        return self.takes_session or CKR.DEVICE_REMOVED in self.listed[self.since]

    @property
    def since(self) -> Version:
        """The version that brought the function."""
        return min(self.listed, key=lambda version: version.number)


def _codes(*names: str) -> frozenset[CKR]:
    return frozenset(CKR[name] for part in names for name in part.split())


def _f(
    name: str,
    section: str,
    parameters: str,
    group: str,
    more: str,
    *,
    since: Version = Version.V2_01,
    since_2_20: str = "",
    since_2_40: str = "",
    since_3_0: str = "",
    since_3_2: str = "",
    only_2_01: str = "",
    asynchronous: bool = True,
) -> Signature:
    """A function with its lists; `more` and `group` are of the first version, the others add to it.

    v3.2 lists two codes more for every function with a session, but for those that are not `asynchronous`. The lists
    of v3.1 are taken to be those of v3.0: its headers have the same functions.
    """
    fields = (part.rsplit(" ", 1) for part in parameters.split(", "))
    takes_session = parameters.startswith("CK_SESSION_HANDLE ")
    added = {
        Version.V2_20: since_2_20,
        Version.V2_40: since_2_40,
        Version.V3_0: since_3_0,
        Version.V3_1: "",
        Version.V3_2: f"{since_3_2} {'OPERATION_ACTIVE PENDING' if takes_session and asynchronous else ''}",
    }
    return Signature(
        name,
        section,
        tuple(Parameter(kind, field) for kind, field in fields),
        {
            version: _codes(
                group,
                more,
                *(codes for earlier, codes in added.items() if earlier <= version),
                only_2_01 if version is Version.V2_01 else "",
            )
            for version in Version
            if since <= version
        },
    )


_ROWS = (
    _f(
        "C_Initialize",
        "5.4",
        "CK_VOID_PTR pInitArgs",
        UNIVERSAL,
        "ARGUMENTS_BAD CANT_LOCK CRYPTOKI_ALREADY_INITIALIZED NEED_TO_CREATE_THREADS",
    ),
    _f("C_Finalize", "5.4", "CK_VOID_PTR pReserved", UNIVERSAL, "ARGUMENTS_BAD CRYPTOKI_NOT_INITIALIZED"),
    _f("C_GetInfo", "5.4", "CK_INFO_PTR pInfo", UNIVERSAL, "CRYPTOKI_NOT_INITIALIZED", since_2_20="ARGUMENTS_BAD"),
    _f(
        "C_GetFunctionList", "5.4", "CK_FUNCTION_LIST_PTR_PTR ppFunctionList", UNIVERSAL, "", since_2_20="ARGUMENTS_BAD"
    ),
    _f(
        "C_GetSlotList",
        "5.5",
        "CK_BBOOL tokenPresent, CK_SLOT_ID_PTR pSlotList, CK_ULONG_PTR pulCount",
        UNIVERSAL,
        "BUFFER_TOO_SMALL CRYPTOKI_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_GetSlotInfo",
        "5.5",
        "CK_SLOT_ID slotID, CK_SLOT_INFO_PTR pInfo",
        UNIVERSAL,
        "CRYPTOKI_NOT_INITIALIZED DEVICE_ERROR SLOT_ID_INVALID",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_GetTokenInfo",
        "5.5",
        "CK_SLOT_ID slotID, CK_TOKEN_INFO_PTR pInfo",
        TOKEN,
        "SLOT_ID_INVALID TOKEN_NOT_PRESENT TOKEN_NOT_RECOGNIZED",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_GetMechanismList",
        "5.5",
        "CK_SLOT_ID slotID, CK_MECHANISM_TYPE_PTR pMechanismList, CK_ULONG_PTR pulCount",
        TOKEN,
        "BUFFER_TOO_SMALL SLOT_ID_INVALID TOKEN_NOT_PRESENT TOKEN_NOT_RECOGNIZED",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_GetMechanismInfo",
        "5.5",
        "CK_SLOT_ID slotID, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO_PTR pInfo",
        TOKEN,
        "MECHANISM_INVALID SLOT_ID_INVALID TOKEN_NOT_PRESENT TOKEN_NOT_RECOGNIZED",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_InitToken",
        "5.5",
        "CK_SLOT_ID slotID, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen, CK_UTF8CHAR_PTR pLabel",
        TOKEN,
        "PIN_INCORRECT PIN_LOCKED SESSION_EXISTS SLOT_ID_INVALID TOKEN_NOT_PRESENT TOKEN_NOT_RECOGNIZED TOKEN_WRITE_PROTECTED",
        since_2_20="ARGUMENTS_BAD FUNCTION_CANCELED",
    ),
    _f(
        "C_InitPIN",
        "5.5",
        "CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen",
        SESSION,
        "PIN_INVALID PIN_LEN_RANGE SESSION_READ_ONLY TOKEN_WRITE_PROTECTED USER_NOT_LOGGED_IN",
        since_2_20="ARGUMENTS_BAD FUNCTION_CANCELED",
    ),
    _f(
        "C_SetPIN",
        "5.5",
        "CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pOldPin, CK_ULONG ulOldLen, CK_UTF8CHAR_PTR pNewPin, CK_ULONG ulNewLen",
        SESSION,
        "PIN_INCORRECT PIN_INVALID PIN_LEN_RANGE PIN_LOCKED SESSION_READ_ONLY TOKEN_WRITE_PROTECTED",
        since_2_20="ARGUMENTS_BAD FUNCTION_CANCELED",
    ),
    _f(
        "C_OpenSession",
        "5.6",
        "CK_SLOT_ID slotID, CK_FLAGS flags, CK_VOID_PTR pApplication, CK_NOTIFY Notify, CK_SESSION_HANDLE_PTR phSession",
        TOKEN,
        "SESSION_COUNT SESSION_PARALLEL_NOT_SUPPORTED SESSION_READ_WRITE_SO_EXISTS SLOT_ID_INVALID TOKEN_NOT_PRESENT TOKEN_NOT_RECOGNIZED TOKEN_WRITE_PROTECTED",
        since_2_20="ARGUMENTS_BAD",
        since_3_2="SESSION_ASYNC_NOT_SUPPORTED",
    ),
    _f("C_CloseSession", "5.6", "CK_SESSION_HANDLE hSession", SESSION, ""),
    _f("C_CloseAllSessions", "5.6", "CK_SLOT_ID slotID", TOKEN, "SLOT_ID_INVALID TOKEN_NOT_PRESENT"),
    _f(
        "C_GetSessionInfo",
        "5.6",
        "CK_SESSION_HANDLE hSession, CK_SESSION_INFO_PTR pInfo",
        SESSION,
        "",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_GetOperationState",
        "5.6",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pOperationState, CK_ULONG_PTR pulOperationStateLen",
        SESSION,
        "BUFFER_TOO_SMALL OPERATION_NOT_INITIALIZED STATE_UNSAVEABLE",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_SetOperationState",
        "5.6",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pOperationState, CK_ULONG ulOperationStateLen, CK_OBJECT_HANDLE hEncryptionKey, CK_OBJECT_HANDLE hAuthenticationKey",
        SESSION,
        "KEY_CHANGED KEY_NEEDED KEY_NOT_NEEDED SAVED_STATE_INVALID",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_Login",
        "5.6",
        "CK_SESSION_HANDLE hSession, CK_USER_TYPE userType, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen",
        SESSION,
        "PIN_INCORRECT PIN_LOCKED SESSION_READ_ONLY_EXISTS USER_ALREADY_LOGGED_IN USER_ANOTHER_ALREADY_LOGGED_IN USER_PIN_NOT_INITIALIZED USER_TOO_MANY_TYPES USER_TYPE_INVALID",
        since_2_20="ARGUMENTS_BAD FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        only_2_01="PIN_EXPIRED",
    ),
    _f("C_Logout", "5.6", "CK_SESSION_HANDLE hSession", SESSION, "USER_NOT_LOGGED_IN"),
    _f(
        "C_CreateObject",
        "5.7",
        "CK_SESSION_HANDLE hSession, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount, CK_OBJECT_HANDLE_PTR phObject",
        SESSION,
        "ATTRIBUTE_READ_ONLY ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID SESSION_READ_ONLY TEMPLATE_INCOMPLETE TEMPLATE_INCONSISTENT TOKEN_WRITE_PROTECTED USER_NOT_LOGGED_IN",
        since_2_20="ARGUMENTS_BAD DOMAIN_PARAMS_INVALID PIN_EXPIRED",
        since_2_40="CURVE_NOT_SUPPORTED",
        since_3_2="PARAMETER_SET_NOT_SUPPORTED",
    ),
    _f(
        "C_CopyObject",
        "5.7",
        "CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount, CK_OBJECT_HANDLE_PTR phNewObject",
        SESSION,
        "ATTRIBUTE_READ_ONLY ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID OBJECT_HANDLE_INVALID SESSION_READ_ONLY TEMPLATE_INCONSISTENT TOKEN_WRITE_PROTECTED USER_NOT_LOGGED_IN",
        since_2_20="ARGUMENTS_BAD PIN_EXPIRED",
        since_2_40="ACTION_PROHIBITED",
    ),
    _f(
        "C_DestroyObject",
        "5.7",
        "CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject",
        SESSION,
        "OBJECT_HANDLE_INVALID SESSION_READ_ONLY TOKEN_WRITE_PROTECTED",
        since_2_20="PIN_EXPIRED",
        since_2_40="ACTION_PROHIBITED",
    ),
    _f(
        "C_GetObjectSize",
        "5.7",
        "CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ULONG_PTR pulSize",
        SESSION,
        "INFORMATION_SENSITIVE OBJECT_HANDLE_INVALID",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_GetAttributeValue",
        "5.7",
        "CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount",
        SESSION,
        "ATTRIBUTE_SENSITIVE ATTRIBUTE_TYPE_INVALID BUFFER_TOO_SMALL OBJECT_HANDLE_INVALID",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_SetAttributeValue",
        "5.7",
        "CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount",
        SESSION,
        "ATTRIBUTE_READ_ONLY ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID OBJECT_HANDLE_INVALID SESSION_READ_ONLY TEMPLATE_INCONSISTENT TOKEN_WRITE_PROTECTED",
        since_2_20="ARGUMENTS_BAD USER_NOT_LOGGED_IN",
        since_2_40="ACTION_PROHIBITED",
    ),
    _f(
        "C_FindObjectsInit",
        "5.7",
        "CK_SESSION_HANDLE hSession, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount",
        SESSION,
        "ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID OPERATION_ACTIVE",
        since_2_20="ARGUMENTS_BAD PIN_EXPIRED",
    ),
    _f(
        "C_FindObjects",
        "5.7",
        "CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE_PTR phObject, CK_ULONG ulMaxObjectCount, CK_ULONG_PTR pulObjectCount",
        SESSION,
        "OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f("C_FindObjectsFinal", "5.7", "CK_SESSION_HANDLE hSession", SESSION, "OPERATION_NOT_INITIALIZED"),
    _f(
        "C_EncryptInit",
        "5.8",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey",
        SESSION,
        "FUNCTION_CANCELED KEY_FUNCTION_NOT_PERMITTED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE USER_NOT_LOGGED_IN",
        since_2_20="PIN_EXPIRED",
        since_3_0="OPERATION_CANCEL_FAILED",
    ),
    _f(
        "C_Encrypt",
        "5.8",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pEncryptedData, CK_ULONG_PTR pulEncryptedDataLen",
        SESSION,
        "BUFFER_TOO_SMALL DATA_INVALID DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_EncryptUpdate",
        "5.8",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen, CK_BYTE_PTR pEncryptedPart, CK_ULONG_PTR pulEncryptedPartLen",
        SESSION,
        "BUFFER_TOO_SMALL DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_EncryptFinal",
        "5.8",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pLastEncryptedPart, CK_ULONG_PTR pulLastEncryptedPartLen",
        SESSION,
        "BUFFER_TOO_SMALL DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_DecryptInit",
        "5.9",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey",
        SESSION,
        "FUNCTION_CANCELED KEY_FUNCTION_NOT_PERMITTED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE USER_NOT_LOGGED_IN",
        since_2_20="ARGUMENTS_BAD PIN_EXPIRED",
        since_3_0="OPERATION_CANCEL_FAILED",
    ),
    _f(
        "C_Decrypt",
        "5.9",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedData, CK_ULONG ulEncryptedDataLen, CK_BYTE_PTR pData, CK_ULONG_PTR pulDataLen",
        SESSION,
        "BUFFER_TOO_SMALL ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD USER_NOT_LOGGED_IN",
    ),
    _f(
        "C_DecryptUpdate",
        "5.9",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart, CK_ULONG ulEncryptedPartLen, CK_BYTE_PTR pPart, CK_ULONG_PTR pulPartLen",
        SESSION,
        "BUFFER_TOO_SMALL ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD USER_NOT_LOGGED_IN",
    ),
    _f(
        "C_DecryptFinal",
        "5.9",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pLastPart, CK_ULONG_PTR pulLastPartLen",
        SESSION,
        "BUFFER_TOO_SMALL ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD USER_NOT_LOGGED_IN",
    ),
    _f(
        "C_DigestInit",
        "5.10",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism",
        SESSION,
        "FUNCTION_CANCELED MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE USER_NOT_LOGGED_IN",
        since_2_20="ARGUMENTS_BAD PIN_EXPIRED",
        since_3_0="OPERATION_CANCEL_FAILED",
    ),
    _f(
        "C_Digest",
        "5.10",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pDigest, CK_ULONG_PTR pulDigestLen",
        SESSION,
        "BUFFER_TOO_SMALL FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_DigestUpdate",
        "5.10",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen",
        SESSION,
        "FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_DigestKey",
        "5.10",
        "CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hKey",
        SESSION,
        "FUNCTION_CANCELED KEY_HANDLE_INVALID KEY_INDIGESTIBLE KEY_SIZE_RANGE OPERATION_NOT_INITIALIZED",
    ),
    _f(
        "C_DigestFinal",
        "5.10",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pDigest, CK_ULONG_PTR pulDigestLen",
        SESSION,
        "BUFFER_TOO_SMALL FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_SignInit",
        "5.11",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey",
        SESSION,
        "FUNCTION_CANCELED KEY_FUNCTION_NOT_PERMITTED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE USER_NOT_LOGGED_IN",
        since_2_20="ARGUMENTS_BAD PIN_EXPIRED",
        since_3_0="OPERATION_CANCEL_FAILED",
    ),
    _f(
        "C_Sign",
        "5.11",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen",
        SESSION,
        "BUFFER_TOO_SMALL DATA_INVALID DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD FUNCTION_REJECTED USER_NOT_LOGGED_IN",
        since_3_0="TOKEN_RESOURCE_EXCEEDED",
    ),
    _f(
        "C_SignUpdate",
        "5.11",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen",
        SESSION,
        "DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD USER_NOT_LOGGED_IN",
        since_3_0="TOKEN_RESOURCE_EXCEEDED",
    ),
    _f(
        "C_SignFinal",
        "5.11",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen",
        SESSION,
        "BUFFER_TOO_SMALL DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD FUNCTION_REJECTED USER_NOT_LOGGED_IN",
        since_3_0="TOKEN_RESOURCE_EXCEEDED",
    ),
    _f(
        "C_SignRecoverInit",
        "5.11",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey",
        SESSION,
        "FUNCTION_CANCELED KEY_FUNCTION_NOT_PERMITTED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE USER_NOT_LOGGED_IN",
        since_2_20="ARGUMENTS_BAD PIN_EXPIRED",
        since_3_0="OPERATION_CANCEL_FAILED",
    ),
    _f(
        "C_SignRecover",
        "5.11",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen",
        SESSION,
        "BUFFER_TOO_SMALL DATA_INVALID DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD USER_NOT_LOGGED_IN",
        since_3_0="TOKEN_RESOURCE_EXCEEDED",
    ),
    _f(
        "C_VerifyInit",
        "5.11",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey",
        SESSION,
        "FUNCTION_CANCELED KEY_FUNCTION_NOT_PERMITTED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE USER_NOT_LOGGED_IN",
        since_2_20="ARGUMENTS_BAD PIN_EXPIRED",
        since_3_0="OPERATION_CANCEL_FAILED",
    ),
    _f(
        "C_Verify",
        "5.11",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen",
        SESSION,
        "DATA_INVALID DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED SIGNATURE_INVALID SIGNATURE_LEN_RANGE",
        since_2_20="ARGUMENTS_BAD",
        since_3_0="TOKEN_RESOURCE_EXCEEDED",
    ),
    _f(
        "C_VerifyUpdate",
        "5.11",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen",
        SESSION,
        "DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD",
        since_3_0="TOKEN_RESOURCE_EXCEEDED",
    ),
    _f(
        "C_VerifyFinal",
        "5.11",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen",
        SESSION,
        "DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED SIGNATURE_INVALID SIGNATURE_LEN_RANGE",
        since_2_20="ARGUMENTS_BAD",
        since_3_0="TOKEN_RESOURCE_EXCEEDED",
    ),
    _f(
        "C_VerifyRecoverInit",
        "5.11",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey",
        SESSION,
        "FUNCTION_CANCELED KEY_FUNCTION_NOT_PERMITTED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE USER_NOT_LOGGED_IN",
        since_2_20="ARGUMENTS_BAD PIN_EXPIRED",
        since_3_0="OPERATION_CANCEL_FAILED",
    ),
    _f(
        "C_VerifyRecover",
        "5.11",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen, CK_BYTE_PTR pData, CK_ULONG_PTR pulDataLen",
        SESSION,
        "BUFFER_TOO_SMALL DATA_INVALID DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED SIGNATURE_INVALID SIGNATURE_LEN_RANGE",
        since_2_20="ARGUMENTS_BAD",
        since_3_0="TOKEN_RESOURCE_EXCEEDED",
    ),
    _f(
        "C_DigestEncryptUpdate",
        "5.12",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen, CK_BYTE_PTR pEncryptedPart, CK_ULONG_PTR pulEncryptedPartLen",
        SESSION,
        "BUFFER_TOO_SMALL DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_DecryptDigestUpdate",
        "5.12",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart, CK_ULONG ulEncryptedPartLen, CK_BYTE_PTR pPart, CK_ULONG_PTR pulPartLen",
        SESSION,
        "BUFFER_TOO_SMALL ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_SignEncryptUpdate",
        "5.12",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen, CK_BYTE_PTR pEncryptedPart, CK_ULONG_PTR pulEncryptedPartLen",
        SESSION,
        "BUFFER_TOO_SMALL DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD USER_NOT_LOGGED_IN",
    ),
    _f(
        "C_DecryptVerifyUpdate",
        "5.12",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart, CK_ULONG ulEncryptedPartLen, CK_BYTE_PTR pPart, CK_ULONG_PTR pulPartLen",
        SESSION,
        "BUFFER_TOO_SMALL DATA_LEN_RANGE ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_GenerateKey",
        "5.13",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount, CK_OBJECT_HANDLE_PTR phKey",
        SESSION,
        "ATTRIBUTE_READ_ONLY ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID FUNCTION_CANCELED MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE SESSION_READ_ONLY TEMPLATE_INCOMPLETE TEMPLATE_INCONSISTENT TOKEN_WRITE_PROTECTED USER_NOT_LOGGED_IN",
        since_2_20="ARGUMENTS_BAD PIN_EXPIRED",
        since_2_40="CURVE_NOT_SUPPORTED",
    ),
    _f(
        "C_GenerateKeyPair",
        "5.13",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_ATTRIBUTE_PTR pPublicKeyTemplate, CK_ULONG ulPublicKeyAttributeCount, CK_ATTRIBUTE_PTR pPrivateKeyTemplate, CK_ULONG ulPrivateKeyAttributeCount, CK_OBJECT_HANDLE_PTR phPublicKey, CK_OBJECT_HANDLE_PTR phPrivateKey",
        SESSION,
        "ATTRIBUTE_READ_ONLY ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID FUNCTION_CANCELED MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE SESSION_READ_ONLY TEMPLATE_INCOMPLETE TEMPLATE_INCONSISTENT TOKEN_WRITE_PROTECTED USER_NOT_LOGGED_IN",
        since_2_20="ARGUMENTS_BAD DOMAIN_PARAMS_INVALID PIN_EXPIRED",
        since_2_40="CURVE_NOT_SUPPORTED",
        since_3_2="PARAMETER_SET_NOT_SUPPORTED",
    ),
    _f(
        "C_WrapKey",
        "5.13",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hWrappingKey, CK_OBJECT_HANDLE hKey, CK_BYTE_PTR pWrappedKey, CK_ULONG_PTR pulWrappedKeyLen",
        SESSION,
        "BUFFER_TOO_SMALL FUNCTION_CANCELED KEY_HANDLE_INVALID KEY_NOT_WRAPPABLE KEY_SIZE_RANGE KEY_UNEXTRACTABLE MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE USER_NOT_LOGGED_IN WRAPPING_KEY_HANDLE_INVALID WRAPPING_KEY_SIZE_RANGE WRAPPING_KEY_TYPE_INCONSISTENT",
        since_2_20="ARGUMENTS_BAD PIN_EXPIRED",
    ),
    _f(
        "C_UnwrapKey",
        "5.13",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hUnwrappingKey, CK_BYTE_PTR pWrappedKey, CK_ULONG ulWrappedKeyLen, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount, CK_OBJECT_HANDLE_PTR phKey",
        SESSION,
        "ATTRIBUTE_READ_ONLY ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID BUFFER_TOO_SMALL FUNCTION_CANCELED MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE SESSION_READ_ONLY TEMPLATE_INCOMPLETE TEMPLATE_INCONSISTENT TOKEN_WRITE_PROTECTED UNWRAPPING_KEY_HANDLE_INVALID UNWRAPPING_KEY_SIZE_RANGE UNWRAPPING_KEY_TYPE_INCONSISTENT USER_NOT_LOGGED_IN WRAPPED_KEY_INVALID WRAPPED_KEY_LEN_RANGE",
        since_2_20="ARGUMENTS_BAD DOMAIN_PARAMS_INVALID PIN_EXPIRED",
        since_2_40="CURVE_NOT_SUPPORTED",
        since_3_2="PARAMETER_SET_NOT_SUPPORTED",
    ),
    _f(
        "C_DeriveKey",
        "5.13",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hBaseKey, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount, CK_OBJECT_HANDLE_PTR phKey",
        SESSION,
        "ATTRIBUTE_READ_ONLY ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID FUNCTION_CANCELED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE SESSION_READ_ONLY TEMPLATE_INCOMPLETE TEMPLATE_INCONSISTENT TOKEN_WRITE_PROTECTED USER_NOT_LOGGED_IN",
        since_2_20="ARGUMENTS_BAD DOMAIN_PARAMS_INVALID PIN_EXPIRED",
        since_2_40="CURVE_NOT_SUPPORTED",
    ),
    _f(
        "C_SeedRandom",
        "5.14",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSeed, CK_ULONG ulSeedLen",
        SESSION,
        "FUNCTION_CANCELED OPERATION_ACTIVE RANDOM_NO_RNG RANDOM_SEED_NOT_SUPPORTED USER_NOT_LOGGED_IN",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_GenerateRandom",
        "5.14",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pRandomData, CK_ULONG ulRandomLen",
        SESSION,
        "FUNCTION_CANCELED OPERATION_ACTIVE RANDOM_NO_RNG USER_NOT_LOGGED_IN",
        since_2_20="ARGUMENTS_BAD",
        since_3_2="SEED_RANDOM_REQUIRED",
    ),
    _f(
        "C_GetFunctionStatus",
        "5.15",
        "CK_SESSION_HANDLE hSession",
        "",
        "CRYPTOKI_NOT_INITIALIZED FUNCTION_FAILED FUNCTION_NOT_PARALLEL GENERAL_ERROR HOST_MEMORY",
        since_2_20="SESSION_CLOSED SESSION_HANDLE_INVALID",
        since_3_2="OK",
    ),
    _f(
        "C_CancelFunction",
        "5.15",
        "CK_SESSION_HANDLE hSession",
        "",
        "CRYPTOKI_NOT_INITIALIZED FUNCTION_FAILED FUNCTION_NOT_PARALLEL GENERAL_ERROR HOST_MEMORY",
        since_2_20="SESSION_CLOSED SESSION_HANDLE_INVALID",
        since_3_2="OK",
    ),
    _f(
        "C_WaitForSlotEvent",
        "5.5",
        "CK_FLAGS flags, CK_SLOT_ID_PTR pSlot, CK_VOID_PTR pReserved",
        UNIVERSAL,
        "CRYPTOKI_NOT_INITIALIZED NO_EVENT",
        since_2_20="ARGUMENTS_BAD",
    ),
    _f(
        "C_GetInterfaceList",
        "5.4 of v3.0",
        "CK_INTERFACE_PTR pInterfaceList, CK_ULONG_PTR pulCount",
        UNIVERSAL,
        "ARGUMENTS_BAD BUFFER_TOO_SMALL",
        since=Version.V3_0,
    ),
    _f(
        "C_GetInterface",
        "5.4 of v3.0",
        "CK_UTF8CHAR_PTR pInterfaceName, CK_VERSION_PTR pVersion, CK_INTERFACE_PTR_PTR ppInterface, CK_FLAGS flags",
        UNIVERSAL,
        "ARGUMENTS_BAD BUFFER_TOO_SMALL",
        since=Version.V3_0,
    ),
    _f(
        "C_SessionCancel",
        "5.6 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_FLAGS flags",
        TOKEN,
        "OPERATION_CANCEL_FAILED TOKEN_NOT_PRESENT",
        since=Version.V3_0,
    ),
    _f(
        "C_LoginUser",
        "5.6 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_USER_TYPE userType, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen, CK_UTF8CHAR_PTR pUsername, CK_ULONG ulUsernameLen",
        SESSION,
        "ARGUMENTS_BAD FUNCTION_CANCELED OPERATION_NOT_INITIALIZED PIN_INCORRECT PIN_LOCKED SESSION_READ_ONLY_EXISTS USER_ALREADY_LOGGED_IN USER_ANOTHER_ALREADY_LOGGED_IN USER_PIN_NOT_INITIALIZED USER_TOO_MANY_TYPES USER_TYPE_INVALID",
        since=Version.V3_0,
    ),
    _f(
        "C_MessageEncryptInit",
        "5.9 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey",
        SESSION,
        "FUNCTION_CANCELED KEY_FUNCTION_NOT_PERMITTED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE OPERATION_CANCEL_FAILED PIN_EXPIRED USER_NOT_LOGGED_IN",
        since=Version.V3_0,
    ),
    _f(
        "C_EncryptMessage",
        "5.9 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR pAssociatedData, CK_ULONG ulAssociatedDataLen, CK_BYTE_PTR pPlaintext, CK_ULONG ulPlaintextLen, CK_BYTE_PTR pCiphertext, CK_ULONG_PTR pulCiphertextLen",
        SESSION,
        "ARGUMENTS_BAD BUFFER_TOO_SMALL DATA_INVALID DATA_LEN_RANGE FUNCTION_CANCELED",
        since=Version.V3_0,
        since_3_2="MECHANISM_PARAM_INVALID OPERATION_NOT_INITIALIZED",
    ),
    _f(
        "C_EncryptMessageBegin",
        "5.9 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR pAssociatedData, CK_ULONG ulAssociatedDataLen",
        SESSION,
        "FUNCTION_CANCELED OPERATION_ACTIVE PIN_EXPIRED USER_NOT_LOGGED_IN",
        since=Version.V3_0,
        since_3_2="MECHANISM_PARAM_INVALID OPERATION_NOT_INITIALIZED",
    ),
    _f(
        "C_EncryptMessageNext",
        "5.9 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR pPlaintextPart, CK_ULONG ulPlaintextPartLen, CK_BYTE_PTR pCiphertextPart, CK_ULONG_PTR pulCiphertextPartLen, CK_FLAGS flags",
        SESSION,
        "ARGUMENTS_BAD BUFFER_TOO_SMALL DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since=Version.V3_0,
        since_3_2="MECHANISM_PARAM_INVALID",
    ),
    _f(
        "C_MessageEncryptFinal",
        "5.9 of v3.0",
        "CK_SESSION_HANDLE hSession",
        SESSION,
        "ARGUMENTS_BAD FUNCTION_CANCELED OPERATION_NOT_INITIALIZED",
        since=Version.V3_0,
    ),
    _f(
        "C_MessageDecryptInit",
        "5.11 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey",
        SESSION,
        "ARGUMENTS_BAD FUNCTION_CANCELED KEY_FUNCTION_NOT_PERMITTED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE OPERATION_CANCEL_FAILED PIN_EXPIRED USER_NOT_LOGGED_IN",
        since=Version.V3_0,
    ),
    _f(
        "C_DecryptMessage",
        "5.11 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR pAssociatedData, CK_ULONG ulAssociatedDataLen, CK_BYTE_PTR pCiphertext, CK_ULONG ulCiphertextLen, CK_BYTE_PTR pPlaintext, CK_ULONG_PTR pulPlaintextLen",
        SESSION,
        "AEAD_DECRYPT_FAILED ARGUMENTS_BAD BUFFER_TOO_SMALL ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_CANCEL_FAILED OPERATION_NOT_INITIALIZED USER_NOT_LOGGED_IN",
        since=Version.V3_0,
        since_3_2="MECHANISM_PARAM_INVALID",
    ),
    _f(
        "C_DecryptMessageBegin",
        "5.11 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR pAssociatedData, CK_ULONG ulAssociatedDataLen",
        SESSION,
        "ARGUMENTS_BAD FUNCTION_CANCELED OPERATION_ACTIVE PIN_EXPIRED USER_NOT_LOGGED_IN",
        since=Version.V3_0,
        since_3_2="MECHANISM_PARAM_INVALID OPERATION_NOT_INITIALIZED",
    ),
    _f(
        "C_DecryptMessageNext",
        "5.11 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR pCiphertextPart, CK_ULONG ulCiphertextPartLen, CK_BYTE_PTR pPlaintextPart, CK_ULONG_PTR pulPlaintextPartLen, CK_FLAGS flags",
        SESSION,
        "AEAD_DECRYPT_FAILED ARGUMENTS_BAD BUFFER_TOO_SMALL ENCRYPTED_DATA_INVALID ENCRYPTED_DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED USER_NOT_LOGGED_IN",
        since=Version.V3_0,
        since_3_2="MECHANISM_PARAM_INVALID",
    ),
    _f(
        "C_MessageDecryptFinal",
        "5.11 of v3.0",
        "CK_SESSION_HANDLE hSession",
        SESSION,
        "ARGUMENTS_BAD FUNCTION_CANCELED OPERATION_NOT_INITIALIZED USER_NOT_LOGGED_IN",
        since=Version.V3_0,
    ),
    _f(
        "C_MessageSignInit",
        "5.14 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey",
        SESSION,
        "ARGUMENTS_BAD FUNCTION_CANCELED KEY_FUNCTION_NOT_PERMITTED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE PIN_EXPIRED USER_NOT_LOGGED_IN",
        since=Version.V3_0,
    ),
    _f(
        "C_SignMessage",
        "5.14 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen",
        SESSION,
        "ARGUMENTS_BAD BUFFER_TOO_SMALL DATA_INVALID DATA_LEN_RANGE FUNCTION_CANCELED FUNCTION_REJECTED OPERATION_NOT_INITIALIZED TOKEN_RESOURCE_EXCEEDED USER_NOT_LOGGED_IN",
        since=Version.V3_0,
        since_3_2="MECHANISM_PARAM_INVALID",
    ),
    _f(
        "C_SignMessageBegin",
        "5.14 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen",
        SESSION,
        "ARGUMENTS_BAD FUNCTION_CANCELED OPERATION_ACTIVE PIN_EXPIRED TOKEN_RESOURCE_EXCEEDED USER_NOT_LOGGED_IN",
        since=Version.V3_0,
        since_3_2="MECHANISM_PARAM_INVALID OPERATION_NOT_INITIALIZED",
    ),
    _f(
        "C_SignMessageNext",
        "5.14 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR pDataPart, CK_ULONG ulDataPartLen, CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen",
        SESSION,
        "ARGUMENTS_BAD BUFFER_TOO_SMALL DATA_LEN_RANGE FUNCTION_CANCELED FUNCTION_REJECTED OPERATION_NOT_INITIALIZED TOKEN_RESOURCE_EXCEEDED USER_NOT_LOGGED_IN",
        since=Version.V3_0,
        since_3_2="MECHANISM_PARAM_INVALID",
    ),
    _f(
        "C_MessageSignFinal",
        "5.14 of v3.0",
        "CK_SESSION_HANDLE hSession",
        SESSION,
        "ARGUMENTS_BAD FUNCTION_CANCELED FUNCTION_REJECTED OPERATION_NOT_INITIALIZED TOKEN_RESOURCE_EXCEEDED USER_NOT_LOGGED_IN",
        since=Version.V3_0,
    ),
    _f(
        "C_MessageVerifyInit",
        "5.16 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey",
        SESSION,
        "ARGUMENTS_BAD FUNCTION_CANCELED KEY_FUNCTION_NOT_PERMITTED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE PIN_EXPIRED USER_NOT_LOGGED_IN",
        since=Version.V3_0,
    ),
    _f(
        "C_VerifyMessage",
        "5.16 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen",
        SESSION,
        "ARGUMENTS_BAD DATA_INVALID DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED SIGNATURE_INVALID SIGNATURE_LEN_RANGE TOKEN_RESOURCE_EXCEEDED",
        since=Version.V3_0,
        since_3_2="MECHANISM_PARAM_INVALID",
    ),
    _f(
        "C_VerifyMessageBegin",
        "5.16 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen",
        SESSION,
        "ARGUMENTS_BAD FUNCTION_CANCELED OPERATION_ACTIVE PIN_EXPIRED USER_NOT_LOGGED_IN",
        since=Version.V3_0,
        since_3_2="MECHANISM_PARAM_INVALID OPERATION_NOT_INITIALIZED",
    ),
    _f(
        "C_VerifyMessageNext",
        "5.16 of v3.0",
        "CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen, CK_BYTE_PTR pDataPart, CK_ULONG ulDataPartLen, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen",
        SESSION,
        "ARGUMENTS_BAD DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED SIGNATURE_INVALID SIGNATURE_LEN_RANGE TOKEN_RESOURCE_EXCEEDED",
        since=Version.V3_0,
        since_3_2="MECHANISM_PARAM_INVALID",
    ),
    _f(
        "C_MessageVerifyFinal",
        "5.16 of v3.0",
        "CK_SESSION_HANDLE hSession",
        SESSION,
        "ARGUMENTS_BAD DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED TOKEN_RESOURCE_EXCEEDED",
        since=Version.V3_0,
    ),
    _f(
        "C_EncapsulateKey",
        "5.18 of v3.2",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hPublicKey, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount, CK_BYTE_PTR pCiphertext, CK_ULONG_PTR pulCiphertextLen, CK_OBJECT_HANDLE_PTR phKey",
        SESSION,
        "ARGUMENTS_BAD ATTRIBUTE_READ_ONLY ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID CURVE_NOT_SUPPORTED DOMAIN_PARAMS_INVALID FUNCTION_CANCELED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE PARAMETER_SET_NOT_SUPPORTED PIN_EXPIRED SESSION_READ_ONLY TEMPLATE_INCOMPLETE TEMPLATE_INCONSISTENT TOKEN_WRITE_PROTECTED USER_NOT_LOGGED_IN",
        since=Version.V3_2,
        asynchronous=False,
    ),
    _f(
        "C_DecapsulateKey",
        "5.18 of v3.2",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hPrivateKey, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount, CK_BYTE_PTR pCiphertext, CK_ULONG ulCiphertextLen, CK_OBJECT_HANDLE_PTR phKey",
        SESSION,
        "ARGUMENTS_BAD ATTRIBUTE_READ_ONLY ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID BUFFER_TOO_SMALL CURVE_NOT_SUPPORTED DOMAIN_PARAMS_INVALID FUNCTION_CANCELED MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE PARAMETER_SET_NOT_SUPPORTED PIN_EXPIRED SESSION_READ_ONLY TEMPLATE_INCOMPLETE TEMPLATE_INCONSISTENT TOKEN_WRITE_PROTECTED UNWRAPPING_KEY_HANDLE_INVALID UNWRAPPING_KEY_SIZE_RANGE UNWRAPPING_KEY_TYPE_INCONSISTENT USER_NOT_LOGGED_IN WRAPPED_KEY_INVALID WRAPPED_KEY_LEN_RANGE",
        since=Version.V3_2,
        asynchronous=False,
    ),
    _f(
        "C_VerifySignatureInit",
        "5.15 of v3.2",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen",
        SESSION,
        "ARGUMENTS_BAD FUNCTION_CANCELED KEY_FUNCTION_NOT_PERMITTED KEY_HANDLE_INVALID KEY_SIZE_RANGE KEY_TYPE_INCONSISTENT MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE OPERATION_CANCEL_FAILED PIN_EXPIRED USER_NOT_LOGGED_IN",
        since=Version.V3_2,
        asynchronous=False,
    ),
    _f(
        "C_VerifySignature",
        "5.15 of v3.2",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen",
        SESSION,
        "ARGUMENTS_BAD DATA_INVALID DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED SIGNATURE_INVALID SIGNATURE_LEN_RANGE TOKEN_RESOURCE_EXCEEDED",
        since=Version.V3_2,
        asynchronous=False,
    ),
    _f(
        "C_VerifySignatureUpdate",
        "5.15 of v3.2",
        "CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen",
        SESSION,
        "ARGUMENTS_BAD DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED TOKEN_RESOURCE_EXCEEDED",
        since=Version.V3_2,
        asynchronous=False,
    ),
    _f(
        "C_VerifySignatureFinal",
        "5.15 of v3.2",
        "CK_SESSION_HANDLE hSession",
        SESSION,
        "ARGUMENTS_BAD DATA_LEN_RANGE FUNCTION_CANCELED OPERATION_NOT_INITIALIZED SIGNATURE_INVALID SIGNATURE_LEN_RANGE TOKEN_RESOURCE_EXCEEDED",
        since=Version.V3_2,
        asynchronous=False,
    ),
    _f(
        "C_GetSessionValidationFlags",
        "5.6 of v3.2",
        "CK_SESSION_HANDLE hSession, CK_SESSION_VALIDATION_FLAGS_TYPE type, CK_FLAGS_PTR pFlags",
        SESSION,
        "OPERATION_ACTIVE PENDING",
        since=Version.V3_2,
        asynchronous=False,
    ),
    _f(
        "C_AsyncComplete",
        "5.21 of v3.2",
        "CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pFunctionName, CK_ASYNC_DATA_PTR pResult",
        SESSION,
        "PENDING",
        since=Version.V3_2,
        asynchronous=False,
    ),
    _f(
        "C_AsyncGetID",
        "5.21 of v3.2",
        "CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pFunctionName, CK_ULONG_PTR pulID",
        SESSION,
        "ARGUMENTS_BAD STATE_UNSAVEABLE TOKEN_NOT_PRESENT",
        since=Version.V3_2,
        asynchronous=False,
    ),
    _f(
        "C_AsyncJoin",
        "5.21 of v3.2",
        "CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pFunctionName, CK_ULONG ulID, CK_BYTE_PTR pData, CK_ULONG ulData",
        SESSION,
        "ARGUMENTS_BAD BUFFER_TOO_SMALL SAVED_STATE_INVALID TOKEN_NOT_PRESENT",
        since=Version.V3_2,
        asynchronous=False,
    ),
    _f(
        "C_WrapKeyAuthenticated",
        "5.18 of v3.2",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hWrappingKey, CK_OBJECT_HANDLE hKey, CK_BYTE_PTR pAssociatedData, CK_ULONG ulAssociatedDataLen, CK_BYTE_PTR pWrappedKey, CK_ULONG_PTR pulWrappedKeyLen",
        SESSION,
        "ARGUMENTS_BAD BUFFER_TOO_SMALL FUNCTION_CANCELED KEY_HANDLE_INVALID KEY_NOT_WRAPPABLE KEY_SIZE_RANGE KEY_UNEXTRACTABLE MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE PIN_EXPIRED USER_NOT_LOGGED_IN WRAPPING_KEY_HANDLE_INVALID WRAPPING_KEY_SIZE_RANGE WRAPPING_KEY_TYPE_INCONSISTENT",
        since=Version.V3_2,
        asynchronous=False,
    ),
    _f(
        "C_UnwrapKeyAuthenticated",
        "5.18 of v3.2",
        "CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hUnwrappingKey, CK_BYTE_PTR pWrappedKey, CK_ULONG ulWrappedKeyLen, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount, CK_BYTE_PTR pAssociatedData, CK_ULONG ulAssociatedDataLen, CK_OBJECT_HANDLE_PTR phKey",
        SESSION,
        "ARGUMENTS_BAD ATTRIBUTE_READ_ONLY ATTRIBUTE_TYPE_INVALID ATTRIBUTE_VALUE_INVALID BUFFER_TOO_SMALL CURVE_NOT_SUPPORTED DOMAIN_PARAMS_INVALID FUNCTION_CANCELED MECHANISM_INVALID MECHANISM_PARAM_INVALID OPERATION_ACTIVE PARAMETER_SET_NOT_SUPPORTED PIN_EXPIRED SESSION_READ_ONLY TEMPLATE_INCOMPLETE TEMPLATE_INCONSISTENT TOKEN_WRITE_PROTECTED UNWRAPPING_KEY_HANDLE_INVALID UNWRAPPING_KEY_SIZE_RANGE UNWRAPPING_KEY_TYPE_INCONSISTENT USER_NOT_LOGGED_IN WRAPPED_KEY_INVALID WRAPPED_KEY_LEN_RANGE",
        since=Version.V3_2,
        asynchronous=False,
    ),
)

COVERED = tuple(Version)
"""The versions whose functions are all here."""

EXCLUSIVE: Mapping[CKR, frozenset[str]] = {
    CKR[code]: frozenset(f"C_{name}" for name in names.split())
    for names, codes in (
        ("CopyObject SetAttributeValue DestroyObject", "ACTION_PROHIBITED"),
        ("Initialize", "CANT_LOCK CRYPTOKI_ALREADY_INITIALIZED NEED_TO_CREATE_THREADS"),
        ("DigestKey", "KEY_INDIGESTIBLE"),
        ("WaitForSlotEvent", "NO_EVENT"),
        ("SeedRandom", "RANDOM_SEED_NOT_SUPPORTED"),
        ("GenerateRandom", "SEED_RANDOM_REQUIRED"),
        ("SetOperationState", "SAVED_STATE_INVALID"),
        ("OpenSession", "SESSION_COUNT"),
        ("InitToken", "SESSION_EXISTS"),
        ("Login", "USER_ALREADY_LOGGED_IN USER_ANOTHER_ALREADY_LOGGED_IN USER_PIN_NOT_INITIALIZED"),
        ("SessionCancel", "OPERATION_CANCEL_FAILED"),
        ("WrapKey", "WRAPPING_KEY_HANDLE_INVALID WRAPPING_KEY_SIZE_RANGE WRAPPING_KEY_TYPE_INCONSISTENT"),
        (
            "UnwrapKey",
            "UNWRAPPING_KEY_HANDLE_INVALID UNWRAPPING_KEY_SIZE_RANGE UNWRAPPING_KEY_TYPE_INCONSISTENT"
            " WRAPPED_KEY_INVALID WRAPPED_KEY_LEN_RANGE",
        ),
    )
    for code in codes.split()
}
"""Codes that 5.1.6 keeps for some functions, whatever lists say."""

SIGNATURES: Mapping[str, Signature] = {row.name: row for row in _ROWS}
"""The 68 functions of v2.40, in the order of their pointers in CK_FUNCTION_LIST, and those that came later."""
