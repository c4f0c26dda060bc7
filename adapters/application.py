"""What an application knows of a module that it calls, whatever calls it: there is no C in it."""

from collections.abc import Callable, Iterable
from typing import Final

from ..model.call import Args, code_text
from ..model.state import Pin
from ..model.vocabulary import CKR, CKU
from .base import Binding, StillInitialized
from .handles import Handles, Slots
from .kept import Kept
from .objects import Objects


class Application:
    """The handles, slots, objects and outputs that the calls so far have led to, by the names of the model.

    `watchers` are told when that may have changed which a call `remembers` (see `calls/`); with True, when slot IDs may
    have too.
    """

    def __init__(self, binding: Binding) -> None:
        self.binding = binding
        self.slots = Slots(binding)
        self.handles = Handles(binding.sessions)
        self.objects = Objects(binding.objects, self.changed)
        self.kept = Kept(self.changed)
        self.initialization = Initialization()
        self.watchers: list[Callable[[bool], None]] = []

    def changed(self, slots: bool = False) -> None:
        """Tell the watchers of a change."""
        for watcher in self.watchers:
            watcher(slots)

    def knows(self, args: Args, pins: Iterable[str] = ()) -> bool:
        """Whether the binding has what a call names: slots, sessions, objects, and the PINs in these arguments.

        The index past the last one is known too: it stands for what does not exist. Where the binding lacks the SO's
        PIN, which may be any or none, nobody can tell what a PIN given for it should come to.
        """
        return (
            args.slot <= len(self.binding.slots)
            and args.session <= self.binding.sessions
            and max(args.object, args.key, args.other_key) <= self.binding.objects
            and not (pins and args.user is CKU.SO and Pin.SO.name not in self.binding.pins)
            and all(pin is Pin.NULL or pin.name in self.binding.pins for pin in (getattr(args, name) for name in pins))
        )

    def ended(self) -> None:
        """Note that the library is finalised, or that the application goes on in a child that has yet to call it."""
        self.handles.closed_all()
        self.objects.finalized()

    def forget(self) -> None:
        """Note that the library is finalised, and that a new sequence begins."""
        self.handles.forget()
        self.objects.finalized()
        self.kept.forget()

    def restored(self) -> None:
        """Note that the tokens are back as they were bound."""
        self.objects.restored()
        if self.slots.restored():
            self.changed(slots=True)


MOST_FINALIZED: Final = 8
"""How often a library is finalised that does not say that it is not initialised."""


PROVEN: Final = 16
"""How often in a process the first C_Finalize must have been enough before no second one is made."""

NEVER: Final = -(2**62)


class Initialization:
    """Whether the library is initialised, as far as C_Initialize and C_Finalize tell (5.4).

    What they return is not enough: there are libraries that count the calls of C_Initialize, those that are initialised
    by one that fails, and those that are not any more after one. So every call of it counts until the library says that
    it is not initialised. Where it said so right after the first CKR_OK for PROVEN sequences of one C_Initialize, it is
    believed after that CKR_OK, as long as the next C_Initialize does not find it initialised: with some modules that
    call costs more than all others of a short sequence.
    """

    def __init__(self) -> None:
        self._starts = 0
        self._silent = False
        self._stayed = False
        self._proven = 0
        self._believed = False

    def initialize_returned(self, code: int) -> None:
        """Note what C_Initialize returned."""
        if code == CKR.CRYPTOKI_ALREADY_INITIALIZED and not self._starts:
            self._stayed |= self._silent
            if self._believed:
                self._proven = NEVER
        self._starts += 1

    def finalize_returned(self, code: int) -> None:
        """Note what C_Finalize returned in a sequence."""
        if code == CKR.CRYPTOKI_NOT_INITIALIZED:
            self._starts = 0

    def end(self, library: str, finalize: Callable[[], int]) -> None:
        """Call C_Finalize until the library says CKR_CRYPTOKI_NOT_INITIALIZED, if it may be initialised at all.

        There are libraries that never say so. One is taken for finalised after MOST_FINALIZED calls if no fewer
        returned CKR_OK than there were calls of C_Initialize, unless one so taken was found initialised before.

        Raises:
            StillInitialized: if the library may still be initialised.
        """
        if not self._starts:
            return
        self._believed = False
        ended = 0
        for _ in range(MOST_FINALIZED):
            code = finalize()
            if code == CKR.CRYPTOKI_NOT_INITIALIZED:
                if (self._starts, ended) == (1, 1):
                    self._proven += 1
                break
            ended += code == CKR.OK
            if self._starts == 1 and self._proven >= PROVEN and code == CKR.OK:
                self._believed = True
                break
        else:
            if self._stayed or ended < self._starts:
                text = f"C_Finalize gives {code_text(code)}, and the library may still be initialised"
                raise StillInitialized(f"{library}: {text}; it needs a new process")
            self._silent = True
        self._starts = 0
