"""The software card, by the commands that OpenSC sends it."""

import os
from pathlib import Path

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from p11conform.adapters.modules.isoapplet import AID, Card, Memory
from p11conform.adapters.modules.softcard import KeptCard

OK = 0x9000
PIN, OTHER, PUK = b"123456".ljust(16, b"\0"), b"654321".ljust(16, b"\0"), b"1234567890123456"

P256 = (2**256 - 2**224 + 2**192 + 2**96 - 1).to_bytes(32, "big")
DOMAIN = b"\x81\x20" + P256 + b"".join(bytes((tag, 1, 1)) for tag in (0x82, 0x83, 0x84, 0x85, 0x87))


@pytest.fixture
def card() -> Card:
    """A card with a PIN and a PUK, its applet selected."""
    made = Card(Memory())
    assert made.answer(b"\x00\xa4\x04\x00\x0c" + AID + b"\x00") == b"\x00\x06\x06\x90\x00"
    assert send(made, 0x24, 1, 2, PUK) == OK
    assert send(made, 0x24, 1, 1, PIN) == OK
    return made


def send(card: Card, instruction: int, p1: int = 0, p2: int = 0, data: bytes = b"") -> int:
    """The status word of a command that returns no data."""
    answer = card.answer(bytes((0, instruction, p1, p2)) + (bytes((len(data),)) + data if data else b""))
    return int.from_bytes(answer, "big")


def fetched(card: Card, instruction: int, p1: int, p2: int, data: bytes = b"") -> bytes:
    """The data that a command returns, with what is left of a long answer."""
    answer = card.answer(bytes((0, instruction, p1, p2)) + (bytes((len(data),)) + data if data else b"") + b"\x00")
    got, status = answer[:-2], answer[-2:]
    while status[0] == 0x61:
        answer = card.answer(b"\x00\xc0\x00\x00" + status[1:])
        got, status = got + answer[:-2], answer[-2:]
    assert status == b"\x90\x00"
    return got


def create(card: Card, id: bytes, size: int = 0, access: bytes = bytes(8), descriptor: int = 0x01) -> int:
    inner = b"\x80\x02" + size.to_bytes(2, "big") + b"\x82\x01" + bytes((descriptor,)) + b"\x83\x02" + id
    inner += b"\x86\x08" + access
    return send(card, 0xE0, data=b"\x62" + bytes((len(inner),)) + inner)


def test_a_file_is_made_found_written_and_read(card: Card) -> None:
    assert create(card, b"\x50\x15", descriptor=0x38) == OK
    assert create(card, b"\x44\x01", 8) == OK
    assert create(card, b"\x44\x01", 8) == 0x6A89
    assert send(card, 0xA4, 8, 0x0C, b"\x50\x15") == OK
    assert send(card, 0xA4, 8, 0x0C, b"\x50\x15\x44\x01") == OK
    assert send(card, 0xD6, 0, 2, b"text") == OK
    assert fetched(card, 0xB0, 0, 0) == b"\0\0text\0\0"
    assert send(card, 0xD6, 0, 6, b"text") == 0x6A84
    assert send(card, 0xB0, 0, 9) == 0x6B00
    assert fetched(card, 0xA4, 0, 0, b"\x44\x01")[:1] == b"\x6f"
    assert send(card, 0xE4, data=b"\x44\x01") == OK
    assert send(card, 0xA4, 0, 0x0C, b"\x44\x01") == 0x6A82
    assert send(card, 0xA4, 8, 0x0C, b"\x77\x77") == 0x6A82


def test_what_a_file_allows_is_asked_of_the_pin(card: Card) -> None:
    guarded = b"\xff\x90\xff\xff\xff\xff\x90\x90"
    assert create(card, b"\x35\x00", 4, guarded) == OK
    for instruction, data in ((0xB0, b""), (0xD6, b"x"), (0x0E, b""), (0xE4, b"")):
        if instruction != 0xE4:  # the directory allows that
            assert send(card, instruction, data=data) == 0x6982
    assert send(card, 0x20, 0, 1) == 0x63C3
    assert send(card, 0x20, 0, 1, PIN) == OK
    assert send(card, 0x20, 0, 1) == OK
    assert send(card, 0xD6, data=b"text") == OK
    assert fetched(card, 0xB0, 0, 0) == b"text"
    assert create(card, b"\x35\x01", 4, b"\xff" * 8) == OK
    assert send(card, 0xD6, data=b"text") == 0x6982
    card.reset()
    assert send(card, 0x20, 0, 1) == 0x63C3


def test_three_wrong_pins_block_it_and_the_puk_sets_another(card: Card) -> None:
    assert send(card, 0x20, 0, 1, OTHER) == 0x63C2
    assert send(card, 0x20, 0, 1, PIN) == OK
    assert [send(card, 0x20, 0, 1, OTHER) for _ in range(3)] == [0x63C2, 0x63C1, 0x6983]
    assert send(card, 0x20, 0, 1, PIN) == 0x6983
    assert send(card, 0x2C, 0, 1, PUK[::-1] + OTHER) == 0x63C2
    assert send(card, 0x2C, 0, 1, PUK + OTHER) == OK
    assert send(card, 0x20, 0, 1, OTHER) == OK
    assert send(card, 0x24, 0, 1, OTHER + PIN) == OK
    assert send(card, 0x20, 0, 1, PIN) == OK


def test_the_puk_is_no_pin(card: Card) -> None:
    assert send(card, 0x20, 0, 2, PUK) == OK
    assert send(card, 0x20, 0, 1) == 0x63C3


def generated(card: Card, algorithm: int, p1: int, data: bytes = b"") -> bytes:
    assert send(card, 0x20, 0, 1, PIN) == OK
    assert send(card, 0x22, 0x41, 0, bytes((0x80, 1, algorithm, 0x84, 1, 3))) == OK
    return fetched(card, 0x46, p1, 0, data)


def test_a_key_of_rsa_signs_and_deciphers(card: Card) -> None:
    answer = generated(card, 0xF3, 0x42)
    modulus = int.from_bytes(answer[answer.index(b"\x81\x82\x01\x00") + 4 :][:256], "big")
    public = rsa.RSAPublicNumbers(65537, modulus).public_key()
    info = bytes.fromhex("3031300d060960864801650304020105000420")
    digest = os.urandom(32)
    public.verify(fetched(card, 0x2A, 0x9E, 0x9A, info + digest), digest, padding.PKCS1v15(), Prehashed(SHA256()))
    secret = public.encrypt(b"secret", padding.PKCS1v15())
    # Longer than a command of one part can be: the first part is chained.
    assert card.answer(b"\x10\x2a\x80\x86\x80\x00" + secret[:127]) == b"\x90\x00"
    assert fetched(card, 0x2A, 0x80, 0x86, secret[127:]) == b"secret"
    assert send(card, 0x2A, 0x9E, 0x9A, bytes(250)) == 0x6700


@pytest.mark.parametrize("length", [20, 32, 64])
def test_a_key_of_a_curve_signs_data_of_any_length(card: Card, length: int) -> None:
    answer = generated(card, 0xEC, 0, DOMAIN)
    point = answer[answer.index(b"\x86\x41\x04") + 2 :][:65]
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    data = os.urandom(length)
    signature = fetched(card, 0x2A, 0x9E, 0x9A, data)
    public.verify(signature, data[:32].rjust(32, b"\0"), ec.ECDSA(Prehashed(SHA256())))
    with pytest.raises(InvalidSignature):
        public.verify(signature, bytes(32), ec.ECDSA(Prehashed(SHA256())))


def test_keys_are_used_after_the_pin_and_never_brought_in(card: Card) -> None:
    assert send(card, 0x46, 0x42) == 0x6982
    generated(card, 0xEC, 0, DOMAIN)
    assert send(card, 0xDB, 0x3F, 0xFF, b"key") == 0x6900
    assert send(card, 0x22, 0x41, 0xB6, b"\x84\x01\x07") == OK
    assert send(card, 0x2A, 0x9E, 0x9A, b"data") == 0x6A88
    card.reset()
    assert send(card, 0x22, 0x41, 0xB6, b"\x84\x01\x03") == OK
    assert send(card, 0x2A, 0x9E, 0x9A, b"data") == 0x6982
    assert send(card, 0x77) == 0x6D00


def test_whoever_replaces_the_file_replaces_the_memory(tmp_path: Path) -> None:
    file = tmp_path / "card"
    card = KeptCard(file)
    assert card.answer(b"\x00\x24\x01\x01\x10" + PIN) == b"\x90\x00"
    kept = file.read_bytes()
    assert msgspec.msgpack.decode(kept, type=Memory).secrets[1].value == b"123456"
    assert card.answer(b"\x00\x20\x00\x01\x10" + PIN) == b"\x90\x00"
    assert card.answer(b"\x00\x24\x00\x01\x20" + PIN + OTHER) == b"\x90\x00"
    assert KeptCard(file).answer(b"\x00\x20\x00\x01\x10" + OTHER) == b"\x90\x00"
    file.write_bytes(kept)
    assert card.answer(b"\x00\x20\x00\x01") == b"\x63\xc3"
    assert card.answer(b"\x00\x20\x00\x01\x10" + PIN) == b"\x90\x00"
