"""The C compiler of the machine, for what is built where it is wanted."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .base import ModuleUnusable


def build(what: str, source: Path, library: Path, options: Sequence[str], libraries: Sequence[str] = ("dl",)) -> None:
    """Build a shared library of a C file; `what` needs it, and begins each message.

    Raises:
        ModuleUnusable: if there is no C compiler, or it does not take what it is given.
    """
    name = os.environ.get("CC", "cc")
    compiler = shutil.which(name)
    if compiler is None:
        install = "install one, on Debian: apt-get install gcc libc6-dev"
        raise ModuleUnusable(f"{what} needs a C compiler as {name}; {install}")
    linked = [f"-l{x}" for x in libraries]
    command = (compiler, "-shared", "-fPIC", *options, "-o", str(library), str(source), *linked)
    made = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if made.returncode != 0:
        lines = made.stderr.strip().splitlines()
        first = next((x for x in lines if "error" in x), lines[0] if lines else "it said nothing")
        raise ModuleUnusable(f"{what}: the C compiler refuses ({first}); see that it and libc's headers work")
