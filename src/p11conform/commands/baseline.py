"""The command `baseline`: what a module answers, written down to be reviewed and compared with."""

from pathlib import Path
from typing import Any

import click

from ..adapters.private import sweep
from ..console import waiting
from ..files import STDOUT, try_place, write_text
from ..interrupts import ASKED
from ..names import MODULE
from ..options import DEFAULT_SEED, Opening, model_of, module_options, one_token, readings_option, spec_option
from ..properties.reports.baseline import written
from ..sides import live


@click.command()
@click.argument("module", type=MODULE)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=STDOUT, help="Write it there.")
@spec_option
@readings_option
@click.option("--seed", type=int, default=DEFAULT_SEED, show_default=True, help="Decides the random choices.")
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Check it so long beside, too."
)
@module_options
def command(
    module: str, output: Path, spec: str, readings: tuple[str, ...], seed: int, seconds: float, **options: Any
) -> None:
    """Write down what MODULE answers, class of state by class of state; `diff` compares it with a later version.

    The sequences are the same in every run. What a check of some --seconds finds wrong beside them is named by ids.
    """
    # Raised in the midst of a call to a module, an interruption would leave an answer behind that nobody expects.
    ASKED.defer()
    try_place("--output", output)
    opening = one_token(Opening.of(module, options))
    model = model_of(spec, readings)
    sweep()
    with live(opening, model, seed) as side, waiting("trying the sequences that the model gives"):
        found = side.baseline(seconds)
        text = written(found, model, side.tested.initial)
    write_text("--output", output, text)
