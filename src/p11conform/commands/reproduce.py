"""The command `reproduce`: a finding of a report as a program that wants nothing of ours."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import click

from ..adapters.calls.table import CALLS
from ..adapters.library import listed
from ..adapters.script import NotReached, Told, Wanted, steps
from ..adapters.script_c import c_program
from ..adapters.script_pkcs11_tool import tool_script
from ..adapters.script_python import python_program
from ..exits import fail
from ..files import STDOUT, try_place, write_text
from ..model.call import Call
from ..model.vocabulary import CKR, Version
from ..options import see_that_one_thread_shows
from ..properties.engine.verdict import Kind
from ..properties.reports.phrases import module_name
from ..properties.reports.results import load, read_trace

_Trace = Sequence[tuple[Call, str]]


class _Language(Enum):
    """What a program is written in."""

    C = "c"
    PYTHON = "python"
    PKCS11_TOOL = "pkcs11-tool"


_WRITES: Mapping[_Language, Callable[[_Trace, Told], str]] = {
    _Language.C: lambda trace, told: c_program(steps(trace), told),
    _Language.PYTHON: lambda trace, told: python_program(steps(trace), told),
    _Language.PKCS11_TOOL: tool_script,
}


@click.command()
@click.argument("report", type=click.Path(path_type=Path))
@click.argument("finding")
@click.option("--as", "language", type=click.Choice([x.value for x in _Language]), default="c", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=STDOUT, help="Write it there.")
def command(report: Path, finding: str, language: str, output: Path) -> None:
    """Write the FINDING of a REPORT as a program that shows it on a module that it is given.

    FINDING is the id of a finding (F-…) or of one of its symptoms (S-…). A Python program is on PyKCS11 where that
    reaches, else on cffi; pkcs11-tool has options for few calls. The program holds no PIN: it reads P11CONFORM_PIN and
    P11CONFORM_SO_PIN. It exits with 1 where the divergence shows, 0 where it does not, and 2 where it could not be run;
    where the module dies, it dies.
    """
    try_place("--output", output)
    data = load(report)
    whole, chosen = _chosen(report, data["findings"], finding)
    see_that_one_thread_shows([chosen], data)
    trace = read_trace(chosen)
    why = _unsaid(whole, chosen, trace)
    if why is not None:
        fail(f"{report}: {finding}: {why}; see the command replay")
    text = (line for line in whole["text"].splitlines() if line.strip())
    about = f"{finding}, {whole['kind']}: {module_name(data)} against PKCS#11 {data['spec']}"
    lines = (" ".join(about.split()), *(" ".join(line.split()) for line in text))
    told = Told(lines, tuple(chosen["permitted"]), _wanted(chosen))
    try:
        program = _WRITES[_Language(language)](trace, told)
    except NotReached as error:
        fail(f"{report}: {finding} cannot be shown so: {error}; use --as c")
    write_text("--output", output, program)


def _chosen(
    report: Path, findings: Sequence[Mapping[str, Any]], id: str
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The finding of an id, and what has its trace: itself, or the symptom of that id."""
    for finding in findings:
        for chosen in (finding, *finding.get("symptoms", ())):
            if chosen["id"] == id:
                return finding, chosen
    known = ", ".join(f["id"] for f in findings) or "none"
    fail(f"{report}: holds no finding {id}; its ids: {known}")


def _wanted(chosen: Mapping[str, Any]) -> Wanted | None:
    output = chosen.get("output")
    if output is None:
        return None
    return Wanted(output["name"], tuple(output.get("permitted", ())), output.get("at_least"))


def _unsaid(finding: Mapping[str, Any], chosen: Mapping[str, Any], trace: _Trace) -> str | None:
    """Why no program shows a finding; None where one does."""
    functions = listed(Version.V2_40)
    for call, _ in trace:
        if call.function not in CALLS:
            return f"{call.function} happens, which no program can make happen"
        if call.function not in functions:
            return f"{call.function} is not in the function list of v2.40, which the programs use"
    if finding["kind"] == Kind.CALLBACK_MISUSE.value:
        return "what the module does with mutex callbacks is not in its answer"
    if chosen["observed"] == str(CKR.OK) and str(CKR.OK) in chosen["permitted"] and "output" not in chosen:
        return "what fails is an output, and the report is older than those"
    return None
