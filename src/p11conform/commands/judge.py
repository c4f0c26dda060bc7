"""The command `judge`: was each answer of a log right, and each call?"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from ..adapters.logs.registry import Log, open_log
from ..adapters.logs.step import BadLog, Step
from ..console import Display, out
from ..exits import Exit, fail
from ..files import STDOUT, try_place, write_json
from ..judging import Answer, Judge, Judged, Judgement
from ..model.oracle import Model
from ..options import model_of, readings_option, spec_option
from ..properties.engine.partial import Partial
from ..recorded import lines, report

EVERY: Final = 5_000
"""Calls after which progress is shown."""


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What both commands that judge logs take."""
    given = (
        click.argument("log", type=click.Path(path_type=Path)),
        spec_option,
        readings_option,
        click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all of it as JSON, too."),
        click.option("--shared", is_flag=True, help="Others, of whom the log does not tell, may use the tokens too."),
        click.option("--callers", is_flag=True, help="Exit with 1 also for rules that the caller broke."),
    )
    for option in reversed(given):
        command = option(command)
    return command


@click.command()
@options
def command(
    log: Path, spec: str, readings: tuple[str, ...], json_file: Path | None, shared: bool, callers: bool
) -> None:
    """Judge the recorded calls of LOG (- is standard input): was each answer required, permitted, or wrong?

    Reads p11conform.trace/1, which the shim of `p11conform record` writes, and what pkcs11-spy, p11-kit (log-calls),
    PKCS11-LOGGER and NSS (nss_mod_log) write. Exits with 1 if an answer was not permitted, with 2 if there is nothing
    to read.
    """
    try_place("--json", json_file)
    model = model_of(spec, readings)
    opened = opened_log(log)
    judgement = judged(opened, Judge(Partial(model), shared=shared), log)
    finish(judgement, model, log, opened, json_file, callers=callers)


def opened_log(path: Path, *, follow: bool = False) -> Log:
    """The log that was named.

    Raises:
        Failure: if it is none.
    """
    try:
        return open_log(path, sys.stdin if path == STDOUT else None, follow=follow)
    except BadLog as error:
        fail(str(error))


def judged(log: Log, judge: Judge, path: Path, show: Callable[[Judged], None] = lambda _: None) -> Judgement:
    """All of a log, judged; what is wrong with it is told to `show` as well, as it comes.

    Raises:
        Failure: if it cannot be read to its end.
    """
    judgement, display = Judgement(), Display()
    with display.context():
        for x in judge.all(_read(log, path)):
            judgement.add(x)
            if x.opinion.answer is Answer.NOT_PERMITTED:
                show(x)
            if not x.number % EVERY:
                wrong = judgement.counts[Answer.NOT_PERMITTED]
                display.say(f"{log.form}: {x.number:,} calls judged, {wrong:,} violations")
    if not judgement.steps:
        fail(f"{path}: it is a log of {log.form}, and holds no calls; name another")
    judgement.processes = judge.processes
    return judgement


def _read(log: Log, path: Path) -> Iterator[Step]:
    try:
        yield from log.steps
    except BadLog as error:
        fail(f"{path}: {error}")
    except OSError as error:
        fail(f"{path}: {error.strerror}; name another")


def finish(
    judgement: Judgement,
    model: Model,
    path: Path,
    log: Log,
    json_file: Path | None,
    *,
    callers: bool,
    shown: bool = False,
) -> None:
    """Say what was found, and end the command by it."""
    write_json("--json", json_file, report(judgement, model, str(path), log.form))
    if json_file != STDOUT:
        name = "standard input" if path == STDOUT else str(path)
        processes = f"{judgement.processes} process{'es' if judgement.processes != 1 else ''}"
        out.print(f"{name}: {log.form}, {processes}, against PKCS#11 {model.version}", markup=False)
        for line in lines(judgement, model, shown=shown):
            out.print(line, markup=False)
    wrong = bool(judgement.violations) or (callers and bool(judgement.faults))
    raise SystemExit(Exit.FINDINGS if wrong else Exit.CONFORMS)
