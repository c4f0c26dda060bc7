"""A sequence of calls as a Python program that wants nothing but cffi."""

from collections.abc import Iterator, Sequence

from ..model.vocabulary import CKR, Version
from .cryptoki import declarations
from .library import declaration, listed
from .memory import CAPACITY, Room
from .script import PINS, SLOTS, Again, Named, Record, Records, Step, Value
from .script_c import Told


def python_program(steps: Sequence[Step], told: Told) -> str:
    """The program. It exits with 1 where the divergence shows, 0 where it does not, 2 where it could not be run."""
    return "\n".join((*_head(steps, told), *_calls(steps, told), ""))


def _head(steps: Sequence[Step], told: Told) -> Iterator[str]:
    yield "#!/usr/bin/env python3"
    yield from (f"# {line}" for line in told.lines)
    yield "# Run: python3 reproduce.py MODULE.so; it wants cffi."
    yield "# PINs come from P11CONFORM_PIN and P11CONFORM_SO_PIN, the slot from P11CONFORM_SLOT, else the first token."
    yield "import os\nimport sys\n\nfrom cffi import FFI\n\nffi = FFI()"
    yield 'ffi.cdef("""'
    yield from declarations()
    yield declaration("CK_FUNCTION_LIST", listed(Version.V2_40))
    yield '""")'
    yield f"BYTES, NUMBERS, VALUE = {CAPACITY[Room.BYTES]}, {CAPACITY[Room.NUMBERS]}, 4096"
    yield f"NAMES = {{{', '.join(f'0x{int(code):X}: {str(code)!r}' for code in CKR)}}}"
    yield _HELPERS.replace("SLOTS", str(SLOTS))
    used = {x.index for s in steps for x in s.words if isinstance(x, Named) and x.name == "pin"}
    for index in sorted(used):
        variable, content = PINS[index]
        made = f"pin_of({variable!r})" if variable else repr(content.encode())
        yield f"pin[{index}] = {made}"
    yield "find_slots()"


_HELPERS = """

def name(code):
    return NAMES.get(code, f"0x{code:08X}")


kept = []


def new(kind, value=None):
    kept.append(ffi.new(kind, value) if value is not None else ffi.new(kind))
    return kept[-1]


def octets(content):
    made = new("CK_BYTE[]", len(content) or 1)
    ffi.buffer(made)[: len(content)] = content
    return made


def done(code):
    # A module may still call the callbacks of this program, which end before it does.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def void(value):
    return ffi.cast("void *", value)


if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} MODULE.so")
library = ffi.dlopen(os.path.abspath(sys.argv[1]))
functions = new("CK_FUNCTION_LIST_PTR_PTR")
assert library.C_GetFunctionList(functions) == 0
f = functions[0]
length, made, numbers = new("CK_ULONG *"), new("CK_ULONG[2]"), new("CK_ULONG[]", NUMBERS)
data, scratch, value = new("CK_BYTE[]", BYTES), new("CK_BYTE[]", 4096), new("CK_BYTE[]", 3 * VALUE)
slot, handle, output, pin, again_bytes = [], {}, {}, {}, b""


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


def again(which, flipped, cut):
    content = b"".join(output[n] for n in which)
    if flipped:
        content = content[:-1] + bytes([content[-1] ^ 1])
    return content[:-1] if cut else content


def pin_of(variable):
    if variable not in os.environ:
        print(f"set {variable}, which holds the PIN", file=sys.stderr)
        done(2)
    return os.environ[variable].encode()


def find_slots():
    count, info, about = new("CK_ULONG *", NUMBERS), new("CK_TOKEN_INFO *"), new("CK_SLOT_INFO *")
    assert f.C_Initialize(ffi.NULL) == 0 and f.C_GetSlotList(0, numbers, count) == 0
    found = []
    for n in range(count[0]):
        present = f.C_GetSlotInfo(numbers[n], about) == 0 and about.flags & 1
        there = present and f.C_GetTokenInfo(numbers[n], info) == 0 and info.flags & 0x400
        found.append((-bool(present) - bool(there), n, numbers[n]))
    first = [int(os.environ["P11CONFORM_SLOT"], 0)] if "P11CONFORM_SLOT" in os.environ else []
    slot.extend(first + [x for *_, x in sorted(found) if x not in first])
    slot.extend([0x7FFFFFF0] * SLOTS)
    f.C_Finalize(ffi.NULL)


def room(told, less):
    none = 2 ** (8 * ffi.sizeof("CK_ULONG")) - 1
    return 1 if told == none or told < less else min(told, VALUE) - less

"""


def _calls(steps: Sequence[Step], told: Told) -> Iterator[str]:
    for n, step in enumerate(steps, 1):
        yield f"\n# {n}"
        yield from _call(step)
        yield f'print("{n}. {step.function} ->", name(rv), flush=True)'
        yield from _checked(n, step) if n < len(steps) else _judged(step, told)


def _call(step: Step) -> Iterator[str]:
    yield f"length[0] = {'NUMBERS' if Named('numbers') in step.words else 'BYTES'}"
    for word in step.words:
        if isinstance(word, Again):
            yield f"again_bytes = again({word.outputs!r}, {word.flipped}, {word.cut})"
    words = [_word(word) for word in step.words]
    given = ", ".join(words)
    if step.less is not None and Named("length") in step.words:
        yield f"length[0] = 0\nrv = f.{step.function}({', '.join((*words[:-2], 'ffi.NULL', words[-1]))})"
        yield f"if rv in (0, 0x150):\n    length[0] = max(0, length[0] - {step.less})"
        yield f"    rv = f.{step.function}({given})"
    elif step.less is not None:
        place = next(n for n, word in enumerate(step.words) if isinstance(word, Records))
        yield f"template = {words[place]}"
        words[place] = "template"
        yield f"f.{step.function}({', '.join(words)})"
        yield "for n, wanted in enumerate(template):\n    wanted.pValue = void(value + n * VALUE)"
        yield f"    wanted.ulValueLen = room(wanted.ulValueLen, {step.less})"
        yield f"rv = f.{step.function}({', '.join(words)})"
    else:
        yield f"rv = f.{step.function}({given})"
    yield from (f"handle[{k}] = made[{n}]" for n, k in enumerate(step.handles))
    if step.output is not None:
        yield f"output[{step.output}] = bytes(ffi.buffer(data, length[0]))"


def _checked(n: int, step: Step) -> Iterator[str]:
    if step.observed.startswith(("CKR_", "0x")):
        yield f'if name(rv) != "{step.observed}":'
        yield f'    print("step {n} gave {step.observed} in the report; stopped")\n    done(2)'


def _judged(step: Step, told: Told) -> Iterator[str]:
    yield f'print("permitted here: {", ".join(told.permitted) or "nothing"}")'
    yield f'if name(rv) == "{step.observed}":\n    print("the divergence shows")\n    done(1)'
    yield f'if name(rv) in {told.permitted!r}:\n    print("it does not show")\n    done(0)'
    yield 'print("another divergence shows")\ndone(1)'


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
