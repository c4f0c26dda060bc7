"""A sequence of calls as a C program that compiles alone: `cc reproduce.c -ldl`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..model.vocabulary import CKR, Version
from .cryptoki import declarations
from .library import declaration, listed
from .memory import CAPACITY, Room
from .script import PINS, SLOTS, Again, Named, Record, Records, Step, Value


@dataclass(frozen=True, slots=True)
class Told:
    """What a program says beside its calls: what it shows, in lines, and the codes permitted at its end."""

    lines: tuple[str, ...]
    permitted: tuple[str, ...]


def c_program(steps: Sequence[Step], told: Told) -> str:
    """The program. It exits with 1 where the divergence shows, 0 where it does not, 2 where it could not be run."""
    return "\n".join((*_head(steps, told), *_calls(steps, told), "}", ""))


def _head(steps: Sequence[Step], told: Told) -> Iterator[str]:
    outputs = max(1, sum(s.output is not None for s in steps))
    handles = max(1, sum(len(s.handles) for s in steps))
    # A backslash at the end of a line would go on with the comment.
    yield from (f"// {line} ." if line.endswith("\\") else f"// {line}" for line in told.lines)
    yield "// Build: cc -o reproduce reproduce.c -ldl; run: ./reproduce MODULE.so"
    yield "// PINs come from P11CONFORM_PIN and P11CONFORM_SO_PIN, the slot from P11CONFORM_SLOT, else the first token."
    yield "#include <dlfcn.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>"
    yield from declarations()
    yield declaration("CK_FUNCTION_LIST", listed(Version.V2_40))
    yield f"enum {{ BYTES = {CAPACITY[Room.BYTES]}, NUMBERS = {CAPACITY[Room.NUMBERS]}, VALUE = 4096 }};"
    yield "CK_FUNCTION_LIST_PTR f;"
    yield f"CK_SLOT_ID slot[{SLOTS}];\nCK_ULONG handle[{handles}], made[2], length, numbers[NUMBERS];"
    yield "CK_BYTE bytes[BYTES], scratch[4096], value[3 * VALUE], again[4 * BYTES];"
    yield f"CK_BYTE output[{outputs}][BYTES];\nCK_ULONG output_length[{outputs}], again_length;"
    yield f"CK_BYTE pin[{len(PINS)}][512];\nCK_ULONG pin_length[{len(PINS)}];"
    yield _HELPERS
    yield "const char *name(CK_RV code) {"
    yield "    static char text[32];"
    yield from (f'    if (code == 0x{int(code):X}UL) return "{code}";' for code in CKR)
    yield '    snprintf(text, sizeof text, "0x%08lX", code);\n    return text;\n}'


_HELPERS = """
CK_RV notify(CK_SESSION_HANDLE s, CK_NOTIFICATION e, CK_VOID_PTR a) { (void)s; (void)e; (void)a; return 0; }
CK_RV cancel(CK_SESSION_HANDLE s, CK_NOTIFICATION e, CK_VOID_PTR a) { (void)s; (void)e; (void)a; return 1; }
CK_RV create_mutex(CK_VOID_PTR_PTR m) { *m = malloc(1); return 0; }
CK_RV mutex(CK_VOID_PTR m) { (void)m; return 0; }
CK_RV no_mutex(CK_VOID_PTR m) { (void)m; return 5; }
void give_again(int count, const int *which, int flipped, int cut) {
    again_length = 0;
    for (int i = 0; i < count; i++) {
        memcpy(again + again_length, output[which[i]], output_length[which[i]]);
        again_length += output_length[which[i]];
    }
    if (flipped) again[again_length - 1] ^= 1;
    if (cut) again_length--;
}
void set_pin(int index, const char *content) {
    pin_length[index] = strlen(content) < 512 ? strlen(content) : 511;
    memcpy(pin[index], content, pin_length[index]);
}
void pin_of(int index, const char *variable) {
    if (!getenv(variable)) { fprintf(stderr, "set %s, which holds the PIN\\n", variable); exit(2); }
    set_pin(index, getenv(variable));
}
void find_slots(void) {
    static CK_SLOT_ID all[NUMBERS];
    CK_ULONG count = NUMBERS, found = 0;
    CK_TOKEN_INFO info;
    CK_SLOT_INFO about;
    if (f->C_Initialize(NULL) || f->C_GetSlotList(0, all, &count)) {
        fprintf(stderr, "no slots are listed\\n");
        exit(2);
    }
    if (getenv("P11CONFORM_SLOT")) slot[found++] = strtoul(getenv("P11CONFORM_SLOT"), NULL, 0);
    for (int wanted = 2; wanted >= 0; wanted--)
        for (CK_ULONG i = 0; i < count && found < sizeof slot / sizeof *slot; i++) {
            int kind = f->C_GetSlotInfo(all[i], &about) == 0 && (about.flags & 1);
            if (kind && f->C_GetTokenInfo(all[i], &info) == 0 && (info.flags & 0x400)) kind = 2;
            if (kind == wanted && !(getenv("P11CONFORM_SLOT") && all[i] == slot[0])) slot[found++] = all[i];
        }
    f->C_Finalize(NULL);
}"""


def _calls(steps: Sequence[Step], told: Told) -> Iterator[str]:
    yield "int main(int argc, char **argv) {"
    yield '    if (argc != 2) { fprintf(stderr, "usage: %s MODULE.so\\n", argv[0]); return 2; }'
    yield "    void *library = dlopen(argv[1], RTLD_NOW);"
    yield '    CK_RV (*list)(CK_FUNCTION_LIST_PTR_PTR) = library ? dlsym(library, "C_GetFunctionList") : NULL;'
    yield '    if (!list || list(&f)) { fprintf(stderr, "%s: no PKCS#11 module\\n", argv[1]); return 2; }'
    yield "    CK_RV rv;"
    used = {x.index for s in steps for x in s.words if isinstance(x, Named) and x.name == "pin"}
    for index in sorted(used):
        variable, content = PINS[index]
        yield f'    pin_of({index}, "{variable}");' if variable else f'    set_pin({index}, "{content}");'
    yield "    find_slots();"
    for n, step in enumerate(steps, 1):
        yield f"\n    // {n}"
        yield from (f"    {line}" for line in _call(step))
        yield f'    printf("{n}. {step.function} -> %s\\n", name(rv));\n    fflush(stdout);'
        yield from (f"    {line}" for line in (_checked(n, step) if n < len(steps) else _judged(step, told)))


def _call(step: Step) -> Iterator[str]:
    yield f"length = {'NUMBERS' if Named('numbers') in step.words else 'BYTES'};"
    for word in step.words:
        if isinstance(word, Again):
            which = ", ".join(map(str, word.outputs))
            yield f"give_again({len(word.outputs)}, (int[]){{{which}}}, {word.flipped:d}, {word.cut:d});"
    words = [_word(word) for word in step.words]
    if step.less is not None and Named("length") in step.words:
        asked = [*words[:-2], "NULL", words[-1]]
        yield f"length = 0;\nrv = f->{step.function}({', '.join(asked)});"
        shorter = "\n    if (length > 0) length--;" if step.less else ""
        yield f"if (rv == 0 || rv == 0x150UL) {{{shorter}"
        yield f"    rv = f->{step.function}({', '.join(words)});\n}}"
    elif step.less is not None:
        place = next(n for n, word in enumerate(step.words) if isinstance(word, Records))
        count = len(step.words[place].items)  # type: ignore[union-attr]
        yield f"CK_ATTRIBUTE *t = {words[place]};"
        words[place] = "t"
        yield f"f->{step.function}({', '.join(words)});"
        yield f"for (int i = 0; i < {count}; i++) {{"
        yield "    CK_ULONG told = t[i].ulValueLen;\n    t[i].pValue = value + i * VALUE;"
        room = "(told < VALUE ? told : VALUE)"
        made = f"told == 0 || told == -1UL ? 1 : {room} - 1" if step.less else f"told == -1UL ? 1 : {room}"
        yield f"    t[i].ulValueLen = {made};\n}}"
        yield f"rv = f->{step.function}({', '.join(words)});"
    else:
        yield f"rv = f->{step.function}({', '.join(words)});"
    yield from (f"handle[{k}] = made[{n}];" for n, k in enumerate(step.handles))
    if step.output is not None:
        yield f"output_length[{step.output}] = length;\nmemcpy(output[{step.output}], bytes, length);"


def _number(observed: str) -> str | None:
    """A return value as a number; None for what is none."""
    code = CKR.__members__.get(observed.removeprefix("CKR_"))
    if code is not None:
        return f"0x{int(code):X}UL"
    return f"{observed}UL" if observed.startswith("0x") else None


def _checked(n: int, step: Step) -> Iterator[str]:
    code = _number(step.observed)
    if code is not None:
        yield f'if (rv != {code}) {{ printf("step {n} gave {step.observed} in the report; stopped\\n"); return 2; }}'


def _judged(step: Step, told: Told) -> Iterator[str]:
    permitted = " || ".join(f"rv == {_number(code)}" for code in told.permitted) or "0"
    code = _number(step.observed)
    names = ", ".join(told.permitted) or "nothing"
    yield f'printf("permitted here: {names}\\n");'
    if code is not None:
        yield f'if (rv == {code}) {{ printf("the divergence shows\\n"); return 1; }}'
    yield f'if ({permitted}) {{ printf("it does not show\\n"); return 0; }}'
    yield 'printf("another divergence shows\\n");\nreturn 1;'


def _word(value: Value) -> str:
    match value:
        case None:
            return "NULL"
        case int():
            return f"{value}UL"
        case bytes():
            return f"(CK_BYTE[]){{{_octets(value)}}}"
        case tuple():
            return f"{{{_octets(bytes(value))}}}"
        case Again():
            return "again"
        case Named():
            return _NAMED.get(value.name, value.name.replace(" ", "_")).format(value.index)
        case Record():
            return f"&({value.kind}){_members(value)}"
        case Records():
            items = ", ".join(map(_members, value.items)) or "{0}"
            return f"({value.kind}[]){{{items}}}"


def _members(record: Record) -> str:
    return f"{{{', '.join(f'.{name} = {_word(value)}' for name, value in record.members)}}}"


def _octets(content: bytes) -> str:
    return ", ".join(f"0x{byte:02x}" for byte in content) or "0"


_NAMED = {
    "slot": "slot[{0}]",
    "handle": "handle[{0}]",
    "made": "&made[{0}]",
    "length": "&length",
    "scratch": "(void *)scratch",
    "something": '"p11conform"',
    "pin": "pin[{0}]",
    "pin length": "pin_length[{0}]",
    "value": "value + {0} * VALUE",
}
