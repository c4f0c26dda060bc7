"""What modules leave behind: processes that have to do with a directory, files in it, and mounts."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

PATIENCE: Final = 10.0
"""Seconds in which what a killed tester left must have ended."""


def mounted() -> str:
    """All that is mounted."""
    return Path("/proc/self/mountinfo").read_text()


def processes(place: Path) -> Iterator[psutil.Process]:
    """The processes that have a directory in their arguments, their environment, or as their own."""
    for process in psutil.process_iter(("cmdline", "environ", "cwd")):
        known = (*(process.info["cmdline"] or ()), *(process.info["environ"] or {}).values(), process.info["cwd"] or "")
        if process.pid != os.getpid() and any(str(place) in text for text in known):
            yield process


def running(place: Path) -> list[str]:
    """Those processes by their arguments."""
    return [" ".join(process.info["cmdline"] or ()) for process in processes(place)]


def still_running(place: Path, patience: float = PATIENCE) -> list[str]:
    """What runs there after a while."""
    until = time.monotonic() + patience
    while (left := running(place)) and time.monotonic() < until:
        time.sleep(0.02)
    return left
