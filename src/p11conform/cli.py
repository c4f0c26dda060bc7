"""The command line: finds the command, and ends it in one of the ways of `Exit`."""

import codecs
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

import click

from .adapters.base import ModuleUnusable
from .console import give_up
from .exits import Exit, Failure
from .interrupts import ASKED, Interrupted
from .properties.reports.results import Unreadable

TRACEBACK: Final = "P11CONFORM_TRACEBACK"
"""Set in the environment to anything, it has the traceback of a fault of ours printed, as --traceback does."""

_PLAIN: Final = {"→": "->", "…": "..."}


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    """What a terminal without the letter gets in its place."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(_PLAIN.get(x, x.encode("ascii", "backslashreplace").decode()) for x in letters), error.end


def _prepare_streams() -> None:
    """Standard streams that can be written to: a closed one is /dev/null, a letter that one lacks is replaced."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free
    codecs.register_error("p11conform", _in_plain_letters)
    # Python has none where the descriptor was closed.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):
            stream.reconfigure(errors="p11conform")  # type: ignore[union-attr]


class _Commands(click.Group):
    """Commands loaded when they are asked for: z3 takes its time, and memory that a check wants."""

    names: Final = (
        "baseline",
        "bench",
        "check",
        "codes",
        "diff",
        "explain",
        "graph",
        "judge",
        "lint",
        "man",
        "modules",
        "monitor",
        "page",
        "profile",
        "prove",
        "reach",
        "record",
        "replay",
        "reproduce",
        "show",
        "tables",
        "versions",
        "waivers",
    )

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All of them, by name."""
        return list(self.names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a name, if there is one."""
        if cmd_name not in self.names:
            return None
        command: click.Command = import_module(f".commands.{cmd_name}", __package__).command
        command.name = cmd_name
        return command

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run a command, and end the process with its exit code."""
        _prepare_streams()
        return super().main(args, *rest, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; whatever ends it is told in a line."""
        try:
            with ASKED:
                result = super().invoke(ctx)
                sys.stdout.flush()
                return result
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except ModuleUnusable as error:
            raise Failure(str(error), Exit.UNUSABLE) from None
        except Unreadable as error:
            raise Failure(str(error), Exit.USAGE) from None
        except Interrupted as error:
            raise Failure(f"interrupted by {error}", error.exit) from None
        except BrokenPipeError:
            give_up(sys.stdout)
            raise SystemExit(Exit.CONFORMS) from None
        except OSError as error:
            give_up(sys.stdout)
            where = f"{error.filename}: " if error.filename else ""
            self._trace(ctx)
            raise Failure(f"{where}{error.strerror or error}; see that there is room, and leave", Exit.USAGE) from None
        except Exception as error:
            self._trace(ctx)
            raise Failure(
                f"a fault of p11conform: {type(error).__name__}: {error}; report it with the output of --traceback",
                Exit.FAULT,
            ) from None

    def _trace(self, ctx: click.Context) -> None:
        if ctx.params.get("traceback") or os.environ.get(TRACEBACK):
            traceback.print_exc()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="p11conform")
@click.option("--traceback", is_flag=True, help=f"Show where a fault of p11conform is. [or set {TRACEBACK}]")
def main(traceback: bool) -> None:
    """Test PKCS#11 modules against an executable model of the standard."""


if __name__ == "__main__":
    sys.exit(main())
