"""What the command line shows: progress while a check runs, and results for people to read."""

import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from .properties.reports.findings import Finding
from .properties.run.campaign import Progress


class _Console(Console):
    """A console whose caller is told when its reader is gone."""

    def on_broken_pipe(self) -> None:
        """Go on with the error under way."""
        raise


out = _Console(highlight=False, soft_wrap=True)
err = _Console(stderr=True, highlight=False, soft_wrap=True)

PLAIN_EVERY = 5.0
"""Seconds between two progress lines where no terminal can rewrite one."""


class Display:
    """One line of progress: rewritten on a terminal, now and then a new one elsewhere."""

    def __init__(self) -> None:
        self._live = Live(console=err, transient=True, refresh_per_second=8) if err.is_terminal else None
        self._last = time.monotonic()

    def context(self) -> AbstractContextManager[object]:
        """Keeps the line on the screen while the check runs."""
        return self._live if self._live is not None else nullcontext()

    def __call__(self, progress: Progress) -> None:
        """Show how far the check is."""
        left = "" if progress.left is None else f", {progress.left:.0f} s left at most"
        self.say(
            f"{progress.share:.0%}{left}; {progress.phase}: {progress.calls} calls, {progress.states} states, "
            f"{progress.fired} rules fired, {progress.findings} findings"
        )

    def found(self, finding: Finding) -> None:
        """Show a finding as soon as it is confirmed."""
        v = finding.verdict
        kind = v.kind.value if v.kind else ""
        self._keep(f"found: {v.severity.value} {finding.id} {kind}: {v.call.function} → {v.observation.text}")

    def joined(self, finding: Finding, whole: Finding) -> None:
        """Say of a finding that was shown of which one it turned out to be a part."""
        v = whole.verdict
        kind = v.kind.value if v.kind else ""
        self._keep(f"{finding.id} is part of {whole.id} {kind}: {v.call.function} → {v.observation.text}")

    def _keep(self, line: str) -> None:
        """Show a line that stays."""
        if self._live is not None:
            self._live.console.print(line, markup=False)
        else:
            with suppress(OSError):
                print(line, file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """Show a line of progress."""
        if self._live is not None:
            self._live.update(Text(line))
        elif time.monotonic() - self._last > PLAIN_EVERY:
            self._last = time.monotonic()
            with suppress(OSError):
                print(line, file=sys.stderr, flush=True)


def waiting(text: str) -> AbstractContextManager[object]:
    """Says what takes long while it does."""
    if err.is_terminal:
        return err.status(text)
    print(text, file=sys.stderr, flush=True)
    return nullcontext()


def give_up(stream: Any) -> None:
    """Send what is still to come on a stream that cannot be written to nowhere, so that the end of Python is quiet."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
