"""An adapter in a child process, under a watchdog: a module that crashes, exits or hangs costs one observation.

The child sends one answer a call, so the number of answers names the call that it died in.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..model.call import Call, Observation
from ..model.vocabulary import CKU
from .base import Binding, ModuleUnusable, Ready
from .codec import Command, Kind, from_binding, from_call, to_observation
from .process import Lost, Process, unchanged
from .ready import Plain

if TYPE_CHECKING:
    from .measure import Measured

__all__ = ["Isolated", "Kind", "login_isolated", "measure_isolated"]

TIMEOUT = 10.0
"""Seconds that a module has for one call."""

_PROGRAM = f"{__package__}.child"

NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})


def _ask(child: Process, library: str, command: Command, *rest: Any) -> Any:
    """The answer to a command that observes no call: here a death makes the module unusable."""
    try:
        return child.ask(command, *rest)
    except Lost as lost:
        doing = f"in {command.name.lower()}, outside any call under test"
        raise ModuleUnusable(f"{library}: {lost.observation.text}, {doing}; try it with another application") from None


def ask_once(environment: Mapping[str, str], timeout: float, command: Command, library: str, *rest: Any) -> Any:
    """The answer to one command, from a child of its own. Raises ModuleUnusable if there is none."""
    child = Process(_PROGRAM, environment, timeout)
    try:
        return _ask(child, library, command, library, *rest)
    finally:
        child.close()


def measure_isolated(
    library: str,
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    init_reserved: str | None = None,
    timeout: float = TIMEOUT,
) -> "Measured":
    """What a module says of itself, from a child process that has `timeout` seconds for all of it.

    Raises:
        ModuleUnusable: if the library cannot be loaded or measured, or dies or hangs.
    """
    from .measure import Measured

    return Measured.from_json(ask_once(environment, timeout, Command.MEASURE, library, init_reserved))


def login_isolated(
    library: str,
    slot_id: int,
    user: CKU,
    pin: bytes | None,
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    init_reserved: str | None = None,
    timeout: float = TIMEOUT,
) -> int:
    """The code of one C_Login with this PIN (None: the NULL pointer), from a child process.

    Raises:
        ModuleUnusable: as `measure_isolated` does, and if no session can be opened on the slot.
    """
    given = None if pin is None else pin.hex()
    return int(ask_once(environment, timeout, Command.LOGIN, library, slot_id, user, given, init_reserved))


def _nothing() -> None:
    """What there is to restore of a token that no one looks after."""


class Isolated:
    """An adapter whose module runs in a child process.

    `timeout` is in seconds a call. `environment` is added to the child's. `restore` puts the token's contents back, in
    this process, while the library is finalised or its process gone; it says False where it cannot. A module that dies
    or hangs ends the sequence: `call()` raises RuntimeError until the next `reset()`, which starts a new child and
    restores the token in any case.
    `program`, `descriptors` and `progress` are those of each `Process`.

    Raises:
        ModuleUnusable: if the library cannot be loaded, or dies or hangs while it is.
    """

    def __init__(
        self,
        kind: Kind,
        library: str,
        binding: Binding,
        environment: Mapping[str, str] = NO_ENVIRONMENT,
        restore: Callable[[], bool | None] = _nothing,
        timeout: float = TIMEOUT,
        program: str = _PROGRAM,
        descriptors: Sequence[int] = (),
        progress: Callable[[], Any] = unchanged,
    ) -> None:
        self._start = partial(Process, program, environment, timeout, descriptors, progress)
        self._kind = kind
        self._library = library
        self._binding = binding
        self._restore = restore
        self._supported: dict[Call, bool] = {}
        self._over = False
        self._child: Process | None = self._load()

    def call(self, call: Call) -> Observation:
        """Make one call; a death or a hang of the module is what was observed."""
        return self.call_all((call,))[0]

    def call_all(self, calls: Sequence[Call]) -> tuple[Observation, ...]:
        """Make calls in one go, up to the one that the module dies or hangs in, whose observation is the last."""
        seen: list[Observation] = []
        try:
            answers = self._present().stream(len(calls), Command.CALLS, [*map(from_call, calls)])
            seen.extend(map(to_observation, answers))
        except Lost as lost:
            self._child, self._over = None, True
            seen.append(lost.observation)
        return tuple(seen)

    def work(self, order: Any) -> Any:
        """The answer of the program in the child to an order of its own; both are JSON.

        Whatever the program asks meanwhile (see `child.Line`), it has the token's contents put back.

        Raises:
            Lost: if the module died or hangs, which ends the sequence.
            ModuleUnusable: as the program said.
            RuntimeError: if the program is at fault, or the module gone already.
        """
        try:
            return self._present().ask(Command.WORK, order, reply=lambda _: self._restore())
        except Lost:
            self._child, self._over = None, True
            raise

    @property
    def process(self) -> Process | None:
        """The child, if there is one; another one after a death."""
        return self._child

    def ready(self, calls: Sequence[Call]) -> Ready:
        """The calls of a list; none of them is any quicker for it."""
        return Plain(self, calls)

    def reset(self, restore_token: bool) -> bool:
        """Finalise the library and forget all handles; a child that is gone, or fails to, is replaced.

        False if the token was to be put back, and could not be.
        """
        finalised = self._finalise(restore_token)
        restored = self._restore() if restore_token or self._over or not finalised else True
        if not finalised:
            self._child = self._load()
        self._over = False
        return restored is not False

    def supports(self, call: Call) -> bool:
        """Whether the adapter in the child can make the call at all."""
        if call not in self._supported:
            if self._child is None:
                self._child = self._load()
            self._supported[call] = _ask(self._child, self._library, Command.SUPPORTS, from_call(call))
        return self._supported[call]

    def close(self) -> None:
        """Give the module up, and its process."""
        if self._child is not None:
            self._child.close()
        self._child, self._over = None, True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _present(self) -> Process:
        if self._over or self._child is None:
            raise RuntimeError("the module is gone or was given up in this sequence; reset() before the next call")
        return self._child

    def _load(self) -> Process:
        child = self._start()
        try:
            _ask(child, self._library, Command.LOAD, self._kind.value, self._library, from_binding(self._binding))
        except BaseException:
            child.kill()
            raise
        return child

    def _finalise(self, restore_token: bool) -> bool:
        """Whether the child is there and did it; else there is none any more."""
        if self._child is None:
            return False
        try:
            self._child.ask(Command.RESET, restore_token)
        except (Lost, ModuleUnusable):
            self._child.kill()
            self._child = None
            return False
        return True
