"""An adapter in a process of its own, under a watchdog: a module that crashes, exits or hangs costs one observation.

The process sends one answer a call, so the number of answers names the call that it died in.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ..model.call import Call, Observation
from ..model.vocabulary import CKU
from .base import Binding, Closing, ModuleUnusable, Ready
from .journal import Journal
from .process import Lost, Process, Supervisor
from .ready import Plain
from .wire import (
    Both,
    Calls,
    Clear,
    Command,
    Destroy,
    Kind,
    Load,
    LogIn,
    Measure,
    Provision,
    Raw,
    Reset,
    Supports,
    TakeCensus,
    TriesLeft,
    Work,
    encode,
)

if TYPE_CHECKING:
    from .measure import Measured

__all__ = ["Isolated", "Kind", "ask_once", "login_isolated", "measure_isolated"]

TIMEOUT: Final = 10.0
"""Seconds that a module has for one call."""

NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})


def _ask(process: Process, library: str, kind: Any, command: Command) -> Any:
    """The answer to a command that observes no call: here a death makes the module unusable."""
    try:
        return process.ask(kind, command)
    except Lost as lost:
        text = f"{library}: {lost.text}, outside any call under test; try it with another application"
        raise ModuleUnusable(text) from None
    except ModuleUnusable as error:
        printed = f" (it printed last: {process.printed})" if process.printed else ""
        raise ModuleUnusable(f"{error}{printed}") from None


def ask_once(
    kind: Any,
    command: Measure | LogIn | Provision | TakeCensus | Clear | Destroy,
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    timeout: float = TIMEOUT,
    *,
    secrets: Sequence[bytes] = (),
    core: bool = False,
    namespaces: Sequence[str] = (),
) -> Any:
    """The answer to one command about a `library`, of the kind that it has, from a process of its own.

    It has `timeout` seconds for all of it. The `secrets` are not shown where the module prints them.

    Raises:
        ModuleUnusable: as the process says, or if the module dies or hangs.
    """
    supervisor = Supervisor()
    try:
        process = supervisor.spawn(environment, timeout, secrets=secrets, core=core, namespaces=namespaces)
        try:
            return _ask(process, command.library, kind, command)
        finally:
            process.close()
    finally:
        supervisor.close()


def measure_isolated(
    library: str,
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    init_reserved: str | None = None,
    timeout: float = TIMEOUT,
    *,
    core: bool = False,
    namespaces: Sequence[str] = (),
) -> "Measured":
    """What a module says of itself, from a process of its own that has `timeout` seconds for all of it.

    Raises:
        ModuleUnusable: if the library cannot be loaded or measured, or dies or hangs.
    """
    from .measure import Measured

    command = Measure(library, init_reserved)
    measured: Measured = ask_once(Measured, command, environment, timeout, core=core, namespaces=namespaces)
    return measured


def login_isolated(
    library: str,
    slot_id: int,
    user: CKU,
    pin: bytes | None,
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    init_reserved: str | None = None,
    timeout: float = TIMEOUT,
    *,
    core: bool = False,
) -> int:
    """The code of one C_Login with this PIN (None: the NULL pointer), from a process of its own.

    Raises:
        ModuleUnusable: as `measure_isolated` does, and if no session can be opened on the slot.
    """
    command = LogIn(library, slot_id, user, pin, init_reserved)
    code: int = ask_once(int, command, environment, timeout, secrets=(pin,) if pin else (), core=core)
    return code


def _nothing() -> None:
    """What there is to restore of a token that no one looks after."""


Happen = Callable[[bytes], bool]
"""Makes an event happen beside the calls, to the object with a label where it is about one; whether it did."""

NO_EVENTS: Mapping[str, Happen] = MappingProxyType({})


class Isolated(Closing):
    """An adapter whose module runs in a process of its own.

    `timeout` is in seconds a call. `environment` is added to ours there, and it joins the `namespaces`. `restore` puts
    the token's contents back, in this process, while the library is finalised or its process gone; it says False where
    it cannot. The `events` are what can be made to happen beside calls, which is done in this process, too. A module
    that dies or hangs ends the sequence: `call()` raises RuntimeError until the next `reset()`, which starts a new
    process and restores the token in any case. `program` and `briefing` are those of the `Supervisor`. A module that
    crashes leaves no core file, which would hold the PINs, unless one is wanted by `core`.

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
        *,
        program: str | None = None,
        briefing: bytes = b"",
        core: bool = False,
        namespaces: Sequence[str] = (),
        events: Mapping[str, Happen] = NO_EVENTS,
    ) -> None:
        self._kind = kind
        self._library = library
        self._binding = binding
        self._environment, self._namespaces, self._timeout, self._core = environment, namespaces, timeout, core
        self._restore = restore
        self._events = events
        self._supported: dict[Call, bool] = {}
        self._over = False
        self._supervisor = Supervisor(program, briefing)
        self._process: Process | None = None
        try:
            self._process = self._load()
        except BaseException:
            self._supervisor.close()
            raise

    def call(self, call: Call) -> Observation:
        """Make one call; a death or a hang of the module is what was observed."""
        return self.call_all((call,))[0]

    def call_all(self, calls: Sequence[Call]) -> tuple[Observation, ...]:
        """Make calls in one go, up to the one that the module dies or hangs in, whose observation is the last."""
        seen: list[Observation] = []
        try:
            seen.extend(self._present().stream(len(calls), Observation, Calls(tuple(calls))))
        except Lost as lost:
            self._process, self._over = None, True
            seen.append(lost.observation)
        return tuple(seen)

    def call_both(self, calls: tuple[Call, Call]) -> tuple[Observation, ...]:
        """Make two calls at a time, each in a thread of its own; a death or a hang is all that is observed then."""
        try:
            seen: tuple[Observation, Observation] = self._present().ask(tuple[Observation, Observation], Both(calls))
        except Lost as lost:
            self._process, self._over = None, True
            return (lost.observation,)
        return seen

    def work(self, kind: Any, order: Any, told: Callable[[Raw], None]) -> Any:
        """The answer of the program to an order of its own, of the kind that it has; `told` is given its news.

        Whenever the program asks, it has the token's contents put back.

        Raises:
            Lost: if the module died or hangs, which ends the sequence.
            ModuleUnusable: as the program said.
            RuntimeError: if the program is at fault, or the module gone already.
        """
        command = Work(Raw(encode(order)))
        try:
            return self._present().ask(kind, command, lambda: self._restore() is not False, told)
        except Lost:
            self._process, self._over = None, True
            raise

    @property
    def process(self) -> Process | None:
        """The process, if there is one; another one after a death."""
        return self._process

    @property
    def journal(self) -> Journal:
        """What the program notes its calls in."""
        return self._supervisor.journal

    def ready(self, calls: Sequence[Call]) -> Ready:
        """The calls of a list; none of them is any quicker for it."""
        return Plain(self, calls)

    def reset(self, restore_token: bool) -> bool:
        """Finalise the library and forget all handles; a process that is gone, or fails to, is replaced.

        False if the token was to be put back, and could not be.
        """
        finalised = self._finalise(restore_token)
        restored = self._restore() if restore_token or self._over or not finalised else True
        if not finalised:
            self._process = self._load()
        self._over = False
        return restored is not False

    def renew(self) -> bool:
        """Go on in a new process, with the token restored: nothing is left there of what was called before.

        False if the token could not be.
        """
        if self._process is not None:
            self._process.close()
            self._process = None
        return self.reset(True)

    def supports(self, call: Call) -> bool:
        """Whether the adapter there can make the call at all."""
        if call not in self._supported:
            if self._process is None:
                self._process = self._load()
            self._supported[call] = _ask(self._process, self._library, bool, Supports(call))
        return self._supported[call]

    def tries_left(self, user: CKU) -> bool:
        """Whether the first slot's token has none of the flags `RISKS` of a user; False where it does not tell."""
        left: bool = _ask(self._present(), self._library, bool, TriesLeft(user))
        return left

    def close(self) -> None:
        """Give the module up, and its process."""
        if self._process is not None:
            self._process.close()
        self._process, self._over = None, True
        self._supervisor.close()

    def _present(self) -> Process:
        if self._over or self._process is None:
            raise RuntimeError("the module is gone or was given up in this sequence; reset() before the next call")
        return self._process

    def _load(self) -> Process:
        secrets = tuple(self._binding.pins.values())
        process = self._supervisor.spawn(
            self._environment, self._timeout, secrets=secrets, core=self._core, namespaces=self._namespaces
        )
        try:
            process.befall = self._befall
            _ask(process, self._library, None, Load(self._kind, self._library, self._binding, tuple(self._events)))
        except BaseException:
            process.kill()
            raise
        return process

    def _befall(self, event: str, label: bytes) -> bool:
        return self._events[event](label)

    def _finalise(self, restore_token: bool) -> bool:
        """Whether the process is there and did it; else there is none any more."""
        if self._process is None:
            return False
        try:
            self._process.ask(None, Reset(restore_token))
        except (Lost, ModuleUnusable):
            self._process.kill()
            self._process = None
            return False
        return True
