"""A sequence of calls as a C program that compiles alone: `cc reproduce.c -ldl`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ..model.vocabulary import CKR, Version
from .cryptoki import declarations
from .library import declaration, listed
from .memory import CAPACITY, Room, junk
from .script import PINS, SLOTS, Again, Known, Named, Record, Records, Step, Told, Value, Wanted, labels, original_label
from .templates import UNKNOWN_TYPE


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
    yield "CK_FUNCTION_LIST_PTR f;\nCK_ATTRIBUTE_PTR t;"
    yield f"CK_SLOT_ID slot[{SLOTS}];\nCK_ULONG handle[{handles}], made[2], length, numbers[NUMBERS];"
    yield "CK_BYTE bytes[BYTES], scratch[4096], value[3 * VALUE], again[4 * BYTES];"
    yield f"CK_BYTE output[{outputs}][BYTES];\nCK_ULONG output_length[{outputs}], again_length;"
    yield f"CK_BYTE pin[{len(PINS)}][512];\nCK_ULONG pin_length[{len(PINS)}];"
    yield _HELPERS
    if told.output is not None:
        yield _OUTPUTS_TOLD.replace("UNKNOWN_TYPE", f"{int(UNKNOWN_TYPE)}UL")
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
        if step.observed == "absent":
            yield f"    if (!f->{step.function}) {{"
            yield f'        printf("there is no {step.function}\\nthe divergence shows\\n");\n        return 1;\n    }}'
        yield from (f"    {line}" for line in _call(step))
        yield f'    printf("{n}. {step.function} -> %s\\n", name(rv));\n    fflush(stdout);'
        yield from (f"    {line}" for line in (_checked(n, step) if n < len(steps) else _judged(steps, told)))


def _call(step: Step) -> Iterator[str]:
    yield f"length = {'NUMBERS' if Named('numbers') in step.words else 'BYTES'};"
    if Named("scratch") in step.words:
        yield f"memset(scratch, {junk(1)[0]:#x}, sizeof scratch);"
    if step.function == "C_GetAttributeValue":
        yield f"memset(value, {junk(1)[0]:#x}, sizeof value);"
    for word in step.words:
        if isinstance(word, Again):
            which = ", ".join(map(str, word.outputs))
            yield f"give_again({len(word.outputs)}, (int[]){{{which}}}, {word.flipped:d}, {word.cut:d});"
    words = [_word(word) for word in step.words]
    if step.function == "C_GetAttributeValue":
        for place, word in enumerate(step.words):
            if isinstance(word, Records):
                yield f"t = {words[place]};"
                words[place] = "t"
    if step.less is not None and Named("length") in step.words:
        asked = [*words[:-2], "NULL", words[-1]]
        yield f"length = 0;\nrv = f->{step.function}({', '.join(asked)});"
        shorter = "\n    if (length > 0) length--;" if step.less else ""
        yield f"if (rv == 0 || rv == 0x150UL) {{{shorter}"
        yield f"    rv = f->{step.function}({', '.join(words)});\n}}"
    elif step.less is not None:
        count = next(len(word.items) for word in step.words if isinstance(word, Records))
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


def _judged(steps: Sequence[Step], told: Told) -> Iterator[str]:
    step = steps[-1]
    permitted = " || ".join(f"rv == {_number(code)}" for code in told.permitted) or "0"
    code = _number(step.observed)
    names = ", ".join(told.permitted) or "nothing"
    yield f'printf("permitted here: {names}\\n");'
    if code is not None and told.output is not None:
        yield f"if (rv == {code}) {{\n    long got = {_got(steps, told.output)};"
        may_be = " || ".join(f"got == {value}" for value in told.output.permitted) or f"got >= {told.output.at_least}"
        yield f'    printf("{told.output.name}: %ld; permitted here: {told.output.text}\\n", got);'
        yield f'    if ({may_be}) {{ printf("it does not show\\n"); return 0; }}'
        yield '    printf("the divergence shows\\n");\n    return 1;\n}'
    elif code is not None:
        yield f'if (rv == {code}) {{ printf("the divergence shows\\n"); return 1; }}'
    yield f'if ({permitted}) {{ printf("it does not show\\n"); return 0; }}'
    yield 'printf("another divergence shows\\n");\nreturn 1;'


def _got(steps: Sequence[Step], output: Wanted) -> str:
    """An output of the last call, as the model has it."""
    step = steps[-1]
    match output.name:
        case "handle":
            taken = ", ".join(f"handle[{k}]" for k in step.taken) or "0"
            return f"issued(made[0], (CK_ULONG[]){{{taken}}}, {len(step.taken)})"
        case "value":
            return f'value_of("{original_label(step).decode()}")'
        case "given":
            return f"given({next(len(x.items) for x in step.words if isinstance(x, Records))})"
        case "found" | "strangers":
            known = "".join(f"{_known(x)}, " for x in step.objects)
            ours = "".join(f'"{label.decode()}", ' for label in labels(steps))
            which = f"(struct known[]){{{known}{{-1, NULL, NULL, 0}}}}"
            return f"look({_word(step.words[0])}, {which}, (const char *[]){{{ours}NULL}}, {output.name == 'found':d})"
    return _OUTPUTS[output.name]


def _known(x: Known) -> str:
    handle = "0" if x.handle is None else f"handle[{x.handle}]"
    return f'{{{x.index}, "{x.labels[0].decode()}", "{x.labels[1].decode()}", {handle}}}'


_SESSION, _TOKEN = "((CK_SESSION_INFO *)scratch)", "((CK_TOKEN_INFO *)scratch)"

_OUTPUTS: Final[Mapping[str, str]] = {
    "state": f"(long){_SESSION}->state",
    "flags": f"(long){_SESSION}->flags",
    "slot": f"place_of({_SESSION}->slotID)",
    "token_present": "(long)(((CK_SLOT_INFO *)scratch)->flags & 1)",
    "initialized": f"({_TOKEN}->flags & 0x400) != 0",
    "user_pin_initialized": f"({_TOKEN}->flags & 8) != 0",
    "sessions": f"(long){_TOKEN}->ulSessionCount",
    "rw_sessions": f"(long){_TOKEN}->ulRwSessionCount",
    "length": "(long)length",
    "count": "(long)length",
    "slots": "slots_listed()",
}
"""Outputs that stand in the program's variables, as C has them."""

_OUTPUTS_TOLD: Final = """
struct known { int index; const char *label, *changed; CK_ULONG handle; };
long place_of(CK_SLOT_ID id) {
    for (int i = 0; i < (int)(sizeof slot / sizeof *slot); i++) if (slot[i] == id) return i;
    return -1;
}
long slots_listed(void) {
    long got = 0;
    for (CK_ULONG i = 0; i < length && i < NUMBERS; i++)
        if (place_of(numbers[i]) >= 0) got |= 1L << place_of(numbers[i]);
    return got;
}
// 0: no handle; 2: that of something else; 1: a new one.
long issued(CK_ULONG new, const CK_ULONG *taken, int count) {
    for (int i = 0; i < count; i++) if (new == taken[i]) return 2;
    return new != 0;
}
// CKA_LABEL: 0 as it was, 1 changed; a flag: 0 or 1; -1 for nonsense.
long value_of(const char *label) {
    CK_ULONG size = strlen(label), told = t->ulValueLen;
    if (told > VALUE) return -1;
    if (t->type == 0) return told == sizeof(CK_ULONG) ? (long)*(CK_ULONG *)t->pValue : -1;
    if (t->type == 3 && (told == size || told == size + 1) && !memcmp(t->pValue, label, size))
        return told == size ? 0 : value[size] == '*' ? 1 : -1;
    return t->type != 3 && told == 1 && *value < 2 ? *value : -1;
}
// Whether all that the object may have was written.
long given(int count) {
    for (int i = 0; i < count; i++) {
        CK_ULONG n = 0;
        if (count > 1 && t[i].type == UNKNOWN_TYPE) continue;
        if (!t[i].pValue || t[i].ulValueLen > VALUE) return 0;
        while (n < t[i].ulValueLen && ((CK_BYTE *)t[i].pValue)[n] == 0xA5) n++;
        if (n == t[i].ulValueLen) return 0;
    }
    return 1;
}
// What a search found: bits for the objects known, or how many are ours that should not be there.
long look(CK_SESSION_HANDLE session, struct known *known, const char **ours, int objects) {
    long found = 0, strangers = 0;
    for (CK_ULONG i = 0; i < length && i < NUMBERS; i++) {
        char label[300] = "";
        CK_ATTRIBUTE wanted = {3, label, sizeof label - 1};
        struct known *k = known;
        if (f->C_GetAttributeValue(session, numbers[i], &wanted, 1) || wanted.ulValueLen >= sizeof label) *label = 0;
        for (; k->index >= 0; k++) {
            int same = *label && *k->label ? !strcmp(label, k->label) || !strcmp(label, k->changed)
                                           : k->handle && numbers[i] == k->handle;
            if (same && !(found >> k->index & 1)) break;
        }
        if (k->index >= 0) found |= 1L << k->index;
        else for (const char **o = ours; *o; o++) strangers += !strcmp(label, *o);
    }
    return objects ? found : strangers;
}"""
"""What a program says of an output beside the calls: numbers as the model has them."""


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
