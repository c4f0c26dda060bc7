"""The command `page`: reports of several modules beside each other, as a page."""

import os
import platform
from pathlib import Path

import click

from ..files import try_place, write_text
from ..properties.reports import beside
from ..properties.reports.beside_html import render
from ..properties.reports.results import load


def machine() -> str:
    """The machine that the page is written on, in words."""
    processors = os.cpu_count() or 1
    return f"{platform.system()} {platform.machine()}, {processors} processors, Python {platform.python_version()}"


@click.command()
@click.argument("reports", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="REPORT...")
@click.option("--out", type=click.Path(path_type=Path), default=Path("-"), help="Write Markdown there. [- by default]")
@click.option("--html", type=click.Path(path_type=Path), help="Write one page of HTML there, too, with a heat map.")
def command(reports: tuple[Path, ...], out: Path, html: Path | None) -> None:
    """Write a page of modules from REPORTs, one of each, as `check NAME --json` or `check all --json` write them."""
    for option, place in (("--out", out), ("--html", html)):
        try_place(option, place)
    data = sorted(map(load, reports), key=beside.title)
    here = machine()
    write_text("--out", out, "\n".join(beside.lines(data, here)) + "\n")
    if html is not None:
        write_text("--html", html, render(data, here))
