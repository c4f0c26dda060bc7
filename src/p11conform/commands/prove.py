"""The command `prove`: the invariants of the standard, by induction."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from ..console import out, waiting
from ..exits import Exit
from ..files import try_place, write_json
from ..model.call import code_text
from ..model.oracle import Model
from ..model.state import Object, Session, Slot, State
from ..options import model_of, readings_option, spec_option
from ..properties.proofs.checks import Outcome, Proof, prove_together, unanswered
from ..properties.proofs.invariants import invariants
from ..properties.proofs.symbolic import System
from ..properties.reports.findings import show_call, show_step


@dataclass(frozen=True, slots=True)
class Scope:
    """How many of each thing there are, which is what a proof or a search holds for."""

    name: str
    initial: State


PROVED_IN = Scope(
    "two slots, two sessions, two objects",
    State(slots=(Slot(), Slot()), sessions=(Session(),) * 2, objects=(Object(),) * 2),
)


@click.command()
@spec_option
@readings_option
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the proofs there.")
def command(spec: str, readings: tuple[str, ...], json_file: Path | None) -> None:
    """Prove the invariants of the standard by induction, and that every call has an answer.

    Exits with 1 if one is violated or unknown.
    """
    try_place("--json", json_file)
    model = model_of(spec, readings)
    claimed = invariants(model)
    with waiting(f"proving {len(claimed)} invariants"):
        system = System(model, PROVED_IN.initial)
        proofs = prove_together(system, {i.name: i.predicate for i in claimed})
        silent = unanswered(system)
    table = Table("invariant", "section", "outcome")
    for invariant in claimed:
        table.add_row(invariant.sentence, invariant.section, proofs[invariant.name].outcome.value)
    out.print(table)
    left = {name: proof for name, proof in proofs.items() if proof.outcome is not Outcome.PROVED}
    for name, proof in left.items():
        out.print(f"{name}: {proof.outcome.value}; {_AGAINST[proof.outcome]}")
        for line in _steps(model, proof):
            out.print(line, markup=False)
    for name, (state, call) in silent.items():
        out.print(
            f"{name}: {show_call(call, model.functions[name].uses)} has no permitted answer in {state}", markup=False
        )
    if not silent:
        out.print("every call has a permitted answer in every state")
    out.print(
        f"{len(proofs) - len(left)} of {len(proofs)} proved, PKCS#11 {spec}, all {len(model.functions)} functions, "
        f"{PROVED_IN.name}"
    )
    write_json("--json", json_file, _as_json(model, proofs, silent))
    raise SystemExit(Exit.FINDINGS if left or silent else Exit.CONFORMS)


def _as_json(model: Model, proofs: Mapping[str, Proof], silent: Iterable[str]) -> dict[str, Any]:
    """The outcomes, with the calls that stand against those that are not proved."""
    return {
        "spec": str(model.version),
        "readings": dict(model.readings),
        "scope": PROVED_IN.name,
        "proofs": [
            {
                "name": i.name,
                "sentence": i.sentence,
                "section": i.section,
                "outcome": proofs[i.name].outcome.value,
                "against": list(_steps(model, proofs[i.name])),
            }
            for i in invariants(model)
        ],
        "unanswered": sorted(silent),
    }


_AGAINST: Mapping[Outcome, str] = {
    Outcome.VIOLATED: "these calls lead to a state in which it fails",
    Outcome.UNKNOWN: "after this step, from a state that may not be reachable, it fails",
}


def _steps(model: Model, proof: Proof) -> Iterator[str]:
    for n, (call, code) in enumerate(proof.trace, 1):
        yield f"    {n}. {show_step(call, model.functions[call.function].uses, code_text(code))}"
