"""The command `profile`: the facts about a module's slots, written down."""

import json
from pathlib import Path
from typing import Any

import click

from ..adapters.private import sweep
from ..files import STDOUT, try_place, write_text
from ..model.oracle import build
from ..opened import opened
from ..options import DEFAULT_SEED, Opening, module_options, one_token
from ..profile import profile_json


@click.command()
@click.argument("module")
@click.option("--output", type=click.Path(path_type=Path), default=STDOUT, help="Write it there, not to the terminal.")
@module_options
def command(module: str, output: Path, **options: Any) -> None:
    """Write the profile of MODULE: the facts about its slots that the model is instantiated with.

    A copy of it, edited, can be given to check with --profile.
    """
    opening = one_token(Opening.of(module, options))
    try_place("--output", output)
    sweep()
    tested = opened(opening, build(), DEFAULT_SEED)
    tested.discard()
    write_text("--output", output, json.dumps(profile_json(tested.initial.slots), indent=1) + "\n")
