"""The command `reach`: the sequence to a code that a person would write."""

from collections.abc import Iterator
from pathlib import Path

import click

from .. import study
from ..console import out, waiting
from ..exits import Exit, fail
from ..files import try_place, write_json
from ..model.state import Object, Session, State
from ..model.vocabulary import CKR
from ..names import CODE, FUNCTION
from ..options import model_of, readings_option, spec_option
from ..subject import SIMULATED_STATE

PROVED_IN = State(slots=SIMULATED_STATE.slots, sessions=(Session(),) * 2, objects=(Object(),) * 2)
"""Where z3 looks for a shorter sequence."""


@click.command()
@click.argument("code", type=CODE)
@click.option("--function", metavar="C_NAME", type=FUNCTION, help="By this function only.")
@click.option("--prove", is_flag=True, help="Have z3 say that no sequence has fewer calls; that takes a minute.")
@spec_option
@readings_option
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the sequence there.")
def command(
    code: str, function: str | None, prove: bool, spec: str, readings: tuple[str, ...], json_file: Path | None
) -> None:
    """Find the sequence that ends in CODE and is as short, firm and plain as can be; say what is required of each step.

    Exits with 1 if there is none.
    """
    try_place("--json", json_file)
    model = study.Model.of(model_of(spec, readings))
    try:
        wanted = study.read_code(code)
        found = study.reach(code, function, model)
    except ValueError as error:
        fail(str(error))
    rows = model.rules(function, code)
    if found is None:
        where = f"of {function}" if function else "of any function"
        given = "its rows never decide on the slots of the simulated module" if rows else f"no row {where} gives it"
        out.print(f"{wanted}: {given} in PKCS#11 {spec}; docs/codes.md says why", markup=False)
        raise SystemExit(Exit.FINDINGS)
    firm = "the fewest by a row as firm, " if rows else "the fewest, "
    here = f"{wanted} in {len(found)} calls, {firm}on the slots of the simulated module"
    out.print(f"{found.about if wanted is not CKR.OK and not rows else here}:", markup=False)
    for line in _explained(found):
        out.print(line, markup=False)
    if prove:
        with waiting(f"looking for fewer than {len(found)} calls"):
            shorter = _shorter(model, wanted, function, len(found))
        out.print(f"z3: {shorter}", markup=False)
    write_json("--json", json_file, {"code": str(wanted), "spec": spec, "sequence": found.to_json()})


def _explained(found: study.Sequence) -> Iterator[str]:
    """Each step with what the text has to say of it."""
    for n, step in enumerate(found, 1):
        yield f"{n}. {step.text}"
        if step.permitted:
            yield f"     permitted: {', '.join(step.permitted)}"
        yield from (f"     {rule}" for rule in step.rules)


def _shorter(model: study.Model, code: CKR, function: str | None, calls: int) -> str:
    """What z3 says of sequences with fewer calls whose last one gives the code by a row that is as firm."""
    from ..properties.proofs.checks import reach_code
    from ..properties.proofs.symbolic import System
    from ..properties.search.natural import firmness, natural

    way = natural(model.table, SIMULATED_STATE, code, function)
    least = 0 if way is None else firmness(way.rule)
    system = System(model.table, PROVED_IN)
    trace = reach_code(system, code, calls - 1, function, lambda rule: firmness(rule) <= least) if calls > 1 else None
    if trace is None:
        return "none has fewer"
    return " ".join(str(study.Sequence(model.table, PROVED_IN, trace)).split("\n"))
