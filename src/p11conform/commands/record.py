"""The command `record`: builds the recording shim for a module."""

from pathlib import Path

import click

from ..adapters.logs import recorder
from ..adapters.modules import registry
from ..console import out
from ..exits import fail
from ..files import try_place


@click.command()
@click.argument("module")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("p11record.so"),
    show_default=True,
    help="The shim, which applications load in the place of the module.",
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    default=Path("p11.trace"),
    show_default=True,
    help=f"Where it writes the calls to, unless {recorder.VARIABLE} names another file.",
)
def command(module: str, output: Path, trace: Path) -> None:
    """Build a shim that stands before MODULE, the path of a PKCS#11 library, and records every call of it.

    Point the application to the shim instead of the module; then run `p11conform judge` on what it wrote, which is
    p11conform.trace/1. No PIN is recorded, and no data. It takes a C compiler.
    """
    library = Path(module)
    if not library.is_file():
        known = ": it is for a library by path" if module in registry.names() else ""
        fail(f"{module}: there is no such file{known}; name a PKCS#11 library")
    try_place("--output", output)
    recorder.build(library.resolve(), output, trace.absolute())
    out.print(f"{output.absolute()}: load it in the place of {library}", markup=False)
    out.print(f"calls go to {trace.absolute()}, or to the file that {recorder.VARIABLE} names", markup=False)
    out.print(f"then: p11conform judge {trace}", markup=False)
