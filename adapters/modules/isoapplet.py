"""A software smart card: the applet "IsoApplet" as OpenSC's driver of that name speaks to it, API version 0.6.

Commands and files are those of ISO 7816-4 and 7816-8. It has one PIN and one PUK, keys of RSA with 2048 bits and of two
elliptic curves, made on the card and never out of it.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

AID: Final = bytes.fromhex("f276a288bcfba69d34f31001")
"""Name of the applet."""

ATR: Final = bytes.fromhex("3b80800101")
"""What the card says after a reset: nothing but that it is there."""

_ABOUT: Final = bytes((0x00, 0x06, 0x02 | 0x04))
"""Version of the API, and features: random numbers and elliptic curves."""

_SIZE: Final = 2**16
"""Bytes that there are for files."""

_TRIES: Final = 3
_PIN_LENGTH: Final = 16
"""Bytes that a PIN is padded to with zeros."""

_SHORT: Final = 256
"""Bytes of an answer at most; of a longer one the rest is to be fetched."""

_RSA_BITS: Final = 2048
_RSA_BYTES: Final = _RSA_BITS // 8
_EXPONENT: Final = 65537

_CURVES: Final[Mapping[int, ec.EllipticCurve]] = MappingProxyType(
    {
        2**256 - 2**224 + 2**192 + 2**96 - 1: ec.SECP256R1(),
        2**384 - 2**128 - 2**96 + 2**32 - 1: ec.SECP384R1(),
    }
)
"""By the prime of their field, as that is how they are asked for."""


class SW(IntEnum):
    """Status words (ISO 7816-4, chapter 5)."""

    MORE = 0x6100
    OK = 0x9000
    WRONG_PIN = 0x63C0
    WRONG_LENGTH = 0x6700
    NOT_ALLOWED = 0x6900
    SECURITY = 0x6982
    BLOCKED = 0x6983
    NO_FILE_SELECTED = 0x6986
    WRONG_DATA = 0x6A80
    NOT_SUPPORTED = 0x6A81
    NOT_FOUND = 0x6A82
    NO_MEMORY = 0x6A84
    WRONG_PARAMETERS = 0x6A86
    NO_SUCH_REFERENCE = 0x6A88
    EXISTS = 0x6A89
    WRONG_OFFSET = 0x6B00
    NO_SUCH_INSTRUCTION = 0x6D00


class Refused(Exception):
    """A command that ends with a status word other than OK."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:04X}")
        self.status = status


class File(msgspec.Struct):
    """A file: what was said of it when it was made, and its content, or for a directory the files in it."""

    id: bytes
    info: bytes
    access: bytes = b""
    name: bytes = b""
    content: bytes = b""
    files: list["File"] | None = None

    def tree(self) -> Iterator["File"]:
        """It and all that is in it."""
        yield self
        for file in self.files or ():
            yield from file.tree()


class Secret(msgspec.Struct):
    """A PIN or PUK, and the tries that are left."""

    value: bytes
    left: int = _TRIES


def _root() -> File:
    return File(b"\x3f\x00", bytes.fromhex("82013883023f00"), files=[])


class Memory(msgspec.Struct):
    """What a card keeps without power; `secrets` are the PIN as 1 and the PUK as 2, `keys` private keys in PKCS #8."""

    root: File = msgspec.field(default_factory=_root)
    secrets: dict[int, Secret] = msgspec.field(default_factory=dict)
    keys: dict[int, bytes] = msgspec.field(default_factory=dict)


_PIN, _PUK = 1, 2

# The access bytes of a file, by what is done to it (ISO 7816-4, 5.4.3): a directory has other deeds in the same places.
_DELETE_SELF, _CREATE, _UPDATE, _READ, _DELETE_CHILD = 1, 6, 6, 7, 7
_NEVER, _AFTER_PIN = 0xFF, 0x90


@dataclass(frozen=True, slots=True)
class Command:
    """A command APDU; `expected` bytes are wanted in the answer, None for none."""

    instruction: int
    p1: int
    p2: int
    data: bytes
    expected: int | None

    @classmethod
    def parsed(cls, apdu: bytes) -> "Command":
        """A command of the four cases with short lengths."""
        _, instruction, p1, p2, *_ = apdu
        body = apdu[4:]
        if len(body) <= 1:
            return cls(instruction, p1, p2, b"", (body[0] or _SHORT) if body else None)
        data, after = body[1 : 1 + body[0]], body[1 + body[0] :]
        return cls(instruction, p1, p2, data, (after[0] or _SHORT) if after else None)


@dataclass(slots=True)
class _Selected:
    """Where a session with the card stands: the directory by the way to it, the file, who is there, what is set."""

    way: list[File]
    file: File | None = None
    verified: bool = False
    environment: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def directory(self) -> File:
        return self.way[-1]


class Card:
    """A card with power: its `memory`, which it changes in place, and what it forgets at a reset."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.reset()

    def reset(self) -> None:
        """What every reset does."""
        self._parts = self._rest = b""
        self._now = _Selected([self.memory.root])

    def answer(self, apdu: bytes) -> bytes:
        """The answer to a command APDU: data and a status word."""
        if len(apdu) < 4:
            return _status(SW.WRONG_LENGTH)
        command = Command.parsed(apdu)
        if command.instruction == _GET_RESPONSE:
            return self._send(self._rest, command.expected)
        self._parts += command.data
        if apdu[0] & _CHAINED:
            return _status(SW.OK)
        whole, self._parts = replace(command, data=self._parts), b""
        try:
            handler = _HANDLERS.get(whole.instruction)
            if handler is None:
                raise Refused(SW.NO_SUCH_INSTRUCTION)
            return self._send(handler(self, whole), whole.expected)
        except Refused as refused:
            return _status(refused.status)

    def _send(self, data: bytes, expected: int | None) -> bytes:
        length = min(expected or _SHORT, _SHORT)
        now, self._rest = data[:length], data[length:]
        return now + _status(SW.MORE | min(len(self._rest), 0xFF) if self._rest else SW.OK)

    # Files.

    def _select(self, command: Command) -> bytes:
        match command.p1:
            case 4:
                return self._select_name(command)
            case 8 | 9:
                way = [self.memory.root] if command.p1 == 8 else list(self._now.way)
                ids = [command.data[k : k + 2] for k in range(0, len(command.data), 2)]
                for id in ids[1:] if command.p1 == 8 and ids[:1] == [self.memory.root.id] else ids:
                    way.append(_child(way[-1], id))
            case 3:
                way = self._now.way[:-1] or self._now.way
            case 0 | 1 | 2:
                way = self._way_to(command.data or self.memory.root.id)
            case _:
                raise Refused(SW.WRONG_PARAMETERS)
        return self._stand(way, command)

    def _select_name(self, command: Command) -> bytes:
        if command.data == AID:
            self._now = _Selected([self.memory.root])
            return _ABOUT if command.expected is not None else b""
        for file in self.memory.root.tree():
            if file.name and file.name == command.data:
                return self._stand([self.memory.root, file], command)
        raise Refused(SW.NOT_FOUND)

    def _way_to(self, id: bytes) -> list[File]:
        """A file by its identifier: the directory itself, what is in it, its parent, the root or what is in that."""
        way = self._now.way
        for known in (way, way[:-1], way[:1]):
            if known and known[-1].id == id:
                return known
        for known in (way, way[:1]):
            found = next((file for file in known[-1].files or () if file.id == id), None)
            if found is not None:
                return [*known, found]
        raise Refused(SW.NOT_FOUND)

    def _stand(self, way: list[File], command: Command) -> bytes:
        selected = way[-1]
        directory = selected.files is not None
        self._now.way, self._now.file = (way, None) if directory else (way[:-1], selected)
        return b"" if command.p2 & 0x0C == 0x0C else _tlv(b"\x6f", selected.info)

    def _create(self, command: Command) -> bytes:
        directory = self._now.directory
        outer = _fields(command.data)
        info = outer.get(0x62) or outer.get(0x6F) or command.data
        known = _fields(info)
        try:
            id, descriptor = known[0x83], known[0x82][0]
        except (KeyError, IndexError):
            raise Refused(SW.WRONG_DATA) from None
        size = int.from_bytes(known.get(0x80) or known.get(0x81) or b"", "big")
        if any(file.id == id for file in directory.files or ()):
            raise Refused(SW.EXISTS)
        self._demand(directory, _CREATE)
        if size + sum(len(file.content) + len(file.info) for file in self.memory.root.tree()) > _SIZE:
            raise Refused(SW.NO_MEMORY)
        made = File(id, info, known.get(0x86, b""), known.get(0x84, b""))
        if descriptor & 0x38 == 0x38:
            made.files = []
        else:
            made.content = bytes(size)
        assert directory.files is not None, "a directory is selected"
        directory.files.append(made)
        return self._stand([*self._now.way, made], replace(command, p2=0x0C))

    def _delete(self, command: Command) -> bytes:
        way = self._now.way
        if command.data:
            way = self._way_to(command.data)
        elif self._now.file is not None:
            way = [*way, self._now.file]
        if len(way) == 1:
            way[0].files = []
            self._now = _Selected(way, verified=self._now.verified)
            return b""
        parent, file = way[-2:]
        if not self._may(file, _DELETE_SELF):
            self._demand(parent, _DELETE_CHILD)
        assert parent.files is not None, "a file is in a directory"
        parent.files.remove(file)
        self._now.way, self._now.file = way[:-1], None
        return b""

    def _read(self, command: Command) -> bytes:
        file, offset = self._at(command, _READ)
        return file.content[offset : offset + (command.expected or _SHORT)]

    def _update(self, command: Command) -> bytes:
        file, offset = self._at(command, _UPDATE)
        end = offset + len(command.data)
        if end > len(file.content):
            raise Refused(SW.NO_MEMORY)
        file.content = file.content[:offset] + command.data + file.content[end:]
        return b""

    def _erase(self, command: Command) -> bytes:
        file, offset = self._at(command, _UPDATE)
        file.content = file.content[:offset].ljust(len(file.content), b"\0")
        return b""

    def _at(self, command: Command, deed: int) -> tuple[File, int]:
        """The selected file and the offset in it, where the deed is allowed."""
        file = self._now.file
        if file is None:
            raise Refused(SW.NO_FILE_SELECTED)
        self._demand(file, deed)
        offset = command.p1 << 8 | command.p2
        if offset > len(file.content):
            raise Refused(SW.WRONG_OFFSET)
        return file, offset

    def _demand(self, file: File, deed: int) -> None:
        if not self._may(file, deed):
            raise Refused(SW.SECURITY)

    def _may(self, file: File, deed: int) -> bool:
        condition = file.access[deed] if file.access else 0
        return condition == 0 or (condition == _AFTER_PIN and self._now.verified)

    # PINs.

    def _verify(self, command: Command) -> bytes:
        if command.data:
            reference = command.p2 & 0x7F
            self._compare(reference, command.data)
            self._now.verified |= reference == _PIN
        elif not self._now.verified:
            raise Refused(SW.WRONG_PIN | self._secret(_PIN).left)
        return b""

    def _change(self, command: Command) -> bytes:
        """Change a PIN or PUK; one that there is not yet is set."""
        reference = command.p2 & 0x7F
        if command.p1 == 1 or reference not in self.memory.secrets:
            self.memory.secrets[reference] = Secret(_unpadded(command.data))
            return b""
        self._compare(reference, command.data[:_PIN_LENGTH])
        self.memory.secrets[reference].value = _unpadded(command.data[_PIN_LENGTH:])
        return b""

    def _unblock(self, command: Command) -> bytes:
        """Set a new PIN by means of the PUK."""
        self._compare(_PUK, command.data[:_PIN_LENGTH])
        self.memory.secrets[_PIN] = Secret(_unpadded(command.data[_PIN_LENGTH:]))
        return b""

    def _compare(self, reference: int, given: bytes) -> None:
        secret = self._secret(reference)
        if secret.left == 0:
            raise Refused(SW.BLOCKED)
        if _unpadded(given) == secret.value:
            secret.left = _TRIES
            return
        secret.left -= 1
        self._now.verified = False
        raise Refused(SW.WRONG_PIN | secret.left if secret.left else SW.BLOCKED)

    def _secret(self, reference: int) -> Secret:
        try:
            return self.memory.secrets[reference]
        except KeyError:
            raise Refused(SW.NO_SUCH_REFERENCE) from None

    # Keys.

    def _set(self, command: Command) -> bytes:
        """Say which key is meant, and by which algorithm."""
        self._now.environment = _fields(command.data)
        return b""

    def _generate(self, command: Command) -> bytes:
        if _PIN in self.memory.secrets:
            self._demand_pin()
        private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
        if command.p1 == _GENERATE_RSA:
            private = rsa.generate_private_key(_EXPONENT, _RSA_BITS)
            modulus = private.public_key().public_numbers().n.to_bytes(_RSA_BYTES, "big")
            public = _tlv(b"\x81", modulus) + _tlv(b"\x82", _EXPONENT.to_bytes(3, "big"))
        else:
            domain = _fields(command.data)
            curve = _CURVES.get(int.from_bytes(domain.get(0x81, b""), "big"))
            if curve is None:
                raise Refused(SW.NOT_SUPPORTED)
            private = ec.generate_private_key(curve)
            point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            given = dict(domain) | {0x86: point}
            public = b"".join(_tlv(bytes((tag,)), given[tag]) for tag in sorted(given))
        self.memory.keys[self._key_reference] = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return _tlv(b"\x7f\x49", public)

    def _operate(self, command: Command) -> bytes:
        """Sign, or decipher."""
        self._demand_pin()
        try:
            private = _loaded(self.memory.keys[self._key_reference])
        except KeyError:
            raise Refused(SW.NO_SUCH_REFERENCE) from None
        match (command.p1, command.p2), private:
            case (0x9E, 0x9A), rsa.RSAPrivateKey():
                return _rsa_sign(private, command.data)
            case (0x9E, 0x9A), ec.EllipticCurvePrivateKey():
                return _ecdsa_sign(private, command.data)
            case (0x80, 0x86), rsa.RSAPrivateKey():
                return _rsa_decipher(private, command.data[1:])  # before it stands that padding follows
        raise Refused(SW.WRONG_PARAMETERS)

    @property
    def _key_reference(self) -> int:
        reference = self._now.environment.get(0x84)
        if not reference:
            raise Refused(SW.NO_SUCH_REFERENCE)
        return reference[0]

    def _demand_pin(self) -> None:
        if not self._now.verified:
            raise Refused(SW.SECURITY)

    def _import(self, _command: Command) -> bytes:
        """Private keys are only made on the card."""
        raise Refused(SW.NOT_ALLOWED)

    # Data.

    def _get_data(self, command: Command) -> bytes:
        if (command.p1, command.p2) != (0x01, 0x01):
            raise Refused(SW.NOT_FOUND)
        return _ABOUT

    def _challenge(self, command: Command) -> bytes:
        return os.urandom(command.expected or _SHORT)


_CHAINED: Final = 0x10
_GENERATE_RSA: Final = 0x42
_GET_RESPONSE: Final = 0xC0

_HANDLERS: Final[Mapping[int, Callable[[Card, Command], bytes]]] = MappingProxyType(
    {
        0x0E: Card._erase,
        0x20: Card._verify,
        0x22: Card._set,
        0x24: Card._change,
        0x2A: Card._operate,
        0x2C: Card._unblock,
        0x46: Card._generate,
        0x84: Card._challenge,
        0xA4: Card._select,
        0xB0: Card._read,
        0xCA: Card._get_data,
        0xD6: Card._update,
        0xDB: Card._import,
        0xE0: Card._create,
        0xE4: Card._delete,
    }
)
"""By instruction."""


def _rsa_sign(private: rsa.RSAPrivateKey, data: bytes) -> bytes:
    """PKCS #1 v1.5 over what is given, which has its DigestInfo already, or none."""
    if len(data) > _RSA_BYTES - 11:
        raise Refused(SW.WRONG_LENGTH)
    return _rsa_private(private, b"\x00\x01" + (b"\x00" + data).rjust(_RSA_BYTES - 2, b"\xff"))


def _rsa_decipher(private: rsa.RSAPrivateKey, data: bytes) -> bytes:
    """The content of a PKCS #1 v1.5 message."""
    if len(data) != _RSA_BYTES:
        raise Refused(SW.WRONG_LENGTH)
    message = _rsa_private(private, data)
    padding, zero, content = message[2:].partition(b"\x00")
    if message[:2] != b"\x00\x02" or not zero or len(padding) < 8:
        raise Refused(SW.WRONG_DATA)
    return content


def _rsa_private(private: rsa.RSAPrivateKey, block: bytes) -> bytes:
    """The operation of a private key and nothing else, by the Chinese remainder theorem."""
    own = private.private_numbers()
    value = int.from_bytes(block, "big")
    if value >= own.public_numbers.n:
        raise Refused(SW.WRONG_DATA)
    by_p, by_q = pow(value, own.dmp1, own.p), pow(value, own.dmq1, own.q)
    return (by_q + own.q * (own.iqmp * (by_p - by_q) % own.p)).to_bytes(_RSA_BYTES, "big")


@lru_cache(64)
def _loaded(key: bytes) -> PrivateKeyTypes:
    """A key of the card's memory. It was made here, so that looking for faults of it only takes time."""
    return load_der_private_key(key, None, unsafe_skip_rsa_key_validation=True)


def _ecdsa_sign(private: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """ECDSA over what is given as it is: the first so many bytes as the curve has, as a number."""
    size = (private.curve.key_size + 7) // 8
    digest = data[:size].rjust(size, b"\x00").ljust(SHA512.digest_size, b"\x00")
    return private.sign(digest, ec.ECDSA(Prehashed(SHA512())))


def _child(directory: File, id: bytes) -> File:
    for file in directory.files or ():
        if file.id == id:
            return file
    raise Refused(SW.NOT_FOUND)


def _unpadded(pin: bytes) -> bytes:
    return pin.rstrip(b"\x00")


def _status(status: int) -> bytes:
    return status.to_bytes(2, "big")


def _tlv(tag: bytes, value: bytes) -> bytes:
    size = len(value)
    if size < 0x80:
        return tag + bytes((size,)) + value
    length = size.to_bytes(1 if size < 0x100 else 2, "big")
    return tag + bytes((0x80 | len(length),)) + length + value


def _fields(data: bytes) -> Mapping[int, bytes]:
    """The values of a sequence of data objects by their tags, of one byte each; what is cut short is left out."""
    found, place = dict[int, bytes](), 0
    while place + 2 <= len(data):
        tag, size = data[place], data[place + 1]
        place += 2
        if size & 0x80:
            many = size & 0x7F
            size, place = int.from_bytes(data[place : place + many], "big"), place + many
        found[tag] = data[place : place + size]
        place += size
    return found
