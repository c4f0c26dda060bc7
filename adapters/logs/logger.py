"""What PKCS11-LOGGER of the Pkcs11Interop project writes: a line a fact, each with the process and the thread."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from .block import Block, Pending, parameter_after
from .names import number
from .step import Entry, Step

_WHO: Final = re.compile(r"(0x[0-9a-fA-F]{8}) : (0x[0-9a-fA-F]{16}) : (.*)$")
_PART: Final = re.compile(r"(0x[0-9a-fA-F]+) : (.*)$")
_BEGIN: Final = re.compile(r"\S+ \S+ - Entered (C_\w+)$")
_END: Final = re.compile(r"\S+ \S+ - Returning (\d+) ")
_FACT: Final = re.compile(r"( +)(\*?)(\w+)(?:\[(\d+)\])?: ?(.*)$")
_TRUTHS: Final = ((True, "01"), (False, "00"))
_NULL: Final = re.compile(r"\(nil\)|(?:0x)?0+$")
_CALLED: Final = {"RandomData": "pRandomData"}


def recognises(head: str) -> bool:
    """Whether a file that begins so is such a log."""
    return bool(re.search(r"- Entered C_\w+$", head, re.MULTILINE))


def read(lines: Iterable[str]) -> Iterator[Step]:
    """The calls of a log, in the order in which they returned."""
    pending = Pending()
    readers: dict[Any, _Reader] = {}
    for n, line in enumerate(lines, 1):
        process, thread, text = _who(line.rstrip("\r\n"))
        key = (process, thread)
        begin, end = _BEGIN.match(text), _END.match(text)
        if begin is not None:
            block = Block(begin[1], n, process, thread)
            yield from pending.begin(key, block)
            readers[key] = _Reader(block)
        elif end is not None:
            done = pending.end(key)
            readers.pop(key, None)
            if done is not None:
                yield done.step(int(end[1]))
        elif key in readers:
            readers[key].take(text)
    yield from pending.rest()


def _who(line: str) -> tuple[int, int, str]:
    """The process and the thread of a line, either of which may be left out."""
    both = _WHO.match(line)
    if both is not None:
        return int(both[1], 16), int(both[2], 16), both[3]
    some = _PART.match(line)
    if some is None:
        return 0, 0, line
    id = int(some[1], 16)
    return (id, 0, some[2]) if len(some[1]) <= 10 else (0, id, some[2])


class _Reader:
    """Takes down what is told of a call."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._out = False
        self._record: dict[str, Any] | None = None
        self._template = ""
        self._entry: Entry | None = None

    def take(self, text: str) -> None:
        """Take down a line."""
        if text in ("Input", "Output"):
            self._out = text == "Output"
            self._record = self._entry = None
            return
        found = _FACT.match(text)
        if found is None:
            return
        depth, star, name, at, value = len(found[1]), bool(found[2]), found[3], found[4], found[5].strip()
        name = _CALLED.get(name, name)
        if depth == 1:
            self._record = self._entry = None
            self._take(name, value, star=star, at=at)
        elif at is not None:
            self._put_in_list(name, value)
        elif depth == 3:
            self._take_attribute(name, value, star=star)
        elif depth == 2 and self._record is not None:
            self._take_member(name, value)

    def _take(self, name: str, text: str, *, star: bool, at: str | None) -> None:
        block = self._block
        if at is not None:
            self._put_in_list(name, text)
        elif star:
            # What a pointer points to: a number is told, bytes and strings are left where they are.
            if text.isascii() and text.isdigit():
                (block.outputs if self._out else block.arguments)[name] = int(text)
        elif text.startswith(("0x", "(nil)")) or (name.startswith(("p", "N")) and _NULL.match(text)):
            self._take_pointer(name, null=bool(_NULL.match(text)))
        elif not self._out:
            value = number(text.split(" ", 1)[0])
            if value is not None:
                block.arguments[name] = value

    def _take_pointer(self, name: str, *, null: bool) -> None:
        block = self._block
        if not self._out:
            block.arguments[name] = None if null else True
        if name in ("pMechanism", "pInitArgs") and not null:
            self._record = block.arguments[name] = {}
        elif name == "pInfo" and self._out and not null:
            self._record = block.outputs[name] = {}
        elif name.endswith("Template"):
            self._template = name
            if not null and not self._out and parameter_after(block.function, name) is not None:
                block.arguments[name] = []

    def _put_in_list(self, name: str, text: str) -> None:
        value = number(text.split(" ", 1)[0])
        if not self._out or value is None:
            return
        found = self._block.outputs.setdefault(name, [])
        most = self._block.outputs.get("pulObjectCount")
        # What comes after the objects that were found is what the array held before.
        if isinstance(found, list) and (name != "phObject" or most is None or len(found) < most):
            found.append(value)

    def _take_member(self, name: str, text: str) -> None:
        assert self._record is not None
        word = text.split(" ", 1)[0]
        name = {"Flags": "flags"}.get(name, name)
        if name in ("CreateMutex", "DestroyMutex", "LockMutex", "UnlockMutex", "pReserved", "pParameter"):
            self._record[name] = None if _NULL.match(text) else True
        elif word.isascii() and word.isdigit():
            self._record[name] = int(word)

    def _take_attribute(self, name: str, text: str, *, star: bool) -> None:
        word = text.split(" ", 1)[0]
        if name == "Attribute" and word.isascii() and word.isdigit():
            self._entry = Entry(int(word))
            self._block.template(self._template, out=self._out).append(self._entry)
        elif self._entry is None:
            return
        elif name == "pValue" and not star:
            self._entry.null = bool(_NULL.match(text))
        elif name == "ulValueLen" and word.isascii() and word.isdigit():
            self._entry.length = int(word)
        elif star:
            self._entry.value = _value(self._entry, text)


_CLASSES: Final = frozenset({0x000, 0x080, 0x100})


def _value(entry: Entry, text: str) -> bool | int | None:
    """The value of a CK_BBOOL, or of what names a class or a type."""
    digits = text.removeprefix("HEX(").removesuffix(")")
    if entry.length == 1:
        return next((truth for truth, octet in _TRUTHS if digits == octet), None)
    if entry.type in _CLASSES and entry.length == 8 and re.fullmatch(r"[0-9A-Fa-f]{16}", digits):
        return int.from_bytes(bytes.fromhex(digits), "little")
    return None
