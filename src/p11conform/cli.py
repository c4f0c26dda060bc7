"""The command line. Exit codes: 0 conforms, 1 findings, 2 usage, 3 the module or the token cannot be used."""

import gc
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from . import subject
from .adapters.base import ModuleUnusable
from .adapters.isolated import Kind
from .adapters.modules.library import Request
from .console import Display, err, out, rule_table, show_difference, show_report
from .crew import Crew
from .messages import Task
from .model.call import code_text
from .model.interpretations import INTERPRETATIONS
from .model.oracle import Model, build
from .model.precedence import order
from .model.vocabulary import CKR, Version
from .profile import profile_json, read_profile
from .properties.policy import Level
from .properties.reports.findings import show_call
from .properties.reports.results import Unreadable, difference, read_report, read_trace, report_json
from .properties.run.campaign import Alone, Budget, Campaign, numbered_calls
from .properties.run.campaign import Crew as AnyCrew
from .properties.run.driver import Driver
from .properties.search.goals import Goal, witnesses

CONFORMS, FINDINGS, USAGE, UNUSABLE = 0, 1, 2, 3
DEFAULT_SEED = 11
SPECS = [str(v) for v in (Version.V2_01, Version.V2_20, Version.V2_40)]


def _fail(text: str, code: int) -> NoReturn:
    err.print(f"p11conform: {text}", markup=False)
    raise SystemExit(code)


def _model(spec: str, readings: tuple[str, ...]) -> Model:
    chosen: dict[str, str] = {}
    for item in readings:
        id, equals, reading = item.partition("=")
        if not equals:
            _fail(f"--reading {item}: write it as A-05='usage guide'", USAGE)
        chosen[id] = reading
    try:
        return build(Version(spec), chosen)
    except ValueError as error:
        _fail(str(error), USAGE)


def _read_pin(name: str, file: Path | None, ask: bool, given: str | None) -> bytes | None:
    """A PIN from a prompt, a file or the environment; never from the command line."""
    if ask:
        return str(click.prompt(f"{name} PIN", hide_input=True, err=True)).encode()
    if file is not None:
        try:
            return file.read_bytes().rstrip(b"\r\n")
        except OSError as error:
            _fail(f"{file}: {error.strerror}", USAGE)
    return given.encode() if given is not None else None


Command = Callable[..., Any]


def _module_options(command: Command) -> Command:
    """What every command that starts a module takes."""
    options = (
        click.option(
            "--adapter", type=click.Choice([k.value for k in Kind]), default=Kind.RAW.value, show_default=True
        ),
        click.option("--slot", type=int, metavar="ID", help="CK_SLOT_ID of the token, for a library by path."),
        click.option("--token-label", metavar="LABEL", help="Label of the token, for a library by path."),
        click.option("--pin-file", type=click.Path(path_type=Path), help="File that holds the user PIN."),
        click.option("--so-pin-file", type=click.Path(path_type=Path), help="File that holds the SO PIN."),
        click.option("--ask-pin", is_flag=True, help="Ask for the user PIN. [or in P11CONFORM_PIN]"),
        click.option("--ask-so-pin", is_flag=True, help="Ask for the SO PIN. [or in P11CONFORM_SO_PIN]"),
        click.option("--init-reserved", metavar="TEXT", help="String that the library wants in pReserved."),
        click.option("--profile", type=click.Path(path_type=Path), help="Facts about the slots, not measured ones."),
        click.option("--timeout", type=click.FloatRange(min=0.1), default=10.0, show_default=True, metavar="SECONDS"),
        click.option(
            "--allow-token-objects",
            is_flag=True,
            help="Let the check make objects on the token, and destroy them again.",
        ),
        click.option(
            "--allow-pins",
            is_flag=True,
            help="As --allow-token-objects; the user PIN is changed and put back, and given wrongly once at a time.",
        ),
        click.option(
            "--allow-destructive",
            is_flag=True,
            help="Let the check initialise the token anew, again and again: everything on it is lost, the user PIN is "
            "changed and guessed at. Both PINs are needed, and are in force again afterwards.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _subject(module: str, model: Model, seed: int, o: dict[str, Any]) -> subject.Subject:
    """What is tested, its slots as the profile has them where one is given."""
    if o["profile"] is None:
        return _measured(module, model, seed, o)
    try:
        slots = read_profile(o["profile"])
    except Unreadable as error:
        _fail(str(error), USAGE)
    if module == subject.SIMULATED:
        return subject.simulated(model, seed, replace(subject.SIMULATED_STATE, slots=slots))
    tested = _measured(module, model, seed, o)
    if len(slots) != len(tested.initial.slots):
        tested.discard()
        _fail(f"{o['profile']}: {len(slots)} slots, but the module is tested with {len(tested.initial.slots)}", USAGE)
    return replace(tested, initial=replace(tested.initial, slots=slots))


def _measured(module: str, model: Model, seed: int, o: dict[str, Any]) -> subject.Subject:
    kind = Kind(o["adapter"])
    # Taken out of the environment, which the module's process inherits.
    pin, so_pin = (os.environ.pop(name, None) for name in ("P11CONFORM_PIN", "P11CONFORM_SO_PIN"))
    if module == subject.SIMULATED:
        return subject.simulated(model, seed)
    if module == subject.SOFTHSM2:
        return subject.softhsm2_module(kind, o["timeout"])
    if os.sep not in module and not Path(module).exists():
        _fail(f"no module is called {module!r}; give a path or one of: {', '.join(subject.KNOWN)}", USAGE)
    return subject.user_module(
        Request(
            library=module,
            slot=o["slot"],
            label=o["token_label"],
            user_pin=_read_pin("user", o["pin_file"], o["ask_pin"], pin),
            so_pin=_read_pin("SO", o["so_pin_file"], o["ask_so_pin"], so_pin),
            init_reserved=o["init_reserved"],
            timeout=o["timeout"],
        ),
        kind,
        max((level for level, option in _GIVES.items() if o[option]), default=Level.SESSION_OBJECTS),
    )


_GIVES: Final = {
    Level.TOKEN_OBJECTS: "allow_token_objects",
    Level.PINS: "allow_pins",
    Level.EVERYTHING: "allow_destructive",
}
"""The option that gives a token over up to each level."""


@contextmanager
def _crew(model: Model, tested: subject.Subject, jobs: int, options: dict[str, Any]) -> Iterator[AnyCrew]:
    """Those who work on a module: as many as there are to be, on tokens made for them where one is not enough."""
    if tested.isolated is None:
        with tested.open() as adapter:
            calls = numbered_calls(model, tested.initial)
            yield Alone(Driver(model, tested.initial, adapter, tested.rights.policy, calls=calls))
        return
    with ExitStack() as stack:
        modules = [tested.isolated]
        for _ in range(jobs - 1):
            more = _measured(tested.name, model, 0, options)
            stack.callback(more.discard)
            assert more.isolated is not None
            modules.append(more.isolated)
        yield stack.enter_context(Crew(Task(model, tested.initial, tested.rights), modules))


class _Lazy(click.Group):
    """Commands loaded when they are asked for: z3 takes its time, and memory that a check wants."""

    elsewhere: Final = {
        "bench": "bench.bench",
        "graph": "graph.graph",
        "lint": "lint.main",
        "prove": "study.prove",
        "reach": "study.reach",
        "versions": "versions.main",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, by name."""
        return sorted([*super().list_commands(ctx), *self.elsewhere])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, if there is one."""
        if cmd_name not in self.elsewhere:
            return super().get_command(ctx, cmd_name)
        module, _, name = self.elsewhere[cmd_name].partition(".")
        command: click.Command = getattr(import_module(f".{module}", __package__), name)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="p11conform")
def main() -> None:
    """Test PKCS#11 modules against an executable model of the standard."""


_spec = click.option("--spec", type=click.Choice(SPECS), default="2.40", show_default=True, help="Version to hold to.")
_readings = click.option(
    "--reading", "readings", multiple=True, metavar="A-NN=TEXT", help="Read an open question otherwise; repeatable."
)


@main.command()
@click.argument("module")
@_spec
@_readings
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="Decides every random choice.")
@click.option("--sequences", type=click.IntRange(min=0), help="At most so many beside those derived from the model.")
@click.option("--length", type=click.IntRange(min=1), default=25, show_default=True, help="Calls of Hypothesis' own.")
@click.option("--seconds", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Begin no more after.")
@click.option("--calls", type=click.IntRange(min=1), help="Begin no more after so many calls.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Workers, each with a token.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the report there.")
@_module_options
def check(
    module: str,
    spec: str,
    readings: tuple[str, ...],
    seed: int,
    sequences: int | None,
    length: int,
    seconds: float,
    calls: int | None,
    jobs: int,
    json_file: Path | None,
    **options: Any,
) -> None:
    """Check MODULE: a known name (softhsm2, simulated) or the path of a PKCS#11 library.

    A token that p11conform did not make itself is not written to, and only right PINs are used, unless
    --allow-destructive gives it up.
    """
    model = _model(spec, readings)
    if jobs > 1 and module != subject.SOFTHSM2:
        _fail(f"--jobs {jobs}: {module} has one token; more than one worker is for {subject.SOFTHSM2}", USAGE)
    if json_file is not None and not json_file.parent.is_dir():
        _fail(f"--json {json_file}: there is no directory {json_file.parent}", USAGE)
    if options["allow_destructive"] and module not in subject.KNOWN:
        err.print(
            "the token will be initialised anew many times: all objects on it are lost; the user PIN is changed and "
            "guessed at, then put back",
            markup=False,
        )
    try:
        tested = _subject(module, model, seed, options)
        try:
            display = Display()
            with display.context(), _crew(model, tested, jobs, options) as crew:
                budget = Budget(sequences, length, seconds, calls)
                policy = tested.rights.policy
                # What is there now stays to the end, and need not be looked over for garbage again and again.
                gc.freeze()
                before = tested.census() if tested.census else None
                results = Campaign(
                    model, tested.initial, crew, policy=policy, seed=seed, budget=budget, watch=display
                ).run()
            about = {**tested.about}
            if results.tally.lowered:
                about["rights"] = [*about["rights"], subject.NOT_PUT_BACK]
            if tested.census and before:
                after = tested.census()
                if any(x.ours for x in before.missing(after)):
                    after = tested.census(remove=True)
                about["token"] = subject.token_lines(before, after)
        finally:
            tested.discard()
    except ModuleUnusable as error:
        _fail(str(error), UNUSABLE)
    results = replace(results, findings=(*subject.outlived_finding(model, tested), *results.findings))
    if results.tally.calls == 0:
        _fail(f"--seconds {seconds:g}: no call was made in that time; give more", USAGE)
    report = report_json(results, about)
    show_report(report)
    if json_file is not None:
        try:
            json_file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            _fail(f"--json {json_file}: {error.strerror}", USAGE)
    raise SystemExit(FINDINGS if report["findings"] else CONFORMS)


@main.command("profile")
@click.argument("module")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it there, not to the terminal.")
@_module_options
def show_profile(module: str, output: Path | None, **options: Any) -> None:
    """Write the profile of MODULE: the facts about its slots that the model is instantiated with.

    A copy of it, edited, can be given to check with --profile.
    """
    try:
        tested = _subject(module, build(), DEFAULT_SEED, options)
    except ModuleUnusable as error:
        _fail(str(error), UNUSABLE)
    tested.discard()
    text = json.dumps(profile_json(tested.initial.slots), indent=1)
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        _fail(f"--output {output}: {error.strerror}", USAGE)


@main.command()
@click.argument("report", type=click.Path(path_type=Path))
@click.argument("finding", required=False)
@click.option("--module", help="Replay on this module instead of the one that the report names.")
@_module_options
def replay(report: Path, finding: str | None, module: str | None, **options: Any) -> None:
    """Run the trace of a FINDING in a REPORT again (all of them if none is named).

    Exits with 1 if a failure shows again, with 0 if none does.
    """
    try:
        data = read_report(report)
        chosen = [f for f in data["findings"] if finding in (None, f["id"])]
        if not chosen:
            named = f"finding {finding}" if finding else "findings"
            _fail(
                f"{report}: holds no {named}; its ids: {', '.join(f['id'] for f in data['findings']) or 'none'}", USAGE
            )
        model = build(Version(data["spec"]), data["readings"])
        traces = [(f, tuple(call for call, _ in read_trace(f))) for f in chosen]
    except Unreadable as error:
        _fail(str(error), USAGE)
    except ValueError as error:
        _fail(f"{report}: damaged: {error}", USAGE)
    again = 0
    try:
        tested = _subject(module or data["module"]["name"], model, data["seed"], options)
        try:
            with tested.open() as adapter:
                driver = Driver(model, tested.initial, adapter, tested.rights.policy)
                for f, calls in traces:
                    outcome = driver.replay(calls)
                    failed = outcome.failure is not None
                    again += failed
                    made = [call for call, _ in outcome.steps]
                    if not failed and (left := next((c for c in calls if c not in made), None)) is not None:
                        _fail(f"{f['id']}: {left.function} cannot be called so here; see --allow-destructive", USAGE)
                    out.print(f"{f['id']}: {'fails again' if failed else 'does not fail'}")
                    for call, seen in outcome.steps:
                        text = f"{show_call(call, model.functions[call.function].uses)} → {seen.text}"
                        out.print(f"    {text}", markup=False)
                adapter.reset(True)
        finally:
            tested.discard()
    except ModuleUnusable as error:
        _fail(str(error), UNUSABLE)
    raise SystemExit(FINDINGS if again else CONFORMS)


@main.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def diff(old: Path, new: Path) -> None:
    """Compare the reports of two versions of a module. Exits with 1 if NEW holds findings that OLD did not."""
    try:
        d = difference(read_report(old), read_report(new))
    except Unreadable as error:
        _fail(str(error), USAGE)
    show_difference(d)
    raise SystemExit(FINDINGS if d.new else CONFORMS)


@main.command()
@click.argument("function")
@click.argument("code", required=False)
@_spec
@_readings
def explain(function: str, code: str | None, spec: str, readings: tuple[str, ...]) -> None:
    """Print the rules of FUNCTION, and with a CODE its precedence and a shortest sequence that provokes it."""
    model = _model(spec, readings)
    if function not in model.functions:
        _fail(f"the model has no function {function!r}; it has {', '.join(model.functions)}", USAGE)
    rules = model.functions[function].rules
    if code is not None:
        code = code if code.startswith("CKR_") else f"CKR_{code}"
        if code not in {str(r.code) for r in rules}:
            known = ", ".join(sorted({str(r.code) for r in rules}))
            _fail(f"no rule of {function} yields {code}; its rules yield {known}", USAGE)
    out.print(rule_table(model, function, code))
    if code is not None:
        _show_precedence(model, function, CKR[code.removeprefix("CKR_")])
        _show_sequence(model, function, code)
    for id in sorted({r.reading for r in rules if r.reading and code in (None, str(r.code))}):
        i = INTERPRETATIONS[id]
        out.print(f"{id} (section {i.section}), read as '{model.readings[id]}': {i.question}", markup=False)


def _show_precedence(model: Model, function: str, code: CKR) -> None:
    mine = {r.code for r in model.functions[function].rules}
    relations = order(function, model.version, model.readings)
    for (high, low), relation in sorted(relations.items()):
        if code in (high, low) and high in mine and low in mine:
            out.print(f"{code_text(high)} before {code_text(low)} (section {relation.section})")


def _show_sequence(model: Model, function: str, code: str) -> None:
    rows = [k for k, r in enumerate(model.functions[function].rules) if str(r.code) == code]
    found = witnesses(model, subject.SIMULATED_STATE, wanted=[Goal(function, k) for k in rows])
    if found:
        calls = min(found, key=lambda w: len(w.calls)).calls
        out.print("shortest sequence, on the slots of the simulated module:")
        for n, call in enumerate(calls, 1):
            text = show_call(call, model.functions[call.function].uses)
            out.print(f"    {n}. {text}{f' → {code}' if n == len(calls) else ''}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
