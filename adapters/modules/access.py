"""How a module is reached while it is made ready: what it says of itself, and calls that must succeed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...model.call import Args, Call
from ...model.state import Pin
from ...model.vocabulary import CKR
from ..base import Binding, ModuleUnusable
from ..forked import FORKS
from ..isolated import NO_EVENTS, Happen, Isolated, Kind, ask_once, measure_isolated
from ..measure import Measured
from ..wire import Destroy
from .daemon import Daemon, revive
from .module import PROVISIONING_SECONDS, Module


def _in_its_own_process(_label: bytes) -> bool:
    """A fork happens in the process of the module, where it is asked for: never beside it."""
    return False


def keep() -> None:
    """What there is to restore where nothing can be changed, or nothing to discard."""


@dataclass(frozen=True, slots=True)
class Access:
    """A library, the environment and the pReserved that it wants, the namespaces that it runs in, and its daemons.

    Of the daemons each needs those before it.
    """

    library: str
    environment: Mapping[str, str] = field(default_factory=dict)
    init_reserved: str | None = None
    namespaces: Sequence[str] = ()
    daemons: Sequence[Daemon] = ()

    def measure(self) -> Measured:
        """What the module says of itself.

        Raises:
            ModuleUnusable: if it cannot be used.
        """
        return measure_isolated(
            self.library, self.environment, self.init_reserved, PROVISIONING_SECONDS, namespaces=self.namespaces
        )

    def perform(self, binding: Binding, calls: Sequence[Call]) -> None:
        """Make calls in a process of their own.

        Raises:
            ModuleUnusable: if one of them does not succeed.
        """
        with Isolated(
            Kind.RAW,
            self.library,
            binding,
            self.environment,
            timeout=PROVISIONING_SECONDS,
            namespaces=self.namespaces,
        ) as module:
            for call in (binding.initialize, *calls):
                seen = module.call(call)
                if seen.text != _OK:
                    text = f"{self.library}: making a token: {call.function} gives {seen.text}"
                    raise ModuleUnusable(f"{text}; check how the module is set up")

    def others(self, binding: Binding, *, locks: bool = False) -> Mapping[str, Happen]:
        """What other applications do to the first token, each in a process of its own.

        With `locks` wrong PINs lock the user's, as many as most tokens count to.
        """
        mine = tuple(name for name in (Pin.USER, Pin.OTHER) if name.name in binding.pins)

        def changed(_label: bytes) -> bool:
            return any(
                self._done(binding, (_OPEN, _login(pin), Call("C_SetPIN", Args(pin=pin, new_pin=Pin.OTHER))))
                for pin in mine
            )

        def destroyed(label: bytes) -> bool:
            order = Destroy(self.library, binding, label)
            try:
                gone: bool = ask_once(
                    bool,
                    order,
                    self.environment,
                    PROVISIONING_SECONDS,
                    secrets=tuple(binding.pins.values()),
                    namespaces=self.namespaces,
                )
            except ModuleUnusable:
                return False
            return bool(label) and gone

        def locked(_label: bytes) -> bool:
            codes = self._codes(binding, (_OPEN, *(_login(Pin.WRONG),) * MOST_TRIES))
            return CKR.PIN_LOCKED in codes

        return {
            "user-pin-changed-by-another-application": changed,
            "object-destroyed-by-another-application": destroyed,
        } | ({"user-pin-locked": locked} if locks else {})

    def _done(self, binding: Binding, calls: Sequence[Call]) -> bool:
        """Whether calls succeed, in a process of their own."""
        return self._codes(binding, calls) == [CKR.OK] * len(calls)

    def _codes(self, binding: Binding, calls: Sequence[Call]) -> list[int]:
        """What calls return, in a process of their own."""
        with Isolated(
            Kind.RAW, self.library, binding, self.environment, timeout=PROVISIONING_SECONDS, namespaces=self.namespaces
        ) as module:
            _, *seen = module.call_all((binding.initialize, *calls))
            return [x.code for x in seen]

    def stops(self, stop: Callable[[], object], start: Callable[[], object] = keep) -> Mapping[str, Happen]:
        """That the device does not answer any more, and that it does again, with its daemons."""

        def stopped(_label: bytes) -> bool:
            stop()
            return True

        def started(_label: bytes) -> bool:
            revive(self.daemons)
            start()
            return True

        return {"device-stops": stopped, "device-starts-again": started}

    def module(self, binding: Binding, restore: Callable[[], None], events: Mapping[str, Happen] = NO_EVENTS) -> Module:
        """The module, ready; its provider gives it a name and says how it is discarded.

        Before its tokens are put back, daemons that ended are started again.
        """

        def restored() -> None:
            revive(self.daemons)
            restore()

        return Module(
            name=self.library,
            library=self.library,
            environment=self.environment,
            binding=binding,
            owned=True,
            restore=restored,
            discard=keep,
            namespaces=tuple(self.namespaces),
            events={**events, FORKS: _in_its_own_process},
        )


MOST_TRIES: Final = 16
"""Wrong PINs after which one counts as never locked."""

_OPEN: Final = Call("C_OpenSession")


def _login(pin: Pin) -> Call:
    return Call("C_Login", Args(pin=pin))


_OK: Final = str(CKR.OK)
