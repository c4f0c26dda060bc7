"""The command `explain`: what the model says of a function, or of one of its codes."""

from collections.abc import Iterator

import click

from ..console import out
from ..exits import fail
from ..model.call import code_text
from ..model.interpretations import INTERPRETATIONS
from ..model.oracle import Model, legal_anyway
from ..model.precedence import order
from ..model.vocabulary import CKR
from ..options import model_of, readings_option, spec_option
from ..properties.reports.findings import show_call
from ..properties.search.goals import Goal, witnesses
from ..subject import SIMULATED_STATE


@click.command()
@click.argument("function")
@click.argument("code", required=False)
@spec_option
@readings_option
def command(function: str, code: str | None, spec: str, readings: tuple[str, ...]) -> None:
    """Print the rules of FUNCTION, and with a CODE its precedence and a shortest sequence that provokes it."""
    model = model_of(spec, readings)
    if function not in model.functions:
        fail(f"the model has no function {function!r}; it has {', '.join(model.functions)}")
    rules = model.functions[function].rules
    if code is not None:
        code = code if code.startswith("CKR_") else f"CKR_{code}"
        if code not in {str(r.code) for r in rules}:
            anyway = _legal_anyway(model, function, code)
            if anyway:
                out.print(f"{function}, PKCS#11 {model.version}", markup=False)
                out.print(f"{code}, of which no rule speaks, is {anyway}: it proves nothing", markup=False)
                return
            known = ", ".join(sorted({str(r.code) for r in rules}))
            fail(f"no rule of {function} yields {code}; its rules yield {known}")
    for line in _rules(model, function, code):
        out.print(line, markup=False)
    if code is not None:
        _show_precedence(model, function, CKR[code.removeprefix("CKR_")])
        _show_sequence(model, function, code)
    for id in sorted({r.reading for r in rules if r.reading and code in (None, str(r.code))}):
        i = INTERPRETATIONS[id]
        out.print(f"{id} (section {i.section}), read as '{model.readings[id]}': {i.question}", markup=False)


def _legal_anyway(model: Model, function: str, code: str) -> str:
    """Why a code that no rule yields is legal all the same; empty where it is not, or where there is no such code."""
    number = CKR.__members__.get(code.removeprefix("CKR_"))
    return "" if number is None else legal_anyway(model, function, number, succeeds=False)


def _show_precedence(model: Model, function: str, code: CKR) -> None:
    mine = {r.code for r in model.functions[function].rules}
    relations = order(function, model.version, model.readings)
    for (high, low), relation in sorted(relations.stated.items()):
        if code in (high, low) and high in mine and low in mine:
            how = "" if (high, low) in relations.decide else ", recommended"
            out.print(f"{code_text(high)} before {code_text(low)} (section {relation.section}{how})")


def _show_sequence(model: Model, function: str, code: str) -> None:
    rows = [k for k, r in enumerate(model.functions[function].rules) if str(r.code) == code]
    found = witnesses(model, SIMULATED_STATE, wanted=[Goal(function, k) for k in rows])
    if found:
        calls = min(found, key=lambda w: len(w.calls)).calls
        out.print("shortest sequence, on the slots of the simulated module:")
        for n, call in enumerate(calls, 1):
            text = show_call(call, model.functions[call.function].uses)
            out.print(f"    {n}. {text}{f' → {code}' if n == len(calls) else ''}", markup=False)


def _rules(model: Model, function: str, code: str | None) -> Iterator[str]:
    """The rows of a function, one code's or all: when each applies, how firmly, and below it what stands where."""
    yield f"{function}, PKCS#11 {model.version}"
    for r in model.functions[function].rules:
        if code is None or str(r.code) == code:
            reading = f"; {r.reading}: {model.readings[r.reading]}" if r.reading else ""
            yield f"{r.code} when {r.condition} ({r.id}; {r.strength.value}{reading})"
            yield f"    {r.place}: {r.says}"
