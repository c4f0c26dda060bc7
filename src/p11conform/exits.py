"""The ways in which a command ends: its exit codes, and the one exception that ends it with a line."""

import signal
from enum import IntEnum
from typing import NoReturn

import click


class Exit(IntEnum):
    """Exit codes; those of an interruption are 128 and the number of the signal, as shells have it."""

    CONFORMS = 0
    FINDINGS = 1
    USAGE = 2
    UNUSABLE = 3
    MISSING = 4
    FAULT = 70
    HANGUP = 128 + signal.SIGHUP
    INTERRUPT = 128 + signal.SIGINT
    TERMINATED = 128 + signal.SIGTERM


LONGEST = 500
"""Letters of the line that says why a command cannot go on."""


class Failure(click.ClickException):
    """The command cannot go on; shown as one line that says what is wrong and what to do."""

    def __init__(self, text: str, code: Exit) -> None:
        super().__init__(text)
        self.exit_code = int(code)  # type: ignore[misc]

    def show(self, file: object = None) -> None:  # noqa: ARG002
        """Print the line to standard error; what a file put into it does not make it long, nor rule the terminal."""
        line = "".join(x if x.isprintable() else "?" for x in " ".join(self.message.split()))
        click.echo(f"p11conform: {line if len(line) <= LONGEST else f'{line[:LONGEST]}…'}", err=True)


def fail(text: str, code: Exit = Exit.USAGE) -> NoReturn:
    """End the command with a line on standard error.

    Raises:
        Failure: always.
    """
    raise Failure(text, code)
