"""The command `man`: the manual page, made of what --help says."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click

from ..exits import Exit
from ..files import STDOUT, try_place, write_text

_EXITS: Final = {
    Exit.CONFORMS: "nothing is wrong",
    Exit.FINDINGS: "there are findings, violations, or differences of the sorts asked for",
    Exit.USAGE: "an argument or a file is not what it should be; a line on standard error says why",
    Exit.UNUSABLE: "the module cannot be used, or not any more",
    Exit.MISSING: "something that is needed is not installed",
    Exit.FAULT: "a fault of p11conform",
}
_ENVIRONMENT: Final = {
    "P11CONFORM_PIN, P11CONFORM_SO_PIN": "the PINs of the token of a module that is named by its path",
    "P11CONFORM_TRACEBACK": "set to anything, it has the traceback of a fault of p11conform printed",
}


def page(main: click.Group) -> str:
    """The whole page, in the macros of man."""
    return "\n".join((*_page(main), ""))


def _page(main: click.Group) -> Iterator[str]:
    top = click.Context(main, info_name="p11conform")
    commands = [(name, main.get_command(top, name)) for name in main.list_commands(top)]
    yield f'.TH P11CONFORM 1 "" "p11conform {version("p11conform")}" "User Commands"'
    yield f".SH NAME\np11conform \\- {_text(_first(main.help)).rstrip('.')}"
    yield ".SH SYNOPSIS\n.B p11conform\n.I COMMAND\n[\\fIOPTION\\fR...]"
    yield f".SH DESCRIPTION\n{_text(main.help or '')}"
    yield from (f".TP\n.B {_text(name)}\n{_text(_first(x.help))}" for name, x in commands if x is not None)
    yield ".SH OPTIONS"
    yield from _options(main, top)
    for name, command in commands:
        if command is None:
            continue
        inside = click.Context(command, parent=top, info_name=name)
        yield f".SH {_text(f'p11conform {name}').upper()}"
        yield f".B p11conform {_text(' '.join((name, *command.collect_usage_pieces(inside))))}"
        for paragraph in (command.help or "").split("\n\n"):
            yield f".PP\n{_text(paragraph)}"
        yield from _options(command, inside)
    yield ".SH EXIT STATUS"
    yield from (f".TP\n.B {code:d}\n{_text(why)}" for code, why in _EXITS.items())
    yield f".TP\n.B 128+N\n{_text('ended by the signal N; what was found up to then is in the report')}"
    yield ".SH ENVIRONMENT"
    yield from (f".TP\n.B {_text(name)}\n{_text(what)}" for name, what in _ENVIRONMENT.items())


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    records = (x.get_help_record(context) for x in command.get_params(context))
    yield from (f".TP\n.B {_text(record[0])}\n{_text(record[1]) or '.br'}" for record in records if record is not None)


def _first(help: str | None) -> str:
    """The first paragraph of a help text."""
    return (help or "").split("\n\n")[0]


def _text(text: str) -> str:
    """A text as roff takes it: in one line, with nothing in it that is an instruction."""
    line = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    line = "".join(x if x.isascii() else f"\\[u{ord(x):04X}]" for x in line)
    return f"\\&{line}" if line.startswith(".") else line


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=STDOUT, help="Write it there.")
@click.pass_context
def command(context: click.Context, output: Path) -> None:
    """Write the manual page: `p11conform man -o p11conform.1`, then `man ./p11conform.1`."""
    try_place("--output", output)
    main = context.find_root().command
    assert isinstance(main, click.Group), "the commands are those of a group"
    write_text("--output", output, page(main))
