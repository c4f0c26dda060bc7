"""Calls of a Python program on cffi, which reaches all of a module's functions."""

from collections.abc import Iterator
from typing import Final

from ..model.vocabulary import Version
from .cryptoki import declarations
from .library import declaration, listed
from .memory import junk
from .script import Again, Library, Named, Record, Records, Step, Value
from .templates import UNKNOWN_TYPE


def _call(step: Step) -> Iterator[str]:
    yield f"length[0] = {'NUMBERS' if Named('numbers') in step.words else 'BYTES'}"
    filled = {"scratch": Named("scratch") in step.words, "value": step.function == "C_GetAttributeValue"}
    yield from (f"ffi.buffer({room})[:] = {junk(1)!r} * len({room})" for room, wanted in filled.items() if wanted)
    for word in step.words:
        if isinstance(word, Again):
            yield f"again_bytes = again({word.outputs!r}, {word.flipped}, {word.cut})"
    words = [_word(word) for word in step.words]
    if step.function == "C_GetAttributeValue":
        for place, word in enumerate(step.words):
            if isinstance(word, Records):
                yield f"template = {words[place]}"
                words[place] = "template"
    given = ", ".join(words)
    if step.less is not None and Named("length") in step.words:
        yield f"length[0] = 0\nrv = f.{step.function}({', '.join((*words[:-2], 'ffi.NULL', words[-1]))})"
        yield f"if rv in (0, 0x150):\n    length[0] = max(0, length[0] - {step.less})"
        yield f"    rv = f.{step.function}({given})"
    elif step.less is not None:
        yield f"f.{step.function}({', '.join(words)})"
        yield "for n, wanted in enumerate(template):\n    wanted.pValue = void(value + n * VALUE)"
        yield f"    wanted.ulValueLen = room(wanted.ulValueLen, {step.less})"
        yield f"rv = f.{step.function}({', '.join(words)})"
    else:
        yield f"rv = f.{step.function}({given})"
    yield from (f"handle[{k}] = made[{n}]" for n, k in enumerate(step.handles))
    if step.output is not None:
        yield f"output[{step.output}] = bytes(ffi.buffer(data, length[0]))"


def _word(value: Value) -> str:
    match value:
        case None:
            return "ffi.NULL"
        case int():
            return str(value)
        case bytes():
            return f"octets({value!r})"
        case tuple():
            return repr(bytes(value))
        case Again():
            return "octets(again_bytes)"
        case Named():
            return _NAMED.get(value.name, value.name.replace(" ", "_")).format(value.index)
        case Record():
            return f'new("{value.kind} *", {_members(value)})'
        case Records():
            items = ", ".join(map(_members, value.items))
            return f'new("{value.kind}[]", [{items}])' if items else f'new("{value.kind}[]", 1)'


_VOID = frozenset({"pValue", "pParameter", "pReserved", "pSourceData"})
"""Members that are void pointers."""


def _members(record: Record) -> str:
    members = (
        f'"{name}": {f"void({_word(value)})" if name in _VOID else _word(value)}' for name, value in record.members
    )
    return f"{{{', '.join(members)}}}"


_NAMED = {
    "slot": "slot[{0}]",
    "handle": "handle[{0}]",
    "made": "made + {0}",
    "bytes": "data",
    "scratch": "void(scratch)",
    "something": 'void(new("char[]", b"p11conform"))',
    "pin": "octets(pin[{0}])",
    "pin length": "len(pin[{0}])",
    "value": "value + {0} * VALUE",
    "again length": "len(again_bytes)",
}

_HEAD: Final = """ffi = FFI()
ffi.cdef(CDEF)
kept = []


def new(kind, value=None):
    kept.append(ffi.new(kind, value) if value is not None else ffi.new(kind))
    return kept[-1]


def octets(content):
    made = new("CK_BYTE[]", len(content) or 1)
    ffi.buffer(made)[: len(content)] = content
    return made


def void(value):
    return ffi.cast("void *", value)


library = ffi.dlopen(os.path.abspath(sys.argv[1]))
functions = new("CK_FUNCTION_LIST_PTR_PTR")
assert library.C_GetFunctionList(functions) == 0
f = functions[0]
length, made, numbers = new("CK_ULONG *"), new("CK_ULONG[]", 2), new("CK_ULONG[]", NUMBERS)
data, scratch, value = new("CK_BYTE[]", BYTES), new("CK_BYTE[]", 4096), new("CK_BYTE[]", 3 * VALUE)


@ffi.callback("CK_NOTIFY")
def notify(session, event, application):
    return 0


@ffi.callback("CK_NOTIFY")
def cancel(session, event, application):
    return 1


@ffi.callback("CK_CREATEMUTEX")
def create_mutex(place):
    place[0] = void(1)
    return 0


@ffi.callback("CK_LOCKMUTEX")
def mutex(place):
    return 0


@ffi.callback("CK_LOCKMUTEX")
def no_mutex(place):
    return 5


def tokens():
    count, info, about = new("CK_ULONG *", NUMBERS), new("CK_TOKEN_INFO *"), new("CK_SLOT_INFO *")
    assert f.C_Initialize(ffi.NULL) == 0 and f.C_GetSlotList(0, numbers, count) == 0
    for n in range(count[0]):
        present = f.C_GetSlotInfo(numbers[n], about) == 0 and about.flags & 1
        there = present and f.C_GetTokenInfo(numbers[n], info) == 0 and info.flags & 0x400
        yield -bool(present) - bool(there), n, numbers[n]
    f.C_Finalize(ffi.NULL)


def is_there(function):
    return getattr(f, function) != ffi.NULL


def room(told, less):
    return 1 if told in UNTOLD or told < less else min(told, VALUE) - less


def info(kind):
    return ffi.cast(f"CK_{kind}_INFO *", scratch)


def found():
    return [numbers[n] for n in range(min(length[0], NUMBERS))]


def label_of(session, number):
    room = new("CK_BYTE[]", 300)
    wanted = new("CK_ATTRIBUTE *", {"type": 3, "pValue": void(room), "ulValueLen": 300})
    told = f.C_GetAttributeValue(session, number, wanted, 1) == 0 and wanted.ulValueLen <= 300
    return bytes(ffi.buffer(room, wanted.ulValueLen)) if told else b""


def value_of(label):
    told = template[0].ulValueLen
    content = bytes(ffi.buffer(value, told)) if told <= VALUE else b""
    if template[0].type == 0:
        return int.from_bytes(content, sys.byteorder) if len(content) == ffi.sizeof("CK_ULONG") else -1
    if template[0].type == 3:
        return {label: 0, label + b"*": 1}.get(content, -1)
    return {b"\\0": 0, b"\\1": 1}.get(content, -1)


def given():
    for wanted in template:
        if len(template) > 1 and wanted.type == UNKNOWN_TYPE:
            continue
        if not wanted.pValue or wanted.ulValueLen > VALUE:
            return 0
        if not bytes(ffi.buffer(wanted.pValue, wanted.ulValueLen)).strip(b"\\xa5"):
            return 0
    return 1
"""

_DECLARED: Final = (*declarations(), declaration("CK_FUNCTION_LIST", listed(Version.V2_40)))

CFFI: Final = Library(
    "cffi",
    "\n".join(
        (
            "from cffi import FFI\n",
            f"UNKNOWN_TYPE = {int(UNKNOWN_TYPE)}",
            'CDEF = """',
            *_DECLARED,
            '"""',
            _HEAD,
        )
    ),
    _call,
    {
        "state": 'info("SESSION").state',
        "flags": 'info("SESSION").flags',
        "slot": 'place_of(info("SESSION").slotID)',
        "token_present": 'info("SLOT").flags & 1',
        "initialized": 'info("TOKEN").flags >> 10 & 1',
        "user_pin_initialized": 'info("TOKEN").flags >> 3 & 1',
        "sessions": 'count(info("TOKEN").ulSessionCount)',
        "rw_sessions": 'count(info("TOKEN").ulRwSessionCount)',
        "length": "length[0]",
        "count": "length[0]",
        "slots": "sum({1 << slot.index(x) for x in found() if x in slot})",
        "given": "given()",
        "value": "value_of({label!r})",
    },
)
