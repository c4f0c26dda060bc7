"""What a module says of itself: the facts that a profile and a binding are made from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..model.call import code_text
from ..model.vocabulary import CKF, CKR, CKU, Version
from .base import ModuleUnusable
from .callbacks import notify
from .cryptoki import CData, c_string, count, ffi, new, threaded_args, unpadded
from .journal import note
from .library import list_version, load, offered

_CAPACITY = 1024


@dataclass(frozen=True, slots=True)
class MeasuredSlot:
    """A slot and its token, by C_GetSlotInfo, C_GetTokenInfo, C_GetMechanismList and C_GetMechanismInfo (5.5).

    `recognized` is False where C_GetTokenInfo gave CKR_TOKEN_NOT_RECOGNIZED; what follows it is empty where that call
    did not succeed. `flags` are those of the token. PIN lengths are in bytes. Limits count sessions: 0 for none, -1
    where the token does not tell. `mechanism_flags` are those of each of its `mechanisms`, 0 where it does not tell.
    """

    id: int
    token_present: bool
    recognized: bool
    label: str = ""
    flags: int = 0
    min_pin: int = 0
    max_pin: int = 0
    session_limit: int = 0
    rw_session_limit: int = 0
    mechanisms: tuple[int, ...] = ()
    mechanism_flags: tuple[int, ...] = ()
    serial: str = ""

    @property
    def initialized(self) -> bool:
        """Whether the token was ever initialised."""
        return bool(self.flags & CKF.TOKEN_INITIALIZED)


@dataclass(frozen=True, slots=True)
class Measured:
    """A module and its slots. Versions are written `major.minor`; `interfaces` are those that can be called (v3.0).

    `announced` is the version that C_GetInfo of each of those says, empty where C_GetInterface does not give it after
    all. `list_version` is what the list of C_GetFunctionList says.
    """

    cryptoki_version: str
    manufacturer: str
    library_description: str
    library_version: str
    slots: tuple[MeasuredSlot, ...]
    interfaces: tuple[Version, ...] = ()
    announced: tuple[str, ...] = ()
    list_version: str = ""

    @property
    def version(self) -> Version:
        """The version that the module is to be held to: that of its newest interface, or of its list."""
        given = [v for v, announced in zip(self.interfaces, self.announced, strict=True) if announced]
        return given[-1] if given else self.version_of_list

    @property
    def version_of_list(self) -> Version:
        """The version of the list of C_GetFunctionList: one up to v2.40, for which one that says another is taken.

        The lists of all these have the same functions: where C_GetInfo announces a later one of them, it is that one.
        """
        old = [v for v in Version if v <= Version.V2_40]
        said = [tuple(map(int, text.split("."))) for text in (self.list_version, self.cryptoki_version) if text]
        known = [v for v in old if any(v.number <= x <= old[-1].number for x in said)]
        return known[-1] if self.list_version and known else old[-1]

    def announces(self, version: Version) -> str:
        """The version that C_GetInfo says, of the list through which a module is held to a version."""
        announced = dict(zip(self.interfaces, self.announced, strict=True))
        return announced.get(version) or self.cryptoki_version


class Library:
    """An initialised module whose calls must succeed."""

    def __init__(self, library: str) -> None:
        self._library = library
        note("C_GetFunctionList")
        self._functions = load(library)

    def call(self, name: str, *arguments: CData) -> int:
        """The code of a call.

        Raises:
            ModuleUnusable: if the module has no such function.
        """
        function = self._functions[name]
        if function is None:
            raise ModuleUnusable(f"{self._library}: has no {name}; only modules that have it can be tested")
        note(name)
        return int(function(*arguments))

    def demand(self, name: str, *arguments: CData) -> None:
        """Make a call that must return CKR_OK.

        Raises:
            ModuleUnusable: if it does not.
        """
        code = self.call(name, *arguments)
        if code != CKR.OK:
            raise ModuleUnusable(f"{self._library}: {name} gives {code_text(code)}; check how the module is set up")


@contextmanager
def initialized(library: str, init_reserved: str | None) -> Iterator[Library]:
    """A module that is initialised, and finalised afterwards. Raises ModuleUnusable if it cannot be."""
    module = Library(library)
    reserved = ffi.NULL if init_reserved is None else c_string(init_reserved)
    module.demand("C_Initialize", threaded_args(reserved) if reserved else ffi.NULL)
    try:
        yield module
    finally:
        module.call("C_Finalize", ffi.NULL)


def measure(library: str, init_reserved: str | None = None) -> Measured:
    """Ask a module about itself, its slots and their tokens, in this process.

    Raises:
        ModuleUnusable: if the library does not load or does not initialise.
    """
    note("C_GetInterfaceList")
    interfaces = offered(library)
    note("C_GetFunctionList")
    said = list_version(library)
    with initialized(library, init_reserved) as module:
        info, numbers, length = new("CK_INFO *"), new("CK_SLOT_ID[]", _CAPACITY), new("CK_ULONG *", _CAPACITY)
        module.demand("C_GetInfo", info)
        module.demand("C_GetSlotList", False, numbers, length)
        return Measured(
            _version(info.cryptokiVersion),
            unpadded(info.manufacturerID),
            unpadded(info.libraryDescription),
            _version(info.libraryVersion),
            tuple(_slot(module, number) for number in numbers[0 : min(length[0], _CAPACITY)]),
            interfaces,
            tuple(_announced(library, version) for version in interfaces),
            f"{said[0]}.{said[1]}",
        )


def _announced(library: str, version: Version) -> str:
    """The version that C_GetInfo of an interface says, empty where there is no such interface after all."""
    info = new("CK_INFO *")
    try:
        function = load(library, version)["C_GetInfo"]
    except ModuleUnusable:
        return ""
    note("C_GetInfo")
    return _version(info.cryptokiVersion) if function and function(info) == CKR.OK else ""


def login_works(library: str, slot_id: int, user: CKU, pin: bytes | None, init_reserved: str | None = None) -> int:
    """The code of one C_Login in a fresh session, read-write for the SO; `pin` None is the NULL pointer.

    Raises:
        ModuleUnusable: if the library does not load, does not initialise, or opens no session on the slot.
    """
    with initialized(library, init_reserved) as module:
        session = new("CK_SESSION_HANDLE *")
        flags = CKF.SERIAL_SESSION | (CKF.RW_SESSION if user is CKU.SO else 0)
        module.demand("C_OpenSession", slot_id, flags, ffi.NULL, notify, session)
        given = (ffi.NULL, 0) if pin is None else (new("CK_UTF8CHAR[]", pin), len(pin))
        code = module.call("C_Login", session[0], user, *given)
        module.call("C_Logout", session[0])
        return code


def _slot(module: Library, number: int) -> MeasuredSlot:
    slot, token = new("CK_SLOT_INFO *"), new("CK_TOKEN_INFO *")
    module.demand("C_GetSlotInfo", number, slot)
    present = bool(slot.flags & CKF.TOKEN_PRESENT)
    code = module.call("C_GetTokenInfo", number, token)
    if code != CKR.OK:
        return MeasuredSlot(number, present, recognized=code != CKR.TOKEN_NOT_RECOGNIZED)
    mechanisms, length = new("CK_MECHANISM_TYPE[]", _CAPACITY), new("CK_ULONG *", _CAPACITY)
    listed = module.call("C_GetMechanismList", number, mechanisms, length) == CKR.OK
    known = tuple(mechanisms[0 : min(length[0], _CAPACITY)]) if listed else ()
    return MeasuredSlot(
        number,
        present,
        recognized=True,
        label=unpadded(token.label),
        flags=token.flags,
        min_pin=count(token.ulMinPinLen),
        max_pin=count(token.ulMaxPinLen),
        session_limit=count(token.ulMaxSessionCount),
        rw_session_limit=count(token.ulMaxRwSessionCount),
        mechanisms=known,
        serial=unpadded(token.serialNumber),
        mechanism_flags=tuple(_mechanism_flags(module, number, mechanism) for mechanism in known),
    )


def _mechanism_flags(module: Library, number: int, mechanism: int) -> int:
    info = new("CK_MECHANISM_INFO *")
    return int(info.flags) if module.call("C_GetMechanismInfo", number, mechanism, info) == CKR.OK else 0


def _version(version: CData) -> str:
    return f"{version.major}.{version.minor}"
