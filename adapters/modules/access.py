"""How a module is reached while it is made ready: what it says of itself, and calls that must succeed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...model.call import Call
from ...model.vocabulary import CKR
from ..base import Binding, ModuleUnusable
from ..isolated import Isolated, Kind, measure_isolated
from ..measure import Measured
from .daemon import Daemon, revive
from .module import PROVISIONING_SECONDS, Module


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

    def module(self, binding: Binding, restore: Callable[[], None]) -> Module:
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
        )


_OK: Final = str(CKR.OK)
