"""A call under construction, as a reader comes upon it line by line; and calls of several threads at a time."""

from collections.abc import Hashable, Iterator
from functools import cache
from typing import Any, Final

from ...model.interface import SIGNATURES
from .step import Entry, Step

WORD: Final = 2**64
"""Numbers are those of a CK_ULONG; a log may write the largest as -1."""


@cache
def parameters(function: str) -> tuple[str, ...]:
    """The names of the parameters of a function, in order; none where it is not known."""
    signature = SIGNATURES.get(function)
    return () if signature is None else tuple(p.name for p in signature.parameters)


@cache
def parameter_after(function: str, name: str) -> str | None:
    """The parameter that comes after another one: the length of a buffer, the count of a template."""
    names = parameters(function)
    return names[names.index(name) + 1] if name in names[:-1] else None


class Block:
    """A call as far as it was read; `concurrent` once another call of its process was under way beside it."""

    def __init__(self, function: str, line: int, process: int = 0, thread: int = 0) -> None:
        self.function, self.line, self.process, self.thread = function, line, process, thread
        self.arguments: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}
        self.concurrent = False

    def template(self, name: str, *, out: bool) -> list[Entry]:
        """The list that the attributes of a template go to."""
        given = self.outputs if out else self.arguments
        found = given.get(name)
        if not isinstance(found, list):
            found = given[name] = []
        return found

    def step(self, returned: int | None) -> Step:
        """The call."""
        return Step(
            self.function,
            self.arguments,
            self.outputs,
            None if returned is None else returned % WORD,
            self.process,
            self.thread,
            self.line,
            self.concurrent,
        )


class Pending:
    """Calls that have begun and not returned, by whatever tells one from another."""

    def __init__(self) -> None:
        self._blocks: dict[Hashable, Block] = {}

    def begin(self, key: Hashable, block: Block) -> Iterator[Step]:
        """A call begins; one with the same key never returned, for all that is told."""
        lost = self._blocks.pop(key, None)
        if lost is not None:
            lost.concurrent = True
            yield lost.step(None)
        beside = [x for x in self._blocks.values() if x.process == block.process]
        for other in beside:
            other.concurrent = True
        block.concurrent = bool(beside)
        self._blocks[key] = block

    def get(self, key: Hashable) -> Block | None:
        """The call with a key."""
        return self._blocks.get(key)

    def end(self, key: Hashable) -> Block | None:
        """The call with a key, which returned."""
        return self._blocks.pop(key, None)

    def newest_first(self) -> tuple[Any, ...]:
        """The keys of all, what began last first."""
        return tuple(reversed(self._blocks))

    def last(self) -> Hashable | None:
        """The key of the call that began last."""
        return next(reversed(self._blocks), None)

    def rest(self) -> Iterator[Step]:
        """The calls that never returned."""
        for block in self._blocks.values():
            yield block.step(None)
        self._blocks.clear()
