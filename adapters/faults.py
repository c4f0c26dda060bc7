"""A library in front of another one that fails to order: at the N-th call of a function a code, a death, a hang.

It is a few lines of C for each function, made of the signatures and built when it is wanted. So what no module can be
provoked to do is done on any of them. Calls are counted in each process anew.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from ..model.call import code_text
from ..model.interface import SIGNATURES, Signature
from ..model.vocabulary import CKR, Version
from . import compiler
from .library import listed


class What(Enum):
    """What a call does: return a code instead of doing anything, die, hang, or tell a length that cannot be."""

    RETURN = 1
    DIE = 2
    HANG = 3
    GARBAGE_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong in call number `at` of a function in a process, the first being 1; `onward` in all after, too."""

    function: str
    at: int
    what: What
    code: int = 0
    onward: bool = False

    def __str__(self) -> str:
        words = {what: word for word, what in _WORDS.items()}
        return f"{self.function}:{self.at}{'+' if self.onward else ''}={words.get(self.what) or code_text(self.code)}"


_WRITTEN: Final = re.compile(r"(?P<function>\w+):(?P<at>[0-9]{1,9})(?P<onward>\+?)=(?P<what>[\w-]+)")
_WORDS: Final = {"die": What.DIE, "hang": What.HANG, "garbage-length": What.GARBAGE_LENGTH}


def read_fault(text: str) -> Fault:
    """A fault as a person writes it: C_Sign:3=CKR_DEVICE_ERROR, C_Sign:3=die, C_Sign:1+=hang, C_Sign:2=garbage-length.

    Raises:
        ValueError: for what is none; the text says what is wrong with it.
    """
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ValueError("write it as C_Sign:3=CKR_DEVICE_ERROR; or …=die, …=hang, …=garbage-length")
    function, what = written["function"], written["what"]
    if function not in _NUMBERS:
        raise ValueError(f"no function is called {function}")
    at, onward = int(written["at"]), bool(written["onward"])
    if at == 0:
        raise ValueError("calls are counted from 1")
    if what in _WORDS:
        if _WORDS[what] is What.GARBAGE_LENGTH and _length(SIGNATURES[function]) is None:
            raise ValueError(f"{function} tells no length")
        return Fault(function, at, _WORDS[what], onward=onward)
    code = CKR.__members__.get(what.removeprefix("CKR_"))
    if code is None:
        raise ValueError(f"{what} is no return value, and none of {', '.join(_WORDS)}")
    return Fault(function, at, What.RETURN, int(code), onward)


_GET_LIST: Final = "C_GetFunctionList"
_LISTED: Final = listed(Version.V2_40)
_NUMBERS: Final = {name: n for n, name in enumerate(_LISTED) if name in SIGNATURES}

LIBRARY: Final = "P11CONFORM_FAULTS_LIBRARY"
FAULTS: Final = "P11CONFORM_FAULTS"
"""Variables that the front reads when it is loaded: the library behind it, and what goes wrong."""


def environment(library: str, faults: Sequence[Fault]) -> Mapping[str, str]:
    """What a process that loads the front needs: which library is behind it, and what goes wrong."""
    rows = (f"{_NUMBERS[x.function]} {x.at} {int(x.onward)} {x.what.value} {x.code}" for x in faults)
    return {LIBRARY: library, FAULTS: ";".join(rows)}


def build(directory: Path) -> str:
    """Build the front in a directory; its path.

    Raises:
        ModuleUnusable: if there is no C compiler, or it does not take what it is given.
    """
    source, library = directory / "faults.c", directory / "libfaults.so"
    source.write_text("\n".join(_source()) + "\n", encoding="ascii")
    compiler.build("--fault", source, library, ["-O1"])
    return str(library)


def _c_type(declared: str) -> str:
    """A type of Cryptoki as the compiler has it: all that is passed is pointers, bytes and long numbers."""
    if declared.endswith("_PTR") or declared == "CK_NOTIFY":
        return "void *"
    return "unsigned char" if declared == "CK_BBOOL" else "unsigned long"


def _length(signature: Signature) -> str | None:
    """The parameter by which a function tells a length, if there is one."""
    return next((p.name for p in reversed(signature.parameters) if p.type == "CK_ULONG_PTR"), None)


_HEAD: Final = f"""\
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {{ FUNCTIONS = {len(_LISTED)}, MOST = 64, ARGUMENTS_BAD = {int(CKR.ARGUMENTS_BAD)},
       FUNCTION_FAILED = {int(CKR.FUNCTION_FAILED)} }};
enum {{ RETURN = 1, DIE, HANG, GARBAGE_LENGTH }};

struct list {{ unsigned char major, minor; void *of[FUNCTIONS]; }};
struct fault {{ unsigned long function, at, onward, what, code; }};

static struct list *other, mine;
static struct fault faults[MOST];
static int many;
unsigned long {_GET_LIST}(struct list **out);
static unsigned long made[FUNCTIONS];

static struct fault *due(unsigned long function)
{{
    unsigned long now = __atomic_add_fetch(&made[function], 1, __ATOMIC_RELAXED);
    for (int i = 0; i < many; i++)
        if (faults[i].function == function && (faults[i].at == now || (faults[i].onward && faults[i].at < now))) {{
            if (faults[i].what == DIE)
                raise(SIGSEGV);
            while (faults[i].what == HANG)
                pause();
            return &faults[i];
        }}
    return 0;
}}
"""

_FOOT: Final = f"""\
unsigned long {_GET_LIST}(struct list **out)
{{
    struct fault *fault = due({_NUMBERS[_GET_LIST]});
    if (fault)
        return fault->code;
    if (!out)
        return ARGUMENTS_BAD;
    if (!other)
        return FUNCTION_FAILED;
    *out = &mine;
    return 0;
}}

__attribute__((constructor)) static void begin(void)
{{
    const char *path = getenv("{LIBRARY}");
    char *next = getenv("{FAULTS}");
    while (next && *next && many < MOST) {{
        unsigned long *to = (unsigned long *)&faults[many++];
        for (int i = 0; i < 5; i++)
            to[i] = strtoul(next, &next, 10);
        next += *next == ';';
    }}
    void *library = path ? dlopen(path, RTLD_NOW) : 0;
    unsigned long (*get)(struct list **) = library ? dlsym(library, "C_GetFunctionList") : 0;
    if (get && get(&other) == 0) {{
        mine.major = other->major;
        mine.minor = other->minor;
        fill();
    }}
}}
"""


def _source() -> Iterator[str]:
    yield _HEAD
    for name, number in _NUMBERS.items():
        if name != _GET_LIST:
            yield from _forwarder(name, number)
    yield "static void fill(void)\n{"
    for name, number in _NUMBERS.items():
        own = name if name == _GET_LIST else f"{name}_"
        yield f"    mine.of[{number}] = other->of[{number}] ? (void *){own} : 0;"
    yield "}\n"
    yield _FOOT


def _forwarder(name: str, number: int) -> Iterator[str]:
    signature = SIGNATURES[name]
    types = [_c_type(p.type) for p in signature.parameters]
    names = [p.name for p in signature.parameters]
    declared = ", ".join(f"{kind} {name}" for kind, name in zip(types, names, strict=True))
    length = _length(signature)
    yield f"static unsigned long {name}_({declared})\n{{"
    yield f"    struct fault *fault = due({number});"
    yield "    if (fault && fault->what == RETURN)\n        return fault->code;"
    yield f"    unsigned long code = ((unsigned long (*)({', '.join(types)}))other->of[{number}])({', '.join(names)});"
    if length is not None:
        yield f"    if (fault && {length})\n        *(unsigned long *){length} = 0x5A5A5A5A;"
    yield "    return code;\n}\n"
