"""The commands that ask the model questions: `prove` and `reach`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import click
from rich.table import Table

from .console import err, out, waiting
from .model.call import code_text
from .model.oracle import Model, applicable, build, permitted, successors
from .model.state import Object, Session, Slot, State
from .model.vocabulary import CKR, Version
from .properties.proofs.checks import Outcome, Proof, Trace, prove_together, reach_code, unanswered
from .properties.proofs.invariants import CATALOGUE
from .properties.proofs.symbolic import System
from .properties.reports.findings import explain_rule, show_call
from .subject import SIMULATED_STATE

NOT_PROVED, USAGE = 1, 2
VERSIONS = [str(v) for v in (Version.V2_01, Version.V2_20, Version.V2_40)]
BOUND = 8
"""Calls in the longest sequence that `reach` looks for."""


@dataclass(frozen=True, slots=True)
class Scope:
    """How many of each thing there are, which is what a proof or a search holds for."""

    name: str
    initial: State


PROVED_IN = Scope(
    "two slots, two sessions, two objects",
    State(slots=(Slot(), Slot()), sessions=(Session(),) * 2, objects=(Object(),) * 2),
)
SEARCHED = (
    Scope("one slot, two sessions, two objects", replace(PROVED_IN.initial, slots=(Slot(),))),
    Scope("every sort of slot, two sessions, two objects", replace(PROVED_IN.initial, slots=SIMULATED_STATE.slots)),
)
"""The scopes of `reach`, of which the first that has a sequence is taken."""

_spec = click.option("--spec", type=click.Choice(VERSIONS), default="2.40", show_default=True, help="Version to read.")


@click.command()
@_spec
def prove(spec: str) -> None:
    """Prove the invariants of the standard by induction, and that every call has an answer.

    Exits with 1 if one is violated or unknown.
    """
    model = build(Version(spec))
    with waiting(f"proving {len(CATALOGUE)} invariants"):
        system = System(model, PROVED_IN.initial)
        proofs = prove_together(system, {i.name: i.predicate for i in CATALOGUE})
        silent = unanswered(system)
    table = Table("invariant", "section", "outcome")
    for invariant in CATALOGUE:
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
    raise SystemExit(NOT_PROVED if left or silent else 0)


_AGAINST: Mapping[Outcome, str] = {
    Outcome.VIOLATED: "these calls lead to a state in which it fails",
    Outcome.UNKNOWN: "after this step, from a state that may not be reachable, it fails",
}


def _steps(model: Model, proof: Proof) -> Iterator[str]:
    for n, (call, code) in enumerate(proof.trace, 1):
        yield f"    {n}. {show_call(call, model.functions[call.function].uses)} → {code_text(code)}"


@click.command()
@click.argument("code")
@click.option("--function", metavar="C_NAME", help="By this function only.")
@click.option("--bound", type=click.IntRange(1, 12), default=BOUND, show_default=True, help="Calls, at most.")
@_spec
def reach(code: str, function: str | None, bound: int, spec: str) -> None:
    """Find a shortest sequence that ends in CODE, and say what the text requires of each step.

    Exits with 1 if no sequence within the bound does.
    """
    model, wanted = build(Version(spec)), CKR.__members__.get(code.removeprefix("CKR_"))
    if wanted is None:
        err.print(f"p11conform: {code} is no return value of PKCS#11; see docs/codes.md", markup=False)
        raise SystemExit(USAGE)
    if function is not None and function not in model.functions:
        err.print(f"p11conform: {function} is no function of PKCS#11 {spec}; see docs/rules.md", markup=False)
        raise SystemExit(USAGE)
    yielding = [f.name for f in model.functions.values() if any(r.code is wanted for r in f.rules)]
    if wanted is not CKR.OK and not (set(yielding) if function is None else {function} & set(yielding)):
        where = f"of {function}" if function else "of any function"
        out.print(f"{wanted}: no row {where} gives it in PKCS#11 {spec}; docs/codes.md says why", markup=False)
        raise SystemExit(NOT_PROVED)
    for scope in SEARCHED:
        with waiting(f"searching up to {bound} calls, {scope.name}"):
            trace = reach_code(System(model, scope.initial), wanted, bound, function)
        if trace is not None:
            out.print(f"{wanted} in {len(trace)} calls, the fewest with {scope.name}:", markup=False)
            for line in _explained(model, scope.initial, trace):
                out.print(line, markup=False)
            return
    out.print(f"{wanted}: not within {bound} calls, {SEARCHED[-1].name}", markup=False)
    raise SystemExit(NOT_PROVED)


def _explained(model: Model, initial: State, trace: Trace) -> Iterator[str]:
    """Each step of a trace with what the text has to say of it."""
    states = frozenset({initial})
    for n, (call, code) in enumerate(trace, 1):
        yield f"{n}. {show_call(call, model.functions[call.function].uses)} → {code_text(code)}"
        here = [s for s in states if code in permitted(model, s, call)]
        allowed = permitted(model, here[0], call)
        yield f"     permitted: {', '.join(code_text(c) for c in sorted(allowed))}"
        for rule in applicable(model, here[0], call):
            yield f"     {explain_rule(rule)}"
        states = frozenset(t for s in here for t in successors(model, s, call, code))
