"""The recording shim: a library that stands before a module and writes p11conform.trace/1, built where it is wanted."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from ...model.attributes import ATTRIBUTES
from ...model.interface import SIGNATURES, Parameter, Signature
from ...model.vocabulary import Version
from .. import compiler
from ..library import listed
from .trace import SCHEMA

VARIABLE: Final = "P11TRACE"
"""Names the file that is written to, where it is not the one that the shim was built for."""

_OPTIONS: Final = ("-O2", "-fvisibility=hidden", "-Werror=implicit-function-declaration")
_SOURCE: Final = Path(__file__).with_name("recorder.c")
_RECORDED: Final = tuple(SIGNATURES[name] for name in listed(Version.V2_40))
"""The functions of CK_FUNCTION_LIST, in the order of their pointers."""

_BOOLEANS: Final = sorted(
    {
        *range(0x104, 0x10D),  # what a key may be used for
        *(0x171, 0x172),  # what may be done to an object
        *(0x202, 0x210),  # when the user is wanted, and by what a key may be wrapped
        *(x.number for x in ATTRIBUTES.values() if x.boolean and x.number is not None),
    }
)
"""CKA_ numbers of attributes that are a CK_BBOOL, whose values are recorded."""


def build(module: Path, output: Path, trace: Path) -> None:
    """Build the shim for a module; it appends to `trace` unless the environment names another file.

    Raises:
        ModuleUnusable: if there is no C compiler, or it fails.
    """
    with TemporaryDirectory(prefix="p11conform-") as directory:
        wrappers = Path(directory) / "wrappers.h"
        wrappers.write_text("\n".join(_wrappers()) + "\n", encoding="utf-8")
        header = json.dumps({"schema": SCHEMA, "module": str(module)}) + "\n"
        macros = {
            "WRAPPERS": json.dumps(str(wrappers)),
            "MODULE": json.dumps(str(module)),
            "TRACE": json.dumps(str(trace)),
            "HEADER": json.dumps(header),
            "FUNCTIONS": str(len(_RECORDED)),
            "IS_BOOLEAN(t)": f"({' || '.join(f'(t) == {n}' for n in _BOOLEANS)})",
        }
        given = [f"-D{name}={value}" for name, value in macros.items()]
        compiler.build("the recording shim", _SOURCE, output, (*_OPTIONS, *given), ("dl", "pthread"))


def _wrappers() -> Iterator[str]:
    """What depends on the signatures: a function in the place of each of the module's, and the list of them."""
    for n, function in enumerate(_RECORDED):
        if function.parameters[0].type != "CK_FUNCTION_LIST_PTR_PTR":
            yield from _wrapper(n, function)
    yield "static void fill(void)"
    yield "{"
    yield "    mine.version = module->version;"
    for n, function in enumerate(_RECORDED):
        own = function.parameters[0].type == "CK_FUNCTION_LIST_PTR_PTR"
        place = "own_list" if own else f"my_{function.name}"
        yield f"    mine.of[{n}] = module->of[{n}] ? (void *){place} : NULL;"
    yield "}"


def _wrapper(n: int, function: Signature) -> Iterator[str]:
    declared = ", ".join(f"{p.type} {p.name}" for p in function.parameters)
    given, types = ", ".join(p.name for p in function.parameters), ", ".join(p.type for p in function.parameters)
    waits = any(p.name == "pSlot" for p in function.parameters)
    yield f"static CK_RV my_{function.name}({declared})"
    yield "{"
    yield "" if waits else "    pthread_mutex_lock(&turn);"
    yield f'    begin("{function.name}");'
    yield from (f"    {line}" for line in _inputs(function))
    yield f"    CK_RV rv = ((CK_RV (*)({types}))module->of[{n}])({given});"
    yield "    returned(rv);"
    yield from (f"    {line}" for line in _outputs(function.parameters))
    yield "    end();"
    yield "" if waits else "    pthread_mutex_unlock(&turn);"
    yield "    return rv;"
    yield "}"


_SCALARS: Final = frozenset(
    {
        "CK_BBOOL",
        "CK_ULONG",
        "CK_FLAGS",
        "CK_SLOT_ID",
        "CK_SESSION_HANDLE",
        "CK_OBJECT_HANDLE",
        "CK_USER_TYPE",
        "CK_MECHANISM_TYPE",
    }
)


def _inputs(function: Signature) -> Iterator[str]:
    """Statements that write what a call is given; a length that follows a PIN is left out."""
    before = Parameter("", "")
    fills = _fills(function)
    for p, after in zip(function.parameters, (*function.parameters[1:], Parameter("", "")), strict=True):
        if p.type in _SCALARS:
            if not (p.type == "CK_ULONG" and before.type == "CK_UTF8CHAR_PTR"):
                yield f'number("{p.name}", {p.name});'
        elif p.type == "CK_MECHANISM_PTR":
            yield f'in_mechanism("{p.name}", {p.name});'
        elif p.type == "CK_ATTRIBUTE_PTR":
            yield f'template("{p.name}", {p.name}, {after.name}, {int(not fills)});'
        elif p.name == "pInitArgs":
            yield f'in_init_args("{p.name}", {p.name});'
        elif p.type == "CK_ULONG_PTR" and before.type.endswith("_PTR"):
            yield f'if ({p.name} && {before.name}) number("{p.name}", *{p.name}); else pointer("{p.name}", {p.name});'
        else:
            yield f'pointer("{p.name}", {p.name});'
        before = p


def _fills(function: Signature) -> bool:
    """Whether it is the function that fills in the values of a template (5.7): it gives nothing else out."""
    return function.name == "C_GetAttributeValue"


_HANDLES: Final = frozenset({"CK_SESSION_HANDLE_PTR", "CK_OBJECT_HANDLE_PTR"})
_LISTS: Final = frozenset({"CK_SLOT_ID_PTR", "CK_MECHANISM_TYPE_PTR", "CK_OBJECT_HANDLE_PTR"})


def _outputs(parameters: Sequence[Parameter]) -> Iterator[str]:
    """Statements that write what a call gave out."""
    lists = {p.name: p for p in parameters if p.type == "CK_ULONG_PTR"}
    last = next(iter(lists), "")
    for p in parameters:
        if p.type in _LISTS and last:
            yield f'if (rv == OK && {p.name} && {last}) list("{p.name}", {p.name}, *{last});'
        elif p.type in _HANDLES or p.type == "CK_SLOT_ID_PTR":
            yield f'if (rv == OK && {p.name}) number("{p.name}", *{p.name});'
        elif p.type == "CK_ULONG_PTR":
            yield f'if ((rv == OK || rv == BUFFER_TOO_SMALL) && {p.name}) number("{p.name}", *{p.name});'
        elif p.type.endswith("INFO_PTR"):
            yield f'if (rv == OK && {p.name}) out_{p.type}("{p.name}", {p.name});'
        elif p.type == "CK_ATTRIBUTE_PTR" and not any(x.type in _HANDLES for x in parameters):
            yield "if (rv == OK || rv == SENSITIVE || rv == TYPE_INVALID || rv == BUFFER_TOO_SMALL)"
            yield f'    template("{p.name}", {p.name}, ulCount, 1);'
