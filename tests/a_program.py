"""A program for the process of a module, as the tests need it: it sleeps, asks, tells, and fails to order."""

import time
from typing import Any

from msgspec import Struct

from p11conform.adapters.base import Adapter, ModuleUnusable
from p11conform.adapters.child import Line, Program
from p11conform.adapters.journal import Journal
from p11conform.adapters.wire import Raw, decode
from p11conform.model.call import Call


class Errand(Struct, frozen=True):
    """What is to be done, in this order."""

    calls: tuple[Call, ...] = ()
    seconds: tuple[float, ...] = ()
    unusable: str = ""
    fault: str = ""
    restore: bool = False
    news: str = ""


def prepare(briefing: bytes, journal: Journal) -> Any:
    if briefing == b"broken":
        raise ValueError("the briefing is broken")

    def work(adapter: Adapter, order: Raw, line: Line) -> Any:
        errand: Errand = decode(Errand, order)
        journal.begin()
        for i, seconds in enumerate(errand.seconds):
            journal.entries[i] = i + 1
            time.sleep(seconds)
        if errand.unusable:
            raise ModuleUnusable(errand.unusable)
        if errand.fault:
            raise ValueError(errand.fault)
        restored = line.restore() if errand.restore else None
        if errand.news:
            line.tell(errand.news)
        return restored, tuple(adapter.call(call) for call in errand.calls)

    return work


PROGRAM = Program(prepare)
