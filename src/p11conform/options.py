"""Options that several commands share, and their checks: all of them before anything runs."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from . import subject
from .adapters.faults import Fault, read_fault
from .adapters.isolated import Kind
from .adapters.modules import registry
from .exits import fail
from .model.environment import ASKED, EVENTS
from .model.interface import COVERED
from .model.oracle import Model, build, suffering
from .model.vocabulary import Version
from .properties.policy import Level

DEFAULT_SEED: Final = 11
SPECS: Final = [str(v) for v in COVERED]

MOST_JOBS: Final = 64
"""Workers that a machine is asked for at most: each is a process of some 200 MB."""

PIN: Final = "P11CONFORM_PIN"
SO_PIN: Final = "P11CONFORM_SO_PIN"

Command = Callable[..., Any]

spec_option = click.option(
    "--spec", type=click.Choice(SPECS), default="2.40", show_default=True, help="Version to hold to."
)
AUTO: Final = "auto"
"""Stands for the version that a module itself is of."""

module_spec_option = click.option(
    "--spec",
    type=click.Choice([AUTO, *SPECS]),
    default=AUTO,
    show_default=True,
    help=f"Version to hold to; {AUTO} is that of the newest interface that the module has, or of its function list.",
)
readings_option = click.option(
    "--reading", "readings", multiple=True, metavar="A-NN=TEXT", help="Read an open question otherwise; repeatable."
)


def module_options(command: Command) -> Command:
    """What every command that starts a module takes; `Opening.of` makes sense of it."""
    options = (
        click.option(
            "--adapter", type=click.Choice([k.value for k in Kind]), default=Kind.RAW.value, show_default=True
        ),
        click.option(
            "--slot",
            "slots",
            type=int,
            metavar="ID",
            multiple=True,
            help="CK_SLOT_ID of the token, for a library by path; once for each worker.",
        ),
        click.option(
            "--token-label",
            "token_labels",
            metavar="LABEL",
            multiple=True,
            help="Label of the token, for a library by path; once for each worker.",
        ),
        click.option("--pin-file", type=click.Path(path_type=Path), help="File that holds the user PIN."),
        click.option("--so-pin-file", type=click.Path(path_type=Path), help="File that holds the SO PIN."),
        click.option("--ask-pin", is_flag=True, help=f"Ask for the user PIN. [or in {PIN}]"),
        click.option("--ask-so-pin", is_flag=True, help=f"Ask for the SO PIN. [or in {SO_PIN}]"),
        click.option("--empty-so-pin", is_flag=True, help="The SO PIN is empty, as on a token that has none yet."),
        click.option("--init-reserved", metavar="TEXT", help="String that the library wants in pReserved."),
        click.option("--profile", type=click.Path(path_type=Path), help="Facts about the slots, not measured ones."),
        click.option("--timeout", type=click.FloatRange(min=0.1), default=10.0, show_default=True, metavar="SECONDS"),
        click.option(
            "--fault",
            "faults",
            multiple=True,
            metavar="C_NAME:N=WHAT",
            help="Have call N of a function in each process return a code, die, hang or tell a garbage-length; N+ is "
            "for all after it, too. Needs a C compiler. Repeatable.",
        ),
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


_BY_PATH_ONLY: Final = {
    "slots": "--slot",
    "token_labels": "--token-label",
    "pin_file": "--pin-file",
    "so_pin_file": "--so-pin-file",
    "ask_pin": "--ask-pin",
    "ask_so_pin": "--ask-so-pin",
    "empty_so_pin": "--empty-so-pin",
    "init_reserved": "--init-reserved",
    "allow_token_objects": "--allow-token-objects",
    "allow_pins": "--allow-pins",
    "allow_destructive": "--allow-destructive",
}
"""Options that mean nothing for a module that p11conform makes tokens for itself."""

_GIVES: Final = {
    "allow_token_objects": Level.TOKEN_OBJECTS,
    "allow_pins": Level.PINS,
    "allow_destructive": Level.EVERYTHING,
}
"""How far each option gives a token over."""


@dataclass(frozen=True, slots=True)
class Token:
    """How the user names a token; by nothing where there is but one."""

    slot: int | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """How a module is to be opened: the options, with the PINs read. Its text form tells no PIN.

    Of several `tokens`, which have the same PINs, each is for a worker of its own. One that is `automatic` is held to
    the version that the module itself is of.
    """

    module: str
    kind: Kind
    tokens: tuple[Token, ...]
    user_pin: bytes | None
    so_pin: bytes | None
    init_reserved: str | None
    profile: Path | None
    timeout: float
    level: Level
    faults: tuple[Fault, ...] = ()
    automatic: bool = False

    def __repr__(self) -> str:
        return f"Opening({self.module!r})"

    @classmethod
    def of(cls, module: str, given: dict[str, Any]) -> "Opening":
        """The opening that the options of a command mean. Nothing is run, and no PIN is tried.

        Raises:
            Failure: where an option cannot be used; the PINs are taken out of the environment all the same, which the
                module's process would inherit.
        """
        pin, so_pin = (os.environ.pop(name, None) for name in (PIN, SO_PIN))
        by_path = module not in subject.known()
        if not by_path:
            for name, option in _BY_PATH_ONLY.items():
                if given[name] not in (None, False, ()):
                    fail(f"{option} is for a library by path; {module} has tokens of its own, so leave it out")
        elif os.sep not in module and not Path(module).exists():
            fail(f"no module is called {module!r}; give a path or one of: {', '.join(subject.known())}")
        return cls(
            module=module,
            kind=Kind(given["adapter"]),
            tokens=_tokens(given["slots"], given["token_labels"]),
            user_pin=_read_pin("user", given["pin_file"], given["ask_pin"], PIN, pin) if by_path else None,
            so_pin=_read_so_pin(given, so_pin) if by_path else None,
            init_reserved=given["init_reserved"],
            profile=given["profile"],
            timeout=given["timeout"],
            faults=_read_faults(module, given["faults"]),
            level=max((level for name, level in _GIVES.items() if given[name]), default=Level.SESSION_OBJECTS),
        )


def _read_faults(module: str, given: Sequence[str]) -> tuple[Fault, ...]:
    """What is to go wrong in a module.

    Raises:
        Failure: for what is no fault, and where there is no library to go wrong.
    """
    if given and module == subject.SIMULATED:
        fail(f"--fault is for a library; {module} is none, and has --events")
    found = []
    for text in given:
        try:
            found.append(read_fault(text))
        except ValueError as error:
            fail(f"--fault {text}: {error}")
    return tuple(found)


def _tokens(slots: tuple[int, ...], labels: tuple[str, ...]) -> tuple[Token, ...]:
    """The tokens that are named: by slots, by labels, or one by both."""
    if len(slots) == len(labels) == 1:
        return (Token(slots[0], labels[0]),)
    if slots and labels:
        fail("--slot and --token-label: name several tokens all by the one or all by the other")
    found = (*map(Token, slots), *(Token(label=label) for label in labels))
    twice = next((x for x in found if found.count(x) > 1), None)
    if twice is not None:
        fail(f"{twice.label if twice.slot is None else twice.slot}: this token is named twice; each worker has its own")
    return found or (Token(),)


def _read_pin(name: str, file: Path | None, ask: bool, variable: str, given: str | None) -> bytes | None:
    """A PIN from a prompt, a file or the environment; never from the command line. An empty one is a mistake."""
    if ask:
        pin, where = str(click.prompt(f"{name} PIN", hide_input=True, err=True)).encode(), "the prompt"
    elif file is not None:
        where = str(file)
        try:
            pin = file.read_bytes().rstrip(b"\r\n")
        except OSError as error:
            fail(f"{file}: {error.strerror}; name a file that holds the {name} PIN")
    elif given is not None:
        pin, where = os.fsencode(given), variable
    else:
        return None
    if not pin:
        fail(f"{where}: the {name} PIN there is empty, and would cost a try; give one, or leave it out")
    return pin


def _read_so_pin(given: dict[str, Any], variable: str | None) -> bytes | None:
    """The SO PIN. An empty one is none of the mistakes of `_read_pin` where it is said that it is empty."""
    if not given["empty_so_pin"]:
        return _read_pin("SO", given["so_pin_file"], given["ask_so_pin"], SO_PIN, variable)
    if given["so_pin_file"] is not None or given["ask_so_pin"] or variable:
        fail("--empty-so-pin: an SO PIN is given beside it; leave one of them out")
    return b""


def befalling(module: str, *, needed: bool) -> frozenset[str]:
    """The events that can be made to happen to a module.

    Raises:
        Failure: if some are `needed`, and none can.
    """
    if module == subject.SIMULATED:
        return frozenset(EVENTS)
    found = registry.provider(module).events if module in registry.names() else frozenset[str]()
    if needed and not found:
        able = [name for name in registry.names() if registry.obstacle(name) is None and registry.provider(name).events]
        known = ", ".join((subject.SIMULATED, *able))
        fail(f"--events: nothing can be made to happen to {module}; leave it out, or check one of: {known}")
    return found


def model_of(spec: str, readings: tuple[str, ...], *, events: Collection[str] = ()) -> Model:
    """The model of a version, with open questions read as the options say, and with events beside the calls or none.

    Where the trouble of a device waits for the next command to it, nobody can tell which call sends one: so A-91 is
    read as "if it asks the token" there, unless it is chosen otherwise, or all events can happen, as to the model.

    Raises:
        Failure: for a reading that there is not.
    """
    chosen: dict[str, str] = {"A-91": ASKED} if events and EVENTS.keys() - set(events) else {}
    for item in readings:
        id, equals, reading = item.partition("=")
        if not equals:
            fail(f"--reading {item}: write it as A-05='usage guide'")
        chosen[id] = reading
    try:
        return suffering(build(Version(spec), chosen, events=bool(events)), events)
    except ValueError as error:
        fail(str(error))


def check_jobs(jobs: int, opening: Opening) -> None:
    """See that so many workers are possible on this machine, each with a token of its own.

    Raises:
        Failure: if they are not.
    """
    named = len(opening.tokens)
    if jobs > MOST_JOBS:
        fail(f"--jobs {jobs}: at most {MOST_JOBS}; more than {os.cpu_count() or 1} are of little use on this machine")
    if jobs > 1 and opening.module == subject.SIMULATED:
        fail(f"--jobs {jobs}: {opening.module} is in this process, with one token; leave it out")
    if opening.module not in registry.names() and jobs != named:
        fail(
            f"--jobs {jobs}: each worker wants a token of its own, and {named} can be had; name {jobs} by "
            "--token-label or --slot"
            if jobs > named
            else f"--jobs {jobs}: {named} tokens are named, each for a worker of its own; give --jobs {named}"
        )


def one_token(opening: Opening) -> Opening:
    """The opening, of a command for which one token is enough.

    Raises:
        Failure: if several are named.
    """
    if len(opening.tokens) > 1:
        fail("several tokens are named; name one, as more are for check --jobs")
    return opening


def see_that_one_thread_shows(findings: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> None:
    """See that calls one after the other show these findings of a report.

    Raises:
        Failure: if it takes two threads.
    """
    for finding in findings:
        if "threads" in finding:
            again = f"p11conform check {report['module']['name']} --threads 2"
            fail(f"{finding['id']}: it takes two threads to show it; see whether it comes back with {again}")
