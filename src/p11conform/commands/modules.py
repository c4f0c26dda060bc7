"""The command `modules`: which modules p11conform can make ready by itself, and what is missing for those it cannot."""

import click

from .. import subject
from ..adapters.base import ModuleUnusable
from ..adapters.modules import registry
from ..adapters.modules.provider import installs
from ..console import out


@click.command()
def command() -> None:
    """List the modules that `check` knows by name, and what is missing here."""
    lines, missing = {subject.SIMULATED: "ready: the model itself"}, dict[str, None]()
    for name in registry.names():
        try:
            provider = registry.provider(name)
        except ModuleUnusable as error:
            lines[name] = str(error)
            continue
        lines[name] = provider.obstacle() or f"ready: {provider.about}"
        missing |= dict.fromkeys(provider.missing())
    width = max(map(len, lines))
    for name, text in lines.items():
        out.print(f"{name:<{width}}  {text}", markup=False)
    if missing:
        out.print(f"to have all of them: {installs(tuple(missing))}", markup=False)
