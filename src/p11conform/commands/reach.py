"""The command `reach`: a shortest sequence that ends in a code."""

from collections.abc import Iterator
from dataclasses import replace

import click

from ..console import out, waiting
from ..exits import Exit, fail
from ..model.call import code_text
from ..model.environment import expose
from ..model.oracle import Model, applicable, build, permitted, successors
from ..model.state import Slot, State
from ..model.vocabulary import CKR, Version
from ..options import spec_option
from ..properties.policy import anything
from ..properties.proofs.checks import Trace, reach_code
from ..properties.proofs.symbolic import System
from ..properties.reports.findings import explain_rule, show_step
from ..properties.search.goals import Goal, Part, Search
from ..subject import SIMULATED_STATE
from .prove import PROVED_IN, Scope

BOUND = 8
"""Calls in the longest sequence that is looked for."""

SEARCHED = (
    Scope("one slot, two sessions, two objects", replace(PROVED_IN.initial, slots=(Slot(),))),
    Scope("every sort of slot, two sessions, two objects", replace(PROVED_IN.initial, slots=SIMULATED_STATE.slots)),
)
"""The scopes of `reach`, of which the first that has a sequence is taken."""


@click.command()
@click.argument("code")
@click.option("--function", metavar="C_NAME", help="By this function only.")
@click.option("--bound", type=click.IntRange(1, 12), default=BOUND, show_default=True, help="Calls, at most.")
@spec_option
def command(code: str, function: str | None, bound: int, spec: str) -> None:
    """Find a shortest sequence that ends in CODE, and say what the text requires of each step.

    Exits with 1 if no sequence within the bound does.
    """
    model, wanted = build(Version(spec)), CKR.__members__.get(code.removeprefix("CKR_"))
    if wanted is None:
        fail(f"{code} is no return value of PKCS#11; see docs/codes.md")
    if function is not None and function not in model.functions:
        fail(f"{function} is no function of PKCS#11 {spec}; see docs/rules.md")
    if not _given(model, wanted, function):
        # Only by what happens beside the calls, if at all; for that the search for goals is quick, and z3 is not.
        model, initial = build(Version(spec), events=True), expose(SEARCHED[0].initial)
        trace = _befallen(model, initial, wanted, function)
        if trace is not None:
            out.print(f"{wanted} in {len(trace)} steps, where things happen beside the calls:", markup=False)
            for line in _explained(model, initial, trace):
                out.print(line, markup=False)
            return
        where = f"of {function}" if function else "of any function"
        out.print(f"{wanted}: no row {where} gives it in PKCS#11 {spec}; docs/codes.md says why", markup=False)
        raise SystemExit(Exit.FINDINGS)
    for scope in SEARCHED:
        with waiting(f"searching up to {bound} calls, {scope.name}"):
            trace = reach_code(System(model, scope.initial), wanted, bound, function)
        if trace is not None:
            out.print(f"{wanted} in {len(trace)} calls, the fewest with {scope.name}:", markup=False)
            for line in _explained(model, scope.initial, trace):
                out.print(line, markup=False)
            return
    out.print(f"{wanted}: not within {bound} calls, {SEARCHED[-1].name}", markup=False)
    raise SystemExit(Exit.FINDINGS)


def _given(model: Model, code: CKR, function: str | None) -> bool:
    """Whether a row gives a code, of one function or of any."""
    names = model.functions if function is None else (function,)
    return code is CKR.OK or any(r.code is code for name in names for r in model.functions[name].rules)


def _befallen(model: Model, initial: State, code: CKR, function: str | None) -> Trace | None:
    """A shortest sequence to a code among calls and events, None where there is none."""
    wanted = [
        Goal(f.name, k, Part.APPLIES)
        for f in model.functions.values()
        for k, r in enumerate(f.rules)
        if r.code is code and function in (None, f.name)
    ]
    search = Search(model, initial, anything, wanted)
    for view in search.views() if wanted else ():
        search.look(*view)
        if search.found:
            *way, last = search.found[0].calls
            return (*((call, CKR.OK) for call in way), (last, code))
    return None


def _explained(model: Model, initial: State, trace: Trace) -> Iterator[str]:
    """Each step of a trace with what the text has to say of it."""
    states = frozenset({initial})
    for n, (call, code) in enumerate(trace, 1):
        yield f"{n}. {show_step(call, model.functions[call.function].uses, code_text(code))}"
        if call.function in model.events:
            states = frozenset(t for s in states for t in successors(model, s, call, code))
            continue
        here = [s for s in states if code in permitted(model, s, call)]
        allowed = permitted(model, here[0], call)
        yield f"     permitted: {', '.join(code_text(c) for c in sorted(allowed))}"
        for rule in applicable(model, here[0], call):
            yield f"     {explain_rule(rule)}"
        states = frozenset(t for s in here for t in successors(model, s, call, code))
