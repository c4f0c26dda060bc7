"""The forms of logs that are read, each told by how a file begins."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from . import logger, nss, p11kit, spy, trace
from .step import BadLog, Step

HEAD: Final = 1 << 18
"""How much of a file is looked at to tell its form, in characters."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of log: what it is called, how it is told, and how it is read."""

    name: str
    recognises: Callable[[str], bool]
    read: Callable[[Iterable[str]], Iterator[Step]]


FORMS: Final = (
    Form(trace.SCHEMA, trace.recognises, trace.read),
    Form("pkcs11-spy", spy.recognises, spy.read),
    Form("PKCS11-LOGGER", logger.recognises, logger.read),
    Form("nss_mod_log", nss.recognises, nss.read),
    Form("p11-kit log-calls", p11kit.recognises, p11kit.read),
)


@dataclass(frozen=True, slots=True)
class Log:
    """A log that is open: its form, its size in bytes (0 where it is not known), and its calls."""

    form: str
    size: int
    steps: Iterator[Step]


def open_log(path: Path, stream: TextIO | None = None, *, follow: bool = False) -> Log:
    """The log at a path, or on a stream; with `follow` its end is waited for for ever.

    Raises:
        BadLog: if it cannot be read, or is of no form that is known; so may what it gives, as it is read.
    """
    try:
        size = path.stat().st_size if stream is None and path.is_file() else 0
        file = stream or path.open(encoding="utf-8", errors="replace", newline="\n")
        head = file.read(HEAD)
    except OSError as error:
        raise BadLog(f"{path}: {error.strerror}; name a file of recorded calls") from None
    form = next((x for x in FORMS if x.recognises(head)), None)
    if form is None:
        raise BadLog(f"{path}: these are no recorded calls; what is read is: {', '.join(x.name for x in FORMS)}")
    return Log(form.name, size, form.read(_lines(head, file, follow)))


LONGEST: Final = 1 << 24
"""Letters of a line, at most: a call has thousands."""

WAIT: Final = 0.3
"""Seconds between two looks at whether a log has grown."""


def _lines(head: str, file: TextIO, follow: bool) -> Iterator[str]:
    """The lines of a file of which the head was read already.

    Raises:
        BadLog: for a line that is longer than any.
    """
    *whole, begun = head.split("\n")
    yield from whole
    with file:
        while True:
            while line := file.readline(LONGEST):
                begun += line
                if len(begun) > LONGEST:
                    raise BadLog(f"a line has more than {LONGEST >> 20} million letters, which no call has")
                if line.endswith("\n"):
                    yield begun
                    begun = ""
            if not follow:
                break
            time.sleep(WAIT)
    if begun:
        yield begun
