"""A sequence of calls as a Python program: on PyKCS11 where that reaches, else on cffi."""

from collections.abc import Iterator, Sequence
from typing import Final

from ..model.vocabulary import CKR
from .memory import CAPACITY, Room
from .script import PINS, SLOTS, Known, Library, Named, NotReached, Step, Told, Value, Wanted, labels, original_label
from .script_cffi import CFFI
from .script_pykcs11 import PYKCS11


def python_program(steps: Sequence[Step], told: Told) -> str:
    """The program. It exits with 1 where the divergence shows, 0 where it does not, 2 where it could not be run."""
    try:
        return program_on(PYKCS11, PYKCS11.name, steps, told)
    except NotReached as why:
        return program_on(CFFI, f"{CFFI.name}, as {why}", steps, told)


def program_on(library: Library, wants: str, steps: Sequence[Step], told: Told) -> str:
    """The program on a library, with what it wants in words.

    Raises:
        NotReached: if the library cannot make a call as it is.
    """
    return "\n".join((*_head(library, wants, steps, told), *_calls(library, steps, told), ""))


def _head(library: Library, wants: str, steps: Sequence[Step], told: Told) -> Iterator[str]:
    yield "#!/usr/bin/env python3"
    yield from (f"# {line}" for line in told.lines)
    yield f"# Run: python3 reproduce.py MODULE.so; it wants {wants}."
    yield "# PINs come from P11CONFORM_PIN and P11CONFORM_SO_PIN, the slot from P11CONFORM_SLOT, else the first token."
    yield "import os\nimport sys\n"
    yield f"BYTES, NUMBERS, VALUE = {CAPACITY[Room.BYTES]}, {CAPACITY[Room.NUMBERS]}, 4096"
    yield "UNTOLD = (2**32 - 1, 2**64 - 1)"
    yield f"NAMES = {{{', '.join(f'0x{int(code):X}: {str(code)!r}' for code in CKR)}}}"
    yield f"SLOTS = {SLOTS}"
    yield _HELPERS
    yield library.head
    used = {x.index for s in steps for x in s.words if isinstance(x, Named) and x.name == "pin"}
    for index in sorted(used):
        variable, content = PINS[index]
        made = f"pin_of({variable!r})" if variable else repr(content.encode())
        yield f"pin[{index}] = {made}"
    yield "find_slots()"


_HELPERS: Final = """slot, handle, output, pin, again_bytes = [], {}, {}, {}, b""


def name(code):
    return NAMES.get(code, f"0x{code:08X}")


def done(code):
    # A module may still call the callbacks of this program, which end before it does.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


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
    first = [int(os.environ["P11CONFORM_SLOT"], 0)] if "P11CONFORM_SLOT" in os.environ else []
    slot.extend(first + [x for *_, x in sorted(tokens()) if x not in first])
    slot.extend([0x7FFFFFF0] * SLOTS)


def place_of(number):
    return slot.index(number) if number in slot else -1


def count(number):
    return -1 if number in UNTOLD else number


def issued(new, taken):
    # 0: no handle; 2: that of something else; 1: a new one.
    return 0 if new == 0 else 2 if new in taken else 1


def look(session, known, ours):
    # What a search found: bits for the objects known, and how many are ours that should not be there.
    seen, strangers = {}, 0
    for number in found():
        label = label_of(session, number)
        alike = (n for n, names, own in known if (label in names if label and names[0] else number == own))
        which = next((n for n in alike if n not in seen), None)
        if which is not None:
            seen[which] = number
        else:
            strangers += label in ours
    return {"found": sum(1 << n for n in seen), "strangers": strangers}


if len(sys.argv) != 2:
    sys.exit(f"usage: {sys.argv[0]} MODULE.so")
"""


def _calls(library: Library, steps: Sequence[Step], told: Told) -> Iterator[str]:
    for n, step in enumerate(steps, 1):
        yield f"\n# {n}"
        if step.observed == "absent":
            yield from _absent(library, step)
        yield from library.call(step)
        yield f'print("{n}. {step.function} ->", name(rv), flush=True)'
        yield from _checked(n, step) if n < len(steps) else _judged(library, steps, told)


def _absent(library: Library, step: Step) -> Iterator[str]:
    if library is not CFFI:
        raise NotReached("PyKCS11 dies where a function is missing")
    yield f'if not is_there("{step.function}"):\n    print("there is no {step.function}\\nthe divergence shows")'
    yield "    done(1)"


def _checked(n: int, step: Step) -> Iterator[str]:
    if step.observed.startswith(("CKR_", "0x")):
        yield f'if name(rv) != "{step.observed}":'
        yield f'    print("step {n} gave {step.observed} in the report; stopped")\n    done(2)'


def _judged(library: Library, steps: Sequence[Step], told: Told) -> Iterator[str]:
    observed = steps[-1].observed
    yield f'print("permitted here: {", ".join(told.permitted) or "nothing"}")'
    yield f'if name(rv) == "{observed}":'
    if told.output is not None:
        x = told.output
        may_be = f"got in {x.permitted!r}" if x.at_least is None else f"got >= {x.at_least}"
        yield f'    got = {_got(library, steps, x)}\n    print("{x.name}:", got, "; permitted here: {x.text}")'
        yield f'    if {may_be}:\n        print("it does not show")\n        done(0)'
    yield '    print("the divergence shows")\n    done(1)'
    yield f'if name(rv) in {told.permitted!r}:\n    print("it does not show")\n    done(0)'
    yield 'print("another divergence shows")\ndone(1)'


def _got(library: Library, steps: Sequence[Step], output: Wanted) -> str:
    """An output of the last call, as the model has it."""
    step = steps[-1]
    match output.name:
        case "handle":
            return f"issued(made[0], [{', '.join(f'handle[{k}]' for k in step.taken)}])"
        case "found" | "strangers":
            known = ", ".join(map(_known, step.objects))
            return f"look({_handle(step.words[0])}, [{known}], {labels(steps)!r})[{output.name!r}]"
    text = library.outputs.get(output.name)
    if text is None:
        raise NotReached(f"{library.name} does not give the {output.name} as the module does")
    return text.format(label=original_label(step)) if output.name == "value" else text


def _known(x: Known) -> str:
    return f"({x.index}, {x.labels!r}, {'None' if x.handle is None else f'handle[{x.handle}]'})"


def _handle(word: Value) -> str:
    return f"handle[{word.index}]" if isinstance(word, Named) else str(word)
