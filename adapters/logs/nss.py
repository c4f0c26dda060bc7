"""What NSS's module logger writes (nss_mod_log, by NSPR_LOG_MODULES): a line a fact, each with its thread.

Pointers are told, and numbers in their lower 32 bits; of values of attributes only what is a truth or has a name.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from .block import Block, Pending, parameter_after, parameters
from .names import number
from .step import Entry, Step

_WHO: Final = re.compile(
    r"(?:[\d\- :.]*UTC - )?(?:-?\d*\[(?P<id>[0-9a-fA-F]+)\]|\[(?P<name>[^\]]*)\]): (?:[A-Z]/nss_mod_log )?(?P<text>.*)$"
)
_BEGIN: Final = re.compile(r"(C_\w+)$")
_FACT: Final = re.compile(r"  (\*?)(\w+)(?:\[(\d+)\])? = (.*)$")
_ATTRIBUTE: Final = re.compile(r"    (CKA_\w+|0x\w+) = (.*?)(?: \[(-?\d+)\])?$")
_NULL: Final = re.compile(r"(?:0x)?(?:0x)?0*(?:\(nil\))?$")
_TRUTH: Final = {"CK_TRUE": True, "CK_FALSE": False}
_POINTER: Final = re.compile(r"(?:p|Notify)")
_CALLED: Final = {"slotID": "pSlotList", "phObject": "phObject", "RandomData": "pRandomData"}
_OTHERWISE: Final = {"C_UnWrapKey": "C_UnwrapKey"}


def recognises(head: str) -> bool:
    """Whether a file that begins so is such a log."""
    return bool(re.search(r"\]: (?:[A-Z]/nss_mod_log )?C_\w+$", head, re.MULTILINE)) and "  rv = " in head


def read(lines: Iterable[str]) -> Iterator[Step]:
    """The calls of a log, in the order in which they returned."""
    pending = Pending()
    threads: dict[str, int] = {}
    for n, line in enumerate(lines, 1):
        who = _WHO.match(line.rstrip("\r\n"))
        if who is None:
            continue
        name, text = who["id"] or who["name"] or "", who["text"]
        thread = threads.setdefault(name, len(threads) + 1)
        begin = _BEGIN.match(text)
        if begin is not None:
            function = _OTHERWISE.get(begin[1], begin[1])
            yield from pending.begin(thread, Block(function, n, 0, thread))
            continue
        block = pending.get(thread)
        if block is None:
            continue
        fact = _FACT.match(text)
        if fact is not None and fact[2] == "rv":
            pending.end(thread)
            yield block.step(number(fact[4]))
        elif fact is not None:
            _take(block, fact)
        else:
            _take_attribute(block, text)
    yield from pending.rest()


def _take(block: Block, fact: re.Match[str]) -> None:
    star, name, at, text = bool(fact[1]), fact[2], fact[3], fact[4].strip()
    name = _CALLED.get(name, name) if at is not None or name == "RandomData" else name
    value = number(text.split(" ", 1)[0])
    if at is not None:
        if value is None and re.fullmatch(r"[0-9a-f]+", text):
            value = int(text, 16)
        if value is not None:
            found = block.outputs.setdefault(name, [])
            if isinstance(found, list):
                found.append(value)
    elif star:
        if value is not None:
            block.outputs[name] = value
    elif name == "mechanism":
        block.arguments["pMechanism"] = {} if value is None else {"mechanism": value}
    elif name not in parameters(block.function):
        _take_info(block, name, text)
    elif _POINTER.match(name):
        null = bool(_NULL.match(text))
        # Of a template the attributes follow; a mechanism too.
        later = name.endswith("Template") and not null
        block.arguments[name] = [] if later else None if null else True
    elif value is not None:
        block.arguments.setdefault(name, value)


def _take_info(block: Block, name: str, text: str) -> None:
    """A member of CK_SESSION_INFO, which is told so that it can be made use of."""
    if name == "state":
        value = number(text)
        if value is not None:
            block.outputs.setdefault("pInfo", {})["state"] = value


def _take_attribute(block: Block, text: str) -> None:
    found = _ATTRIBUTE.match(text)
    type = number(found[1]) if found is not None else None
    if found is None or type is None:
        return
    names = [x for x in parameters(block.function) if x.endswith("Template")]
    if not names:
        return
    name = _filling(block, names)
    out = block.function == "C_GetAttributeValue"
    value: Any = _TRUTH.get(found[2].strip())
    if value is None and found[2].startswith(("CKO_", "CKK_")):
        value = number(found[2].split(" ", 1)[0])
    length = int(found[3]) if found[3] is not None else None
    block.template(name, out=out).append(Entry(type, length=length, value=value))
    if out:
        # It is told after the call only, but the call asked for it.
        block.template(name, out=False).append(Entry(type))


def _filling(block: Block, names: list[str]) -> str:
    """The template that the next attribute is of: the first that does not have as many as it is said to."""
    for name in names[:-1]:
        count = parameter_after(block.function, name)
        given = block.arguments.get(name)
        if isinstance(given, list) and len(given) < block.arguments.get(count or "", 0):
            return name
    return names[-1]
