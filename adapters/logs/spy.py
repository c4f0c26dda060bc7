"""What pkcs11-spy of OpenSC writes: a block a call, with its number, its arguments, and what it returned.

The spy tells no output buffer before the call, so that whether there was one is known of calls that succeeded only.
Bytes are left where they are: only their number is taken down.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ...model.interface import SIGNATURES
from .names import number
from .step import Entry, Step

_HEAD: Final = re.compile(r"(\d+): (C_\w+|SetOperationState)$")
_WHO: Final = re.compile(r"P:(\d+); T:(0x[0-9A-Fa-f]+|\d+)")
_RETURNED: Final = re.compile(r"Returned:  (-?\d+)")
_ARGUMENT: Final = re.compile(r"\[(in|out)\] (\*?)([\w>-]+)(?:\[([^]]*)\])?(?: =|:)? ?(.*)$")
_BYTES: Final = re.compile(r"(?:[0-9A-Fa-f]+ / (-?\d+)|NULL \[size : 0x[0-9A-Fa-f]+ \((-?\d+)\)\]|(EMPTY))")
_ATTRIBUTE: Final = re.compile(r" {4}(CKA_\w+|CKA_\? \(0x[0-9a-fA-F]+\)) +(.*)$")
_MEMBER: Final = re.compile(r" {6}(\w+): +(.*)$")
_SLOT: Final = re.compile(r"Slot (-?\d+)$")
_OBJECT: Final = re.compile(r"Object (0x[0-9a-fA-F]+) matches$")
_MECHANISM: Final = re.compile(r" *(CKM_\w+| Unknown Mechanism \([0-9a-f]+\)) *$")
_OF_MECHANISM: Final = re.compile(r".*min:(\d+) max:(\d+) flags:0x([0-9A-Fa-f]+) ")
_BANNER: Final = "OpenSC PKCS#11 spy"

_OTHERWISE: Final = {"SetOperationState": "C_SetOperationState"}
_ALSO: Final = {"ulObjectCount": "pulObjectCount"}
_TRUTH: Final = {"True": True, "False": False}
_WORD: Final = 2**64


def recognises(head: str) -> bool:
    """Whether a file that begins so is such a log."""
    return _BANNER in head or bool(re.search(r"^\d+: C_\w+\n(P:\d+; T:|\d{4}-\d\d-\d\d )", head, re.MULTILINE))


def read(lines: Iterable[str]) -> Iterator[Step]:
    """The calls of a log. What another call interrupts, as threads do, is told without what it returned."""
    pending: _Block | None = None
    overlap = False
    process = 0
    for n, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        head = _HEAD.match(line)
        if head is not None:
            if pending is not None:
                overlap = True
                yield pending.step(None, concurrent=True)
            # Each process counts its calls from 0 on; newer spies tell its number too.
            process += head[1] == "0"
            pending = _Block(_OTHERWISE.get(head[2], head[2]), n, max(process, 1))
            continue
        if pending is None:
            # After calls of several threads got mixed up, nobody knows which one this returned from.
            overlap = overlap and not line.startswith("*")
            continue
        returned = _RETURNED.match(line)
        if returned is None:
            pending.take(line)
        else:
            yield pending.step(None if overlap else int(returned[1]) % _WORD, concurrent=overlap)
            pending, overlap = None, False
    if pending is not None:
        yield pending.step(None, concurrent=overlap)


class _Block:
    """A call as far as it was read."""

    def __init__(self, function: str, line: int, process: int) -> None:
        self._function, self._line, self._process = function, line, process
        self._arguments: dict[str, Any] = {}
        self._outputs: dict[str, Any] = {}
        self._thread = 0
        self._list: list[Any] | None = None
        """The template or the list that the lines to come are of."""
        self._info: dict[str, Any] | None = None
        self._out = False

    def take(self, line: str) -> None:
        """Take down a line."""
        if line.startswith("["):
            self._list = self._info = None
            self._take_argument(line)
        elif line.startswith("P:"):
            who = _WHO.match(line)
            if who is not None:
                # Numbers of processes come again.
                self._process, self._thread = int(who[1]) + (self._process << 32), int(who[2], 0)
        elif line.startswith("    CKA_"):
            self._take_attribute(line)
        else:
            self._take_rest(line)

    def _take_argument(self, line: str) -> None:
        found = _ARGUMENT.match(line)
        if found is None:
            return
        self._out, name, size, text = found[1] == "out", found[3], found[4], found[5].strip()
        name = _ALSO.get(name, name)
        if "->" in name:
            self._take_mechanism(name, text)
        elif name.endswith("Template") or (name == "pMechanismList" and self._out):
            given = self._outputs if self._out else self._arguments
            self._list = given[name] = []
            if not self._out and size is not None and size.lstrip("-").isdigit() and self._declares(name):
                self._arguments[self._declares(name)] = int(size)
        elif name == "pInfo" and self._out:
            self._info = self._outputs["pInfo"] = {}
            self._arguments["pInfo"] = True
        elif name == "pSlotList" and self._out:
            self._list = self._outputs["pSlotList"] = []
        elif size is not None:
            self._take_bytes(name, size, text)
        else:
            self._take_value(name, text)

    def _declares(self, name: str) -> str:
        """The parameter that tells how many attributes a template has."""
        signature = SIGNATURES.get(self._function)
        names = [p.name for p in signature.parameters] if signature is not None else []
        return names[names.index(name) + 1] if name in names[:-1] else ""

    def _take_value(self, name: str, text: str) -> None:
        if text in ("(nil)", "NULL"):
            self._arguments[name] = None
        elif self._out:
            value = number(text)
            if value is not None:
                self._give(name, value)
        elif name in ("pInitArgs", "pApplication", "Notify", "phSession"):
            self._arguments[name] = True
        else:
            value = number(text)
            if value is not None:
                self._arguments[name] = value

    def _give(self, name: str, value: int) -> None:
        """An output; some of them the spy calls by the name of what they are."""
        signature = SIGNATURES.get(self._function)
        names = [p.name for p in signature.parameters] if signature is not None else []
        if name == "pulObjectCount":
            self._outputs.setdefault("phObject", [])
            self._list = self._outputs["phObject"]
        self._outputs[name if name in names else f"p{name}"] = value

    def _take_bytes(self, name: str, size: str, text: str) -> None:
        found = _BYTES.match(text)
        if found is None:
            return
        length = int(found[1] or found[2] or 0)
        null = found[2] is not None
        if self._out:
            self._arguments[name] = None if null else True
            self._outputs[size.lstrip("*")] = length
        else:
            self._arguments[name] = None if null else True
            if size.isidentifier():
                self._arguments[size] = length

    def _take_mechanism(self, name: str, text: str) -> None:
        part, _, member = name.partition("->")
        given = self._arguments.setdefault(part, {})
        if not isinstance(given, dict):
            return
        if member == "type":
            value = number(text)
            if value is not None:
                given["mechanism"] = value

    def _take_attribute(self, line: str) -> None:
        found = _ATTRIBUTE.match(line)
        type = number(found[1]) if found is not None else None
        if found is None or type is None or self._list is None:
            return
        text = found[2].strip()
        entry = Entry(type)
        octets = re.match(r"([0-9A-Fa-f]{8,16}) / (-?\d+)$", text)
        if octets is not None:
            entry.length = int(octets[2])
            entry.null = int(octets[1], 16) == 0
        elif text in _TRUTH:
            entry.value, entry.null = _TRUTH[text], False
        elif text.startswith(("CKO_", "CKK_")):
            entry.value, entry.null = number(text), False
        self._list.append(entry)

    def _take_rest(self, line: str) -> None:
        if self._info is not None:
            found = _MEMBER.match(line)
            of_mechanism = _OF_MECHANISM.match(line)
            if found is not None:
                self._info[found[1]] = _member(found[1], found[2].strip())
            elif of_mechanism is not None:
                self._info.update(
                    ulMinKeySize=int(of_mechanism[1]), ulMaxKeySize=int(of_mechanism[2]), flags=int(of_mechanism[3], 16)
                )
            return
        if self._list is not None:
            for pattern in (_SLOT, _OBJECT, _MECHANISM):
                found = pattern.match(line)
                value = number(found[1]) if found is not None else None
                if value is not None:
                    self._list.append(value)
                    return
            if line.startswith("Count is "):
                for name in ("pSlotList", "pMechanismList"):
                    if self._outputs.pop(name, None) is not None:
                        self._arguments[name] = None
                self._list = None

    def step(self, returned: int | None, *, concurrent: bool) -> Step:
        """The call."""
        for name in ("pSlotList", "pMechanismList"):
            if name in self._outputs:
                self._arguments[name] = True
        return Step(
            self._function,
            self._arguments,
            self._outputs,
            returned,
            self._process,
            self._thread,
            self._line,
            concurrent,
        )


_HEXADECIMAL: Final = frozenset({"flags", "state", "ulDeviceError"})


def _member(name: str, text: str) -> Any:
    """A member of a record: a number, or that there is one."""
    word = text.split(" ", 1)[0]
    if name in _HEXADECIMAL:
        return int(word, 16) if re.fullmatch(r"[0-9a-fA-F]+", word) else None
    if re.fullmatch(r"-?\d+", word):
        return int(word) % _WORD
    return True
