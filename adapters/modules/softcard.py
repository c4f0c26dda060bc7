"""The program of a software card in a virtual reader: it answers what vpcd sends, and keeps its memory in a file.

Whoever replaces the file has replaced the card's memory, and with it all that was under way.
"""

import socket
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from .isoapplet import ATR, Card, Memory

_OFF, _ON, _RESET, _GET_ATR = b"\0", b"\1", b"\2", b"\4"
"""Messages that are no commands for the card, but for what it sits in."""

_PATIENCE: Final = 10.0
"""Seconds that the reader has to be there."""

_AGAIN: Final = 0.01


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
    card = KeptCard(file)
    with _connected(port) as reader:
        while True:
            try:
                message = _received(reader, int.from_bytes(_received(reader, 2), "big"))
            except (EOFError, ConnectionError):
                return
            if message in (_OFF, _ON, _RESET):
                card.reset()
                continue
            answer = ATR if message == _GET_ATR else card.answer(message)
            reader.sendall(len(answer).to_bytes(2, "big") + answer)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
