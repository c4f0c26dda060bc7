"""The command `explain`: what the model says of a function, or of one of its codes."""

from collections.abc import Iterator
from pathlib import Path

import click

from .. import study
from ..console import out
from ..exits import fail
from ..files import try_place, write_json
from ..model.oracle import Model
from ..names import CODE, FUNCTION
from ..options import model_of, readings_option, spec_option


@click.command()
@click.argument("function", type=FUNCTION)
@click.argument("code", required=False, type=CODE)
@spec_option
@readings_option
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the same there as data.")
def command(function: str, code: str | None, spec: str, readings: tuple[str, ...], json_file: Path | None) -> None:
    """Print the rules of FUNCTION, and with a CODE its precedence and a shortest sequence that provokes it."""
    try_place("--json", json_file)
    table = model_of(spec, readings)
    model = study.Model.of(table)
    try:
        found = study.explain(function, code, model)
    except ValueError as error:
        fail(str(error))
    if found.code is not None and not found.rules and not found.anyway:
        known = ", ".join(sorted(set(model.rules(function).column("code"))))
        fail(f"no rule of {function} yields {found.code}; its rules yield {known}")
    for line in _lines(table, found):
        out.print(line, markup=False)
    write_json("--json", json_file, found.to_json())


def _lines(table: Model, found: study.Explanation) -> Iterator[str]:
    if found.code is not None and not found.rules:
        yield f"{found.function}, PKCS#11 {found.version}"
        yield f"{found.code}, of which no rule speaks, is {found.anyway}: it proves nothing"
        return
    yield from _rules(table, found.function, found.code)
    yield from found.order
    if found.sequence is not None:
        yield "shortest sequence, on the slots of the simulated module:"
        for n, step in enumerate(found.sequence, 1):
            yield f"    {n}. {step.call}{f' → {step.returns}' if n == len(found.sequence) else ''}"
    for id, section, reading, question in found.questions:
        yield f"{id} (section {section}), read as '{reading}': {question}"


def _rules(model: Model, function: str, code: str | None) -> Iterator[str]:
    """The rows of a function, one code's or all: when each applies, how firmly, and below it what stands where."""
    yield f"{function}, PKCS#11 {model.version}"
    for r in model.functions[function].rules:
        if code is None or str(r.code) == code:
            reading = f"; {r.reading}: {model.readings[r.reading]}" if r.reading else ""
            yield f"{r.code} when {r.condition} ({r.id}; {r.strength.value}{reading})"
            yield f"    {r.place}: {r.says}"
