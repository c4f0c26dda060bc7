"""What p11-kit writes where `log-calls` is on: the name of a call, its arguments, its outputs, and what it returned.

It tells neither thread nor process nor module, and of templates that are given only which attributes they have.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from .block import Block, Pending, parameter_after
from .names import number
from .step import Entry, Step

_BEGIN: Final = re.compile(r"(?:[^\t ].*\W)?(C_\w+)$")
_END: Final = re.compile(r"(?:[^\t ].*\W)?(C_\w+) = (CKR_\w+)$")
"""A program may have written a part of the line before."""
_VALUE: Final = re.compile(r"(  IN| OUT): (\w+) = (.*)$")
_MEMBER: Final = re.compile(r"\t(\w+): ?(.*)$")
_COUNTED: Final = re.compile(r"\((\d+|\?)\) ?(.*)$")
_HANDLE: Final = re.compile(r"(?:0x[0-9A-Fa-f]+ = )?(?:SL|S|H)?(\d+)$")
_HANDLES: Final = re.compile(r"\b(?:SL|S|H)?(\d+)\b")
_TYPES: Final = re.compile(r"CKA_\w+")
_ATTRIBUTE: Final = re.compile(
    r'\{ (CKA_\w+) = (CKO_\w+|CKK_\w+|CK_TRUE|CK_FALSE|\((-?\d+)\)(?: "((?:[^"\\]|\\.)*)")?)'
)
_MECHANISMS: Final = re.compile(r"CKM_\w+")
_INFINITE: Final = {"CK_UNAVAILABLE_INFORMATION": 0, "CK_EFFECTIVELY_INFINITE": 2**64 - 1}
_CALLED: Final = {
    "max_object_count": "ulMaxObjectCount",
    "object": "phObject",
    "size": "pulSize",
    "RandomData": "pRandomData",
}
"""Parameters that p11-kit has other names for."""

_TRUTH: Final = {"CK_TRUE": True, "CK_FALSE": False, "\\x01": True, "\\x00": False}


def recognises(head: str) -> bool:
    """Whether a file that begins so is such a log."""
    return bool(re.search(r"^C_\w+ = CKR_\w+$", head, re.MULTILINE))


def read(lines: Iterable[str]) -> Iterator[Step]:
    """The calls of a log; what programs write beside it is passed over."""
    pending = Pending()
    inside: dict[str, Any] | None = None
    for n, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        begin, end = _BEGIN.match(line), _END.match(line)
        if begin is not None:
            yield from pending.begin((begin[1], n), Block(begin[1], n))
            inside = None
        elif end is not None:
            key = next((k for k in pending.newest_first() if k[0] == end[1]), None)
            block = Block(end[1], n) if key is None else pending.end(key)
            if block is not None:
                yield block.step(number(end[2]))
            inside = None
        else:
            block = pending.get(pending.last())
            if block is not None:
                inside = _take(block, line, inside)
    yield from pending.rest()


def _take(block: Block, line: str, inside: dict[str, Any] | None) -> dict[str, Any] | None:
    """Take down a line; gives the record that the lines to come are of."""
    found = _VALUE.match(line)
    if found is None:
        member = _MEMBER.match(line)
        if inside is not None and member is not None:
            _take_member(inside, member[1], member[2].strip())
            return inside
        return None if line.startswith("      }") else inside
    out, name, text = found[1] == " OUT", _CALLED.get(found[2], found[2]), found[3].strip()
    if text == "{":
        given = block.outputs if out else block.arguments
        record: dict[str, Any] = {}
        given[name] = record
        return record
    if name.endswith("Template"):
        _take_template(block, name, text, out=out)
    elif out:
        _take_output(block, name, text)
    else:
        _take_input(block, name, text)
    return None


def _take_member(record: dict[str, Any], name: str, text: str) -> None:
    name = {"reserved": "pReserved"}.get(name, name)
    if name == "mechanism":
        value = number(text)
        if value is not None:
            record[name] = value
    elif name == "pParameter" or not name:
        return
    elif name == "state":
        value = number(text)
        if value is not None:
            record[name] = value
    elif name in ("CreateMutex", "DestroyMutex", "LockMutex", "UnlockMutex", "pReserved"):
        record[name] = None if re.fullmatch(r"0x0+", text) else True
    elif name == "flags":
        flags = _flags(text)
        if flags is not None:
            record[name] = flags
    elif name == "slotID":
        found = _HANDLE.match(text)
        if found is not None:
            record[name] = int(found[1])
    elif text.isascii() and text.isdigit():
        record[name] = int(text)
    else:
        record[name] = _INFINITE.get(text, True)


def _flags(text: str) -> int | None:
    """The number of flags, where it is told in full; it is hexadecimal in some records, and left out in others."""
    digits, _, names = text.partition("=")
    digits = digits.strip()
    total = 0
    for name in filter(None, (x.strip() for x in names.split("|"))):
        bit = _FLAGS.get(name)
        if bit is None:
            return None
        total |= bit
    if names.strip():
        return total
    return int(digits) if digits.isascii() and digits.isdigit() and digits in "0" else None


_FLAGS: Final = {
    "CKF_OS_LOCKING_OK": 0x2,
    "CKF_LIBRARY_CANT_CREATE_OS_THREADS": 0x1,
    "CKF_TOKEN_PRESENT": 0x1,
    "CKF_REMOVABLE_DEVICE": 0x2,
    "CKF_HW_SLOT": 0x4,
    "CKF_RNG": 0x1,
    "CKF_WRITE_PROTECTED": 0x2,
    "CKF_LOGIN_REQUIRED": 0x4,
    "CKF_USER_PIN_INITIALIZED": 0x8,
    "CKF_RESTORE_KEY_NOT_NEEDED": 0x20,
    "CKF_CLOCK_ON_TOKEN": 0x40,
    "CKF_PROTECTED_AUTHENTICATION_PATH": 0x100,
    "CKF_DUAL_CRYPTO_OPERATIONS": 0x200,
    "CKF_TOKEN_INITIALIZED": 0x400,
    "CKF_SECONDARY_AUTHENTICATION": 0x800,
    "CKF_USER_PIN_COUNT_LOW": 0x10000,
    "CKF_USER_PIN_FINAL_TRY": 0x20000,
    "CKF_USER_PIN_LOCKED": 0x40000,
    "CKF_USER_PIN_TO_BE_CHANGED": 0x80000,
    "CKF_SO_PIN_COUNT_LOW": 0x100000,
    "CKF_SO_PIN_FINAL_TRY": 0x200000,
    "CKF_SO_PIN_LOCKED": 0x400000,
    "CKF_SO_PIN_TO_BE_CHANGED": 0x800000,
    "CKF_SERIAL_SESSION": 0x4,
    "CKF_RW_SESSION": 0x2,
    "CKF_DONT_BLOCK": 0x1,
    "CKF_HW": 0x1,
    "CKF_ENCRYPT": 0x100,
    "CKF_DECRYPT": 0x200,
    "CKF_DIGEST": 0x400,
    "CKF_SIGN": 0x800,
    "CKF_SIGN_RECOVER": 0x1000,
    "CKF_VERIFY": 0x2000,
    "CKF_VERIFY_RECOVER": 0x4000,
    "CKF_GENERATE": 0x8000,
    "CKF_GENERATE_KEY_PAIR": 0x10000,
    "CKF_WRAP": 0x20000,
    "CKF_UNWRAP": 0x40000,
    "CKF_DERIVE": 0x80000,
    "CKF_EXTENSION": 0x80000000,
}
"""The flags by their names, which are all that is sure: the number is written in one base here, in another there."""


def _take_template(block: Block, name: str, text: str, *, out: bool) -> None:
    counted = _COUNTED.match(text)
    if counted is None:
        return
    count = parameter_after(block.function, name)
    if not out and count is not None and counted[1] != "?":
        block.arguments[count] = int(counted[1])
    if counted[2] == "NONE":
        if not out:
            block.arguments[name] = None
        return
    entries = block.template(name, out=out)
    if out:
        entries += [_entry(x) for x in _ATTRIBUTE.finditer(counted[2])]
        return
    for found in _TYPES.findall(counted[2]):
        type = number(found)
        if type is None:
            # A template of which not every attribute can be told is none that is told.
            block.arguments[name] = True
            return
        entries.append(Entry(type))


def _entry(found: re.Match[str]) -> Entry:
    text = found[2]
    entry = Entry(number(found[1]) or 0, null=False)
    if found[3] is not None:
        entry.length = int(found[3])
        # A CK_BBOOL may be written as a byte.
        entry.value = _TRUTH.get(found[4] or "") if entry.length == 1 else None
    else:
        entry.value = _TRUTH[text] if text in _TRUTH else number(text)
    return entry


def _take_output(block: Block, name: str, text: str) -> None:
    counted = _COUNTED.match(text)
    if counted is None:
        found = _HANDLE.match(text)
        if found is not None:
            block.outputs[name] = int(found[1])
        return
    length = parameter_after(block.function, name)
    if length is not None and counted[1] != "?":
        block.outputs[length] = int(counted[1])
    rest = counted[2]
    if rest in ("NOTHING", "NO-VALUES", "NULL"):
        block.arguments[name] = None
    elif rest.startswith("[") and "CKM_" in rest:
        block.outputs[name] = [x for x in map(number, _MECHANISMS.findall(rest)) if x is not None]
        block.arguments[name] = True
    elif rest.startswith("["):
        block.outputs[name] = [int(x) for x in _HANDLES.findall(rest)]
        block.arguments[name] = True
    else:
        block.arguments[name] = True


def _take_input(block: Block, name: str, text: str) -> None:
    counted = _COUNTED.match(text)
    if counted is not None:
        length = parameter_after(block.function, name)
        if length is not None and counted[1] != "?":
            block.arguments[length] = int(counted[1])
        block.arguments[name] = None if counted[2] in ("NOTHING", "NULL") else True
    elif text == "NULL":
        block.arguments[name] = None
    elif name == "flags":
        flags = _flags(text)
        if flags is not None:
            block.arguments[name] = flags
    elif text in ("CK_TRUE", "CK_FALSE"):
        block.arguments[name] = int(text == "CK_TRUE")
    elif text.startswith("0x"):
        found = _HANDLE.match(text)
        block.arguments[name] = True if found is None else int(found[1])
    else:
        found = _HANDLE.match(text)
        value = int(found[1]) if found is not None else number(text)
        if value is not None:
            block.arguments[name] = value
