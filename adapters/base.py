"""What every adapter offers: calls made concrete, observations made abstract, and the module back where it started."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Protocol, Self

from ..model.call import Args, Call, InitArgs, Observation
from ..model.vocabulary import CKF, CKU, Version


class ModuleUnusable(Exception):
    """The module or its token cannot be tested; the text is one line that says why and what to do."""


class StillInitialized(ModuleUnusable):
    """The library cannot be finalised in this process; in a new one the module may be as good as before."""


class Closes(Protocol):
    """Holds something that is to be given up."""

    def close(self) -> None:
        """Give it up."""


class Closing:
    """What closes at the end of a `with`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self: Closes, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


RISKS: Final = {
    CKU.SO: (CKF.SO_PIN_LOCKED, CKF.SO_PIN_FINAL_TRY, CKF.SO_PIN_COUNT_LOW),
    CKU.USER: (CKF.USER_PIN_LOCKED, CKF.USER_PIN_FINAL_TRY, CKF.USER_PIN_COUNT_LOW),
}
"""Token flags (3.2) with which the PIN of a user is not tried, the gravest first."""


def risk(flags: int, user: CKU) -> CKF | None:
    """The gravest of the flags of a token with which the PIN of a user is not tried, None if none is set."""
    return next((flag for flag in RISKS.get(user, ()) if flags & flag), None)


@dataclass(frozen=True, slots=True)
class Binding:
    """What the abstract names of a call stand for on a real module.

    `slots` gives the CK_SLOT_ID of each slot of the model, `labels` the label of the token in it where it has one.
    `pins` maps the names of `Pin` to their bytes, and is never shown. `init_reserved` is the string some modules want
    in CK_C_INITIALIZE_ARGS.pReserved. `sessions` and `objects` are the numbers of handles that the model tracks.
    `interface` is the version of the interface that the module is called through (v3.0), None for the list that
    C_GetFunctionList gives.
    """

    slots: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    pins: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    init_reserved: str | None = None
    sessions: int = 3
    objects: int = 5
    interface: Version | None = None

    @property
    def initialize(self) -> Call:
        """The C_Initialize that every module bound like this takes: one that needs a pReserved is given it."""
        return Call("C_Initialize", Args(init=InitArgs.NULL if self.init_reserved is None else InitArgs.OS_LOCKING))


class Caller(Protocol):
    """Whatever makes calls of the model."""

    def call(self, call: Call) -> Observation:
        """Make one call. A death or a hang of the module is an observation too, where it can be survived."""


class Adapter(Caller, Protocol):
    """A module under test, behind calls of the model.

    A sequence runs from `reset()` to the next `reset()`. At its start the library is not initialised and no handle is
    known.
    """

    def reset(self, restore_token: bool) -> bool | None:
        """Finalise the library and forget all handles; with `restore_token`, put the token's contents back too.

        False if they could not be.

        Raises:
            StillInitialized: if the library cannot be finalised.
            ModuleUnusable: if the module does not come back.
        """

    def ready(self, calls: Sequence[Call]) -> "Ready":
        """The calls of a list, which may grow, as quick as this adapter can make them."""

    def supports(self, call: Call) -> bool:
        """Whether this adapter can make the call at all."""

    def tries_left(self, user: CKU) -> bool:
        """Whether the first slot's token has none of the flags `RISKS` of a user; False where it does not tell."""

    def close(self) -> None:
        """Give the module up, and whatever was provisioned for it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Ready(Protocol):
    """The calls of a list, made ready to be made many times, and named by their place in the list.

    A call that is ready gives its answer as one number, which is quick to look up: the code that the module returned,
    where the observation is that code and nothing else, and else a negative number that stands for the observation.
    """

    made: dict[int, Callable[[], int]]
    """The calls that are ready now. It stays the same dictionary, which the adapter takes calls out of at any call."""

    def make(self, number: int) -> Callable[[], int]:
        """Make the call with this number ready, and note it in `made` if it can be made again as it stands.

        Raises:
            IndexError: if the list has no such call.
        """

    def observation(self, answer: int) -> Observation:
        """What an answer stands for.

        Raises:
            IndexError: if no call gave this answer.
        """


def run(adapter: Adapter, calls: Sequence[Call], restore_token: bool = True) -> tuple[Observation, ...]:
    """What a module answers to a whole sequence, from a fresh start."""
    adapter.reset(restore_token)
    return tuple(map(adapter.call, calls))
