"""The program of a software card in a virtual reader: it answers what vpcd sends, and keeps its memory in a file.

Whoever replaces the file has replaced the card's memory, and with it all that was under way. Who writes the name of a
`Mishap` into the file beside it decides what becomes of the next command.
"""

import socket
import sys
import time
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from .isoapplet import ATR, SW, Card, Memory

_OFF, _ON, _RESET, _GET_ATR = b"\0", b"\1", b"\2", b"\4"
"""Messages that are no commands for the card, but for what it sits in."""

_PATIENCE: Final = 10.0
"""Seconds that the reader has to be there."""

_AGAIN: Final = 0.01


class Mishap(Enum):
    """What becomes of a command: the card is taken out, fails without a word why, or has no memory for it."""

    LEAVES = "leaves"
    FAILS = "fails"
    FULL = "full"


_STATUS: Final = {Mishap.LEAVES: 0x6F00, Mishap.FAILS: 0x6581, Mishap.FULL: SW.NO_MEMORY}
"""What it answers then."""


def mishap_of(memory: Path) -> Path:
    """The file that holds what becomes of the next command to the card with this memory, if anything does."""
    return memory.with_name("mishap")


def left_of(memory: Path) -> Path:
    """The file that is there once the card with this memory was taken out by a mishap."""
    return memory.with_name("left")


def _taken(file: Path) -> Mishap | None:
    """What becomes of the command that has come, and of no other."""
    try:
        name = file.read_text(encoding="ascii")
        file.unlink()
        return Mishap(name)
    except FileNotFoundError:
        return None


class KeptCard:
    """A card whose memory is in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._written = b""
        self._known: tuple[int, int] | None = None
        self._card = Card(Memory())

    def answer(self, apdu: bytes) -> bytes:
        """The answer to a command, by what the file holds; it holds what came of it before anybody knows."""
        self._read()
        answer = self._card.answer(apdu)
        memory = msgspec.msgpack.encode(self._card.memory)
        if memory != self._written:
            self._write(memory)
        return answer

    def reset(self) -> None:
        """What every reset does."""
        self._card.reset()

    def _read(self) -> None:
        try:
            if self._mark() == self._known:
                return
            self._written = self._file.read_bytes()
        except FileNotFoundError:
            return
        self._known = self._mark()
        self._card = Card(msgspec.msgpack.decode(self._written, type=Memory))

    def _write(self, memory: bytes) -> None:
        beside = self._file.with_suffix(".new")
        beside.write_bytes(memory)
        beside.replace(self._file)
        self._written, self._known = memory, self._mark()

    def _mark(self) -> tuple[int, int]:
        stat = self._file.stat()
        return stat.st_ino, stat.st_mtime_ns


def _connected(port: int) -> socket.socket:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(_AGAIN)


def _received(reader: socket.socket, size: int) -> bytes:
    """So many bytes. Raises EOFError if the reader is gone."""
    # Else the reader, which sends length and content in turn, waits for an acknowledgement that is late by design.
    reader.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    got = reader.recv(size, socket.MSG_WAITALL)
    if len(got) < size:
        raise EOFError
    return got


def main(port: int, file: Path) -> None:
    """Be the card in the reader that listens on a port of this machine, until it is gone."""
    card, mishaps = KeptCard(file), mishap_of(file)
    for waiting in (mishaps, left_of(file)):
        waiting.unlink(missing_ok=True)  # what waited for a card that is gone
    with _connected(port) as reader:
        while True:
            try:
                message = _received(reader, int.from_bytes(_received(reader, 2), "big"))
            except (EOFError, ConnectionError):
                return
            if message in (_OFF, _ON, _RESET):
                card.reset()
                continue
            mishap = None if message == _GET_ATR else _taken(mishaps)
            if mishap is not None:
                answer = _STATUS[mishap].to_bytes(2, "big")
            else:
                answer = ATR if message == _GET_ATR else card.answer(message)
            reader.sendall(len(answer).to_bytes(2, "big") + answer)
            if mishap is Mishap.LEAVES:
                left_of(file).touch()
                return


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
