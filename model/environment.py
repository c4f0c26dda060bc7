"""What happens beside the calls of the application: events, without codes, with effects (5.1.2, 5.1.3, 5.5, 5.6).

A step of a trace is a call or an event, and an event is a row beside the functions: it takes place, whatever it
returns. `exposed` gives a function the rows for what an event leaves behind; the parts of the state that they look at
change only in a slot that is `Exposed`, so that all this costs nothing where no event can happen.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from .call import Args
from .chapters.conditions import session_valid, slot_known, slot_of
from .chapters.objects import destroy_object
from .chapters.sessions import close_all_sessions, close_session, forget_handles
from .interface import Signature
from .rule import Change, Condition, Effect, Function, Output, Rule, Strength, named
from .state import NO_TROUBLE, Exposed, Object, Pin, Slot, State, Trouble, map_objects, put_slot
from .table import TABLE
from .vocabulary import CKR, CKU, Version

_PART: Final = "environment"
"""In the place of a section, which an event does not have."""


@dataclass(frozen=True, slots=True)
class Event(Function):
    """Something that happens beside the calls. Its one answer is that it took place."""

    @property
    def signature(self) -> Signature:
        """A declaration that no header has."""
        return Signature(self.name, _PART, (), {version: frozenset({CKR.OK}) for version in Version})


# What a token goes through.


def _with(s: State, slot: int, **trouble: bool) -> State:
    old = s.slots[slot]
    return put_slot(s, slot, replace(old, trouble=replace(old.trouble, **trouble)))


def take_out(s: State, slot: int) -> State:
    """The token is gone, and its sessions with it; what it keeps it keeps."""
    s = close_all_sessions(s, Args(slot=slot))
    return put_slot(s, slot, replace(s.slots[slot], present=False, trouble=replace(NO_TROUBLE, gone=True)))


def _put_in(s: State, slot: int, new: Slot) -> State:
    """A token that is another one: what was kept of the last one is nowhere any more."""
    s = map_objects(s, lambda x: Object() if x.exists and x.slot == slot else x)
    return put_slot(s, slot, replace(new, present=True, write_protected=False, trouble=NO_TROUBLE))


def _blank(old: Slot, recognized: bool) -> Slot:
    return replace(
        old,
        recognized=recognized,
        initialized=False,
        so_pin=Pin.NULL,
        user_pin=Pin.NULL,
        so_failed=False,
        user_failed=False,
        so_pin_to_be_changed=False,
        user_pin_to_be_changed=False,
    )


def forget_what_is_gone(s: State, a: Args) -> State:
    """Whether handles on token objects outlive the removal of the token is as unsaid as that they outlive sessions."""
    return forget_handles(s, a) if any(x.trouble.gone for x in s.slots) else s


_FORGOTTEN = Effect("handles-forgotten", forget_what_is_gone, "3.4 CK_OBJECT_HANDLE", certain=False, reading="A-59")


# Events.

_Fn = TypeVar("_Fn", bound=Function)


def _event(
    name: str,
    change: Change,
    impossible: Condition,
    place: str,
    *uses: str,
    more: tuple[Effect, ...] = (),
    certain: bool = True,
) -> Event:
    """An event that befalls the first slot, or the first object; `change` and `impossible` are named after it."""
    words = name.replace("-", " ")
    return Event(
        name,
        uses or ("slot",),
        (),
        (Effect(name, named(words, change), place, certain=certain), *more),
        out_of_scope=named(f"{words} is impossible", lambda s, a: a.slot != 0 or impossible(s, a)),
        domains={"slot": (0,), "object": (0, 1)},
    )


def _without_token(s: State, a: Args) -> bool:
    return not s.slots[a.slot].present


def _with_token(s: State, a: Args) -> bool:
    return s.slots[a.slot].present


def _pending(name: str, *, needs_token: bool = True) -> Condition:
    return lambda s, a: getattr(s.slots[a.slot].trouble, name) or (needs_token and not s.slots[a.slot].present)


def _without_user_pin(s: State, a: Args) -> bool:
    slot = s.slots[a.slot]
    return not slot.present or not slot.initialized or slot.user_pin == Pin.NULL


_REMOVED, _DURING = "5.1.2 CKR_SESSION_HANDLE_INVALID", "5.1.2 CKR_DEVICE_REMOVED"
_STOPPED = "5.1.3 CKR_DEVICE_ERROR"


def forked(s: State, a: Args) -> bool:  # noqa: ARG001 (a condition)
    """The process is the child of an application, and has not called C_Initialize of its own."""
    return s.slots[0].trouble.forked


def _undefined_in_child(f: _Fn) -> _Fn:
    """What Cryptoki does in a child that did not initialise it is undefined (2.5.2 of the usage guide)."""
    words, out = f"{f.name} in a child", f.out_of_scope
    return replace(f, out_of_scope=named(words, lambda s, a: forked(s, a) or out(s, a)))


_CHILD: Final = "2.5.2 of the usage guide"

_FORKS: Final = Event(
    "application-forks",
    ("slot",),
    (),
    (
        *(replace(e, place=_CHILD, on=frozenset({CKR.OK})) for e in TABLE["C_Finalize"].effects),
        Effect("application-forks", named("application forks", lambda s, a: _with(s, a.slot, forked=True)), _CHILD),
    ),
    out_of_scope=named("application forks is impossible", lambda s, a: a.slot != 0 or not s.initialized),
    domains={"slot": (0,)},
)
"""The application goes on as the child of a fork, which has neither sessions nor logins; the parent calls no more."""

IN_CHILD: Final = (
    Rule(
        "application-forked",
        CKR.CRYPTOKI_ALREADY_INITIALIZED,
        forked,
        "5.1.6 CKR_CRYPTOKI_ALREADY_INITIALIZED",
        "By the letter the library was initialised before, by the parent.",
        Strength.UNSAID,
        "A-95",
        since=Version.V2_40,
        until=Version.V2_40,
    ),
    Rule(
        "application-forked",
        CKR.CRYPTOKI_ALREADY_INITIALIZED,
        forked,
        "3.6 table 9 CKF_INTERFACE_FORK_SAFE of v3.0",
        "An interface may say that the child goes on with what the parent had.",
        Strength.MAY,
        since=Version.V3_0,
    ),
)
"""Rows of C_Initialize."""


def child_initialized(s: State, a: Args) -> State:  # noqa: ARG001 (a change)
    """The child has initialised the library of its own."""
    return _with(s, 0, forked=False) if s.slots[0].trouble.forked else s


_CHILD_BEGINS: Final = Effect("child-initialized", child_initialized, _CHILD)

EVENTS: Final = {
    event.name: _undefined_in_child(event)
    for event in (
        _FORKS,
        _event("token-removed", lambda s, a: take_out(s, a.slot), _without_token, _REMOVED, more=(_FORGOTTEN,)),
        # A library that was not asked meanwhile may never know: whoever puts a token back has asked it before.
        _event(
            "token-inserted",
            lambda s, a: put_slot(s, a.slot, replace(s.slots[a.slot], present=True, trouble=NO_TROUBLE)),
            _with_token,
            "5.5 C_WaitForSlotEvent",
        ),
        _event(
            "blank-token-inserted",
            lambda s, a: _put_in(s, a.slot, _blank(s.slots[a.slot], recognized=True)),
            _with_token,
            "5.5 C_WaitForSlotEvent",
        ),
        _event(
            "unknown-token-inserted",
            lambda s, a: _put_in(s, a.slot, _blank(s.slots[a.slot], recognized=False)),
            _with_token,
            "5.1.6 CKR_TOKEN_NOT_RECOGNIZED",
        ),
        _event(
            "token-write-protected",
            lambda s, a: put_slot(s, a.slot, replace(s.slots[a.slot], write_protected=True)),
            lambda s, a: not s.slots[a.slot].present or s.slots[a.slot].write_protected,
            "3.2 table 6 CKF_WRITE_PROTECTED",
        ),
        _event(
            "token-writable-again",
            lambda s, a: put_slot(s, a.slot, replace(s.slots[a.slot], write_protected=False)),
            lambda s, a: not s.slots[a.slot].present or not s.slots[a.slot].write_protected,
            "3.2 table 6 CKF_WRITE_PROTECTED",
        ),
        _event(
            "token-removed-in-next-call",
            lambda s, a: _with(s, a.slot, leaving=True),
            _pending("leaving"),
            _DURING,
        ),
        _event(
            "device-fails-in-next-call",
            lambda s, a: _with(s, a.slot, failing=True),
            _pending("failing", needs_token=False),
            "5.1.3 CKR_DEVICE_ERROR",
        ),
        _event(
            "device-out-of-memory-in-next-call",
            lambda s, a: _with(s, a.slot, full=True),
            _pending("full"),
            "5.1.3 CKR_DEVICE_MEMORY",
        ),
        # A device that comes back may know nothing of what was open, or go on as if nothing had been.
        _event("device-stops", lambda s, a: _with(s, a.slot, stopped=True), _pending("stopped"), _STOPPED),
        _event(
            "device-starts-again",
            lambda s, a: _with(close_all_sessions(s, Args(slot=a.slot)), a.slot, stopped=False),
            lambda s, a: not s.slots[a.slot].trouble.stopped,
            _STOPPED,
            certain=False,
        ),
        _event(
            "session-closed-in-next-call",
            lambda s, a: _with(s, a.slot, closing=True),
            _pending("closing"),
            "5.1.2 CKR_SESSION_CLOSED",
        ),
        _event(
            "user-pin-locked",
            lambda s, a: _with(s, a.slot, user_locked=True),
            lambda s, a: _without_user_pin(s, a) or s.slots[a.slot].trouble.user_locked,
            "5.1.6 CKR_PIN_LOCKED",
        ),
        _event(
            "user-pin-changed-by-another-application",
            lambda s, a: put_slot(s, a.slot, replace(s.slots[a.slot], user_pin=Pin.OTHER)),
            lambda s, a: _without_user_pin(s, a) or s.slots[a.slot].user_pin == Pin.OTHER,
            "5.6 C_SetPIN",
        ),
        _event(
            "object-destroyed-by-another-application",
            lambda s, a: destroy_object(s, a),
            lambda s, a: a.object >= len(s.objects) or not s.objects[a.object].exists or not s.objects[a.object].token,
            "4.4 CKA_TOKEN",
            "object",
        ),
    )
}
"""All events, by name."""


def _noticed_by_now(event: Event) -> Event:
    """A token put in where the last one may be leaving: whoever puts it in has asked the library after the slot."""

    def left(s: State, a: Args) -> State:
        return take_out(s, a.slot) if s.slots[a.slot].trouble.leaving else s

    (put_in,) = event.effects
    forgotten = replace(_FORGOTTEN, change=named("handles forgotten meanwhile", forget_handles))
    return replace(
        event,
        effects=(Effect("token-left", named("token left meanwhile", left), _DURING), put_in, forgotten),
        out_of_scope=named(
            f"{put_in.name} is impossible",
            lambda s, a: (
                forked(s, a) or a.slot != 0 or (s.slots[a.slot].present and not s.slots[a.slot].trouble.leaving)
            ),
        ),
    )


UNNOTICED: Final = {
    **EVENTS,
    **{name: _noticed_by_now(event) for name, event in EVENTS.items() if name.endswith("inserted")},
    "token-removed": _undefined_in_child(
        _event(
            "token-removed",
            lambda s, a: _with(s, a.slot, leaving=True),
            lambda s, a: not s.slots[a.slot].present or s.slots[a.slot].trouble.leaving,
            _REMOVED,
        )
    ),
}
"""The same where a library need not notice what it does not ask for: a removal waits until a function tells of it."""

STEPS: Final = {**TABLE, **EVENTS}
"""All that a step of a trace may be."""


# What they leave to see.

_Holds = Callable[[Trouble], bool]


def _of_session(words: str, holds: _Holds) -> Condition:
    return named(words, lambda s, a: session_valid(s, a) and holds(slot_of(s, a).trouble))


def _of_slot(words: str, holds: _Holds) -> Condition:
    return named(words, lambda s, a: s.initialized and slot_known(s, a) and holds(s.slots[a.slot].trouble))


def _failing(x: Trouble) -> bool:
    return x.failing


def _full(x: Trouble) -> bool:
    return x.full


def _leaving(x: Trouble) -> bool:
    return x.leaving


def _closing(x: Trouble) -> bool:
    return x.closing


def _stopped(x: Trouble) -> bool:
    return x.stopped


_FIRM = (
    ("device-out-of-memory", CKR.DEVICE_MEMORY, _full, "The token has no memory for what is asked."),
    ("device-fails", CKR.DEVICE_ERROR, _failing, "Something went wrong with the token or the slot."),
    ("token-leaves", CKR.DEVICE_REMOVED, _leaving, "The token was removed while the function ran."),
)
"""Trouble in a call that uses the token: the situation, its code, and what the text says of that."""


def _firm(make: Callable[[str, _Holds], Condition]) -> Iterator[Rule]:
    for id, code, holds, says in _FIRM:
        words = id.replace("-", " ")
        yield Rule(id, code, make(words, holds), f"5.1.3 {code!s}", says, Strength.INFERRED, "A-91", unguarded=True)


_WHILE_STOPPED = (CKR.DEVICE_ERROR, CKR.DEVICE_MEMORY, CKR.DEVICE_REMOVED)
_STOPPED_SAYS = "The device does not answer, which the library may tell by any code for trouble with the device."


def _may_stop(make: Callable[[str, _Holds], Condition], stands_for: CKR) -> Iterator[Rule]:
    """Whether a function asks the device at all, and how it takes that there is no answer, is its own affair."""
    when = make("device stopped", _stopped)
    for code in (*_WHILE_STOPPED, stands_for):
        yield Rule("device-stopped", code, when, f"5.1.3 {code!s}", _STOPPED_SAYS, Strength.MAY, "A-92", unguarded=True)


def some_token_gone(s: State, a: Args) -> bool:
    """A token was removed, with which the session may have been whose handle is not valid."""
    return s.initialized and not session_valid(s, a) and any(x.trouble.gone for x in s.slots)


def token_gone(s: State, a: Args) -> bool:
    """There is no token in the slot, and there was one."""
    return s.initialized and slot_known(s, a) and s.slots[a.slot].trouble.gone


_ALIKE = "Whether a token was removed before a call or while it ran need not be told apart."

OF_SESSIONS = (
    *_firm(_of_session),
    *_may_stop(_of_session, CKR.SESSION_HANDLE_INVALID),
    Rule(
        "token-leaves",
        CKR.SESSION_HANDLE_INVALID,
        _of_session("token leaves", _leaving),
        "5.1.2, last paragraph",
        _ALIKE,
        Strength.MAY,
        "A-92",
    ),
    Rule("token-gone", CKR.DEVICE_REMOVED, some_token_gone, "5.1.2, last paragraph", _ALIKE, Strength.MAY, "A-92"),
    Rule(
        "session-closes",
        CKR.SESSION_CLOSED,
        _of_session("session closes", _closing),
        "5.1.2 CKR_SESSION_CLOSED",
        "The session was closed while the function ran, which no function need ever notice.",
        Strength.MAY,
        "A-93",
    ),
)
"""Rows of a function with a session handle."""

OF_SLOTS = (
    *_firm(_of_slot),
    *_may_stop(_of_slot, CKR.TOKEN_NOT_PRESENT),
    Rule(
        "token-leaves",
        CKR.TOKEN_NOT_PRESENT,
        _of_slot("token leaves", _leaving),
        "5.1.3, last paragraph",
        _ALIKE,
        Strength.MAY,
        "A-92",
    ),
    Rule("token-gone", CKR.DEVICE_REMOVED, token_gone, "5.1.3, last paragraph", _ALIKE, Strength.MAY, "A-92"),
)
"""Rows of a function that uses the token in a slot."""


def user_pin_locked(s: State, a: Args) -> bool:
    """The user is to be logged in by a PIN that is locked."""
    return session_valid(s, a) and a.user == CKU.USER and slot_of(s, a).trouble.user_locked


def pin_perhaps_locked(s: State, a: Args) -> bool:
    """The PIN to be changed is locked if it is the user's."""
    return session_valid(s, a) and slot_of(s, a).trouble.user_locked


LOCKED: Final = {
    "C_Login": Rule(
        "user-pin-locked",
        CKR.PIN_LOCKED,
        user_pin_locked,
        "5.1.6 CKR_PIN_LOCKED",
        "A PIN that is locked cannot be used.",
    ),
    "C_SetPIN": Rule(
        "user-pin-locked",
        CKR.PIN_LOCKED,
        pin_perhaps_locked,
        "5.1.6 CKR_PIN_LOCKED",
        "A PIN that is locked cannot be used, be it only to be changed.",
        Strength.MAY,
    ),
}
"""The row of each function that looks at whether the user's PIN is locked."""


def _unlock_of_session(s: State, a: Args) -> State:
    return _with(s, s.sessions[a.session].slot, user_locked=False) if slot_of(s, a).trouble.user_locked else s


def _unlock_of_slot(s: State, a: Args) -> State:
    return _with(s, a.slot, user_locked=False) if s.slots[a.slot].trouble.user_locked else s


def _unlocking(change: Change) -> Effect:
    """Depending on the token a PIN may stay locked, also when it is set anew."""
    return Effect("user-pin-unlocked", named("user pin unlocked", change), "5.1.6 CKR_PIN_LOCKED", certain=False)


_UNLOCKS: Final = {"C_InitPIN": _unlocking(_unlock_of_session), "C_InitToken": _unlocking(_unlock_of_slot)}


# What becomes of it once it was seen.


def _there(s: State, a: Args, *, session: bool) -> bool:
    return session_valid(s, a) if session else s.initialized and slot_known(s, a)


ASKED: Final = "if it asks the token"
"""The reading of A-91 by which a call may never meet the trouble that waits for it."""


def _seen(session: bool) -> tuple[Effect, ...]:
    """The effects of a function on the trouble that it met."""

    def slot(s: State, a: Args) -> int:
        return s.sessions[a.session].slot if session else a.slot

    def failed(s: State, a: Args) -> State:
        over = _there(s, a, session=session) and s.slots[slot(s, a)].trouble.failing
        return _with(s, slot(s, a), failing=False) if over else s

    def filled(s: State, a: Args) -> State:
        over = _there(s, a, session=session) and s.slots[slot(s, a)].trouble.full
        return _with(s, slot(s, a), full=False) if over else s

    def left(s: State, a: Args) -> State:
        leaves = _there(s, a, session=session) and s.slots[slot(s, a)].trouble.leaving
        return take_out(s, slot(s, a)) if leaves else s

    def closed(s: State, a: Args) -> State:
        if not session_valid(s, a) or not slot_of(s, a).trouble.closing:
            return s
        return _with(close_session(s, a), slot(s, a), closing=False)

    stands_for = CKR.SESSION_HANDLE_INVALID if session else CKR.TOKEN_NOT_PRESENT
    gone = frozenset({CKR.DEVICE_REMOVED, stands_for})
    effects = (
        Effect("failure-over", named("device works again", failed), "5.1.3", frozenset({CKR.DEVICE_ERROR})),
        Effect("memory-again", named("device has memory again", filled), "5.1.3", frozenset({CKR.DEVICE_MEMORY})),
        Effect("token-left", named("token left", left), _DURING, gone),
        replace(_FORGOTTEN, on=gone),
    )
    if not session:
        return effects
    return (*effects, Effect("closed-meanwhile", named("session closed meanwhile", closed), "5.1.2", frozenset(CKR)))


_SEEN: Final = {session: _seen(session) for session in (False, True)}


def _passed_over(e: Effect) -> Effect:
    """The same where the call returned another code: it may have met the trouble, and told nothing of it."""
    return replace(e, on=frozenset(CKR) - e.on, certain=False, reading="A-91")


_PASSED_OVER: Final = {
    session: tuple(_passed_over(e) for e in effects if e.certain and e.on != frozenset(CKR))
    for session, effects in _SEEN.items()
}


def _told(output: Output) -> Output:
    """An output where nobody knows what the library still sees: it may be anything."""

    def permitted(s: State, a: Args) -> Sequence[int]:
        return () if any(x.trouble.leaving or x.trouble.stopped for x in s.slots) else output.permitted(s, a)

    return replace(output, permitted=permitted)


_SEEM_GONE: Final = {"object": CKR.OBJECT_HANDLE_INVALID, "key": CKR.KEY_HANDLE_INVALID}


def _seeming_gone(f: Function) -> Iterator[Rule]:
    """What a device does not give any more may seem to be no object."""
    when = _of_session("device stopped", _stopped)
    for code in {code for name, code in _SEEM_GONE.items() if name in f.uses}:
        yield Rule("device-stopped", code, when, f"5.1.6 {code!s}", _STOPPED_SAYS, Strength.MAY, "A-92", unguarded=True)


_WANTS_LIBRARY: Final = "not-initialized"
"""The id of the row of every function that the library has to be initialised for."""


def exposed(f: Function, *, asked: bool = False) -> Function:
    """A function of the table where events can happen; with `asked`, under that reading of A-91."""
    if f.name == "C_Initialize":
        f = replace(f, rules=(*f.rules, *IN_CHILD), effects=(*f.effects, _CHILD_BEGINS))
    elif any(r.id == _WANTS_LIBRARY for r in f.rules):
        f = _undefined_in_child(f)
    session = f.signature.takes_session
    if not session and not f.signature.uses_token:
        return replace(f, outputs=tuple(map(_told, f.outputs)))
    locked, more = LOCKED.get(f.name), _PASSED_OVER[session] if asked else ()
    unlocks = (_UNLOCKS[f.name],) if f.name in _UNLOCKS else ()
    rules = (
        *f.rules,
        *(OF_SESSIONS if session else OF_SLOTS),
        *(() if locked is None else (locked,)),
        *_seeming_gone(f),
    )
    return replace(
        f, rules=rules, outputs=tuple(map(_told, f.outputs)), effects=(*f.effects, *unlocks, *_SEEN[session], *more)
    )


def expose(s: State) -> State:
    """A state in which events can befall the first slot."""
    facts = {name: getattr(s.slots[0], name) for name in Slot.__dataclass_fields__}
    return put_slot(s, 0, Exposed(**facts))
