"""Calls of a Python program on PyKCS11's low level, as far as that can pass on what a call is given."""

from collections.abc import Iterator
from typing import Final

from PyKCS11 import LowLevel

from ..model.interface import SIGNATURES
from .script import Again, Library, Named, NotReached, Record, Records, Step, Value


def _call(step: Step) -> Iterator[str]:
    if not hasattr(LowLevel.CPKCS11Lib, step.function):
        raise NotReached(f"PyKCS11 has no {step.function}")
    yield from (f"again_bytes = again({x.outputs!r}, {x.flipped}, {x.cut})" for x in step.words if isinstance(x, Again))
    before, given = _given(step)
    called = f"rv = lib.{step.function}({', '.join(given)})"
    if step.function == "C_WaitForSlotEvent":
        called += "[0]"
    if step.less is not None and "data = room(BYTES)" in before:
        yield from (line for line in before if not line.startswith("data = "))
        again = f"    data = room(len(data) - {step.less})\n    {called}"
        yield f"data = room(0)\n{called}\nif rv == 0 and len(data) > {step.less}:\n{again}"
    elif step.less is not None:
        raise NotReached("PyKCS11 passes on no buffer of a length of ours there")
    else:
        yield from before
        yield called
    if step.handles:
        yield f"made = [{', '.join(f'made_{n}.value()' for n in range(len(step.handles)))}]"
    yield from (f"handle[{k}] = made[{n}]" for n, k in enumerate(step.handles))
    if step.output is not None:
        yield f"output[{step.output}] = bytes([*data])"


def _given(step: Step) -> tuple[list[str], list[str]]:
    """What is to be made ready before a call, and what it is given: pointers and their lengths are one here."""
    signature = SIGNATURES[step.function]
    left = [(p.type.removeprefix("CK_"), word) for p, word in zip(signature.parameters, step.words, strict=True)]
    before: list[str] = []
    given: list[str] = []
    made = 0
    while left:
        kind, word = left.pop(0)
        following = left[0][0] if left else None
        match kind:
            case "SESSION_HANDLE":
                given.append(f"session({_number(word)})")
            case "OBJECT_HANDLE":
                given.append(f"item({_number(word)})")
            case "BBOOL":
                given.append(str(bool(word)))
            case "SLOT_ID" | "FLAGS" | "USER_TYPE" | "MECHANISM_TYPE":
                given.append(_number(word))
            case "MECHANISM_PTR":
                given.append(_mechanism(word))
            case "ATTRIBUTE_PTR":
                given.append(_template(word, left.pop(0)[1]))
            case "SLOT_ID_PTR" | "MECHANISM_TYPE_PTR" if following == "ULONG_PTR":
                if (word, left.pop(0)[1]) != (Named("numbers"), Named("length")):
                    raise NotReached("PyKCS11 asks for the length of a list by itself")
                given.append("numbers")
            case "SLOT_ID_PTR":
                given.append("None" if word is None else "0")
            case "OBJECT_HANDLE_PTR" if following == "ULONG":
                at_most, _ = left.pop(0)[1], left.pop(0)
                if word is None or not at_most:
                    raise NotReached("PyKCS11 gives C_FindObjects no room for none")
                before.append(f"numbers = LowLevel.ckulonglist({_number(at_most)})")
                given.append("numbers")
            case "OBJECT_HANDLE_PTR" | "SESSION_HANDLE_PTR":
                if word is None:
                    raise NotReached("PyKCS11 has a place for each new handle")
                before.append(f"made_{made} = LowLevel.CK_{kind.removesuffix('_PTR')}()")
                given.append(f"made_{made}")
                made += 1
            case "BYTE_PTR" | "UTF8CHAR_PTR" if following == "ULONG_PTR":
                before.append(f"data = room({'0' if word is None else 'BYTES'})")
                if left.pop(0)[1] is None:
                    raise NotReached("PyKCS11 has a place for each length")
                given.append("data")
            case "BYTE_PTR" if word == Named("bytes"):
                before.append(f"data = room({_number(left.pop(0)[1])})")
                given.append("data")
            case "BYTE_PTR" | "UTF8CHAR_PTR" if following == "ULONG":
                given.append(_octets(word, left.pop(0)[1]))
            case "UTF8CHAR_PTR":
                given.append("None" if word is None else repr(_bytes(word).decode()))
            case "VOID_PTR":
                if word is not None:
                    raise NotReached(f"PyKCS11 passes on nothing to {step.function}")
            case "NOTIFY":
                if word != Named("notify"):
                    raise NotReached("PyKCS11 passes on no Notify")
            case _ if kind.endswith("INFO_PTR"):
                before.append(f"info = LowLevel.CK_{kind.removesuffix('_PTR')}()")
                given.append("None" if word is None else "info")
            case _:
                raise NotReached(f"PyKCS11 passes on no {kind} to {step.function}")
    return before, given


def _number(word: Value) -> str:
    match word:
        case int():
            return str(int(word))
        case Named("slot" | "handle", index):
            return f"{word.name}[{index}]"
    raise NotReached("PyKCS11 passes on numbers only")


def _bytes(word: Value) -> bytes:
    if isinstance(word, bytes):
        return word
    raise NotReached("PyKCS11 passes on no records")


def _octets(word: Value, length: Value) -> str:
    match word:
        case None if length == 0:
            return 'octets(b"")'
        case bytes() if word:
            return f"octets({word!r})"
        case Again():
            return "octets(again_bytes)"
        case Named("pin", index):
            return f"octets(pin[{index}])"
    raise NotReached("PyKCS11 gives NULL for empty data, and only for that")


def _mechanism(word: Value) -> str:
    if word is None:
        return "None"
    assert isinstance(word, Record)
    members = dict(word.members)
    parameter = members["pParameter"]
    return f"mechanism({_number(members['mechanism'])}, {b'' if parameter is None else _bytes(parameter)!r})"


def _template(word: Value, count: Value) -> str:
    if not isinstance(word, Records) or count != len(word.items):
        raise NotReached("PyKCS11 passes on no NULL for a template")
    return f"template([{', '.join(map(_attribute, word.items))}])"


def _attribute(record: Record) -> str:
    members = dict(record.members)
    match members["pValue"]:
        case bytes() as value if value and len(value) == members["ulValueLen"]:
            return f"({_number(members['type'])}, {value!r})"
        case Named("value"):
            return f"({_number(members['type'])}, None)"
    raise NotReached("PyKCS11 gives NULL for empty values, and only for those")


_HEAD: Final = """from PyKCS11 import LowLevel

lib = LowLevel.CPKCS11Lib()
loaded = lib.Load(sys.argv[1])
if loaded != 0:
    sys.exit(f"{sys.argv[1]}: PyKCS11 cannot load it: {loaded}")
lib.C_Finalize()
numbers = LowLevel.ckulonglist()
kept = []


def octets(content):
    return LowLevel.ckbytelist(content)


def room(size):
    return LowLevel.ckbytelist(size)


def session(number):
    made = LowLevel.CK_SESSION_HANDLE()
    made.assign(number)
    return made


def item(number):
    made = LowLevel.CK_OBJECT_HANDLE()
    made.assign(number)
    return made


def mechanism(number, parameter):
    made = LowLevel.CK_MECHANISM()
    made.mechanism = number
    if parameter:
        kept.append(octets(parameter))
        made.pParameter = kept[-1]
        made.ulParameterLen = len(parameter)
    kept.append(made)
    return made


def template(given):
    made = LowLevel.ckattrlist(len(given))
    for n, (kind, content) in enumerate(given):
        if content is None:
            made[n].SetType(kind)
            made[n].Reserve(VALUE)
        else:
            made[n].SetBin(kind, octets(content))
    return made


def tokens():
    about, info, every = LowLevel.CK_SLOT_INFO(), LowLevel.CK_TOKEN_INFO(), LowLevel.ckulonglist()
    assert lib.C_Initialize() == 0 and lib.C_GetSlotList(False, every) == 0
    for n, number in enumerate([*every]):
        present = lib.C_GetSlotInfo(number, about) == 0 and about.flags & 1
        there = present and lib.C_GetTokenInfo(number, info) == 0 and info.flags & 0x400
        yield -bool(present) - bool(there), n, number
    lib.C_Finalize()


def found():
    return [*numbers]


def label_of(opened, number):
    wanted = LowLevel.ckattrlist(1)
    wanted[0].SetType(3)
    wanted[0].Reserve(300)
    told = lib.C_GetAttributeValue(session(opened), item(number), wanted) == 0
    return bytes([*wanted[0].GetBin()]) if told else b""
"""

PYKCS11: Final = Library(
    "PyKCS11",
    _HEAD,
    _call,
    {
        "state": "info.state",
        "flags": "info.flags",
        "slot": "place_of(info.slotID)",
        "token_present": "info.flags & 1",
        "initialized": "info.flags >> 10 & 1",
        "user_pin_initialized": "info.flags >> 3 & 1",
        "sessions": "count(info.ulSessionCount)",
        "rw_sessions": "count(info.ulRwSessionCount)",
        "count": "len(numbers)",
        "slots": "sum({1 << slot.index(x) for x in found() if x in slot})",
    },
)
