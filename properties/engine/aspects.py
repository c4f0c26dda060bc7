"""What of a state is worth telling apart when it is asked what was tried where."""

from ...model.chapters.operations import ACTIVITIES
from ...model.state import Login, Messages, Phase, Pin, Search, State

_ACTIVE = tuple(k.field for k in ACTIVITIES)


def aspect(s: State) -> int:
    """What of a state is worth telling apart when it is asked what was tried where: one number for much the same.

    The library, the PINs, the kinds of open sessions and the logins, what is active and how far, and whether there
    are objects, private or public.
    """
    sessions = [x for x in s.sessions if x.open]
    kinds = {(x.rw, s.slots[x.slot].login) for x in sessions}
    processes = (x.operations.process for x in sessions)
    active = {(name, getattr(x.operations, name).phase) for x in sessions for name in _ACTIVE}
    return hash(
        (
            s.initialized,
            tuple(x.user_pin == Pin.NULL or x.login != Login.NOBODY for x in s.slots),
            tuple(sorted(kinds)),
            tuple((name in {n for n, phase in active if phase == far}) for name in _ACTIVE for far in _BEGUN),
            any(x.operations.search != Search.NONE for x in sessions),
            tuple(any(x.known and x.private == private for x in s.objects) for private in (False, True)),
            *sorted({(p.kind, p.parted) for p in processes if p.kind != Messages.NONE}),
        )
    )


_BEGUN = (Phase.READY, Phase.UPDATED, Phase.ASKED)
