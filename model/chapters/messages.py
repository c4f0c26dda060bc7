"""Sections 5.9, 5.11, 5.14 and 5.16 of v3.0: messages, many of them by one mechanism and one key.

A message-based process is begun by an Init and ended by a Final. Between them messages are processed one by one, each
at once, or in parts: a Begin, then Next after Next, of which one says that it is the last. That is told here once for
the four kinds, each described by a `Messaging`; the conditions take it for granted that the session is open, but for
those of rows that are `unguarded`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache

from ..call import Args, Buffer, Data, Parameter
from ..mechanisms import MECHANISMS, NOUNS, PARAMETRIC, SYMMETRIC, Role, with_role
from ..rule import Change, Condition, Effect, Function, Output, Rule, Strength, at_least, named, never
from ..state import Kept, Login, Mech, Messages, Process, State, put_session
from ..vocabulary import CKR
from .common import NULL_POINTER, PIN_TO_BE_CHANGED, SESSION, USER_REQUIRED, arguments_bad, mechanism_rows
from .conditions import (
    callback_may_cancel,
    halves,
    key_of_another_token,
    large_enough,
    length_asked_first,
    object_reachable,
    one_of,
    pointer_null,
    session_valid,
    slot_of,
)
from .operations import (
    ARGUMENT_ERRORS,
    DISPLACING,
    DOUBTFUL,
    ERRORS,
    NO_SESSION_TO_CANCEL_IN,
    NOT_ACTIVE,
    NOTHING_TO_CANCEL,
    PLAIN_ERRORS,
    RESOURCE_EXCEEDED,
    SURRENDER,
    TELLS_LENGTH,
    UNFORESEEN,
    all_dropped,
    data_empty,
    data_null,
    data_rows,
    key_beside_nothing_rows,
    key_rows,
    process_active,
    something_active,
    unusual_rows,
    where_given,
    without_mechanism,
)


@dataclass(frozen=True, slots=True)
class Messaging:
    """A kind of message-based process.

    `verb` is in the names of its functions. `unfit` are the codes by which they refuse their input. `usage` is the
    attribute of the key that permits it, less the prefix. One that `seals` gives output for each part of a message, and
    `cancels` says that its Init ends it where it is given no mechanism. `private` says that it may want the user there,
    `rejects` that somebody may be asked before it goes on, and `scarce` that its functions list a code for want of
    resources.
    """

    kind: Messages
    section: str
    role: Role
    verb: str
    usage: str
    unfit: tuple[CKR, ...]
    seals: bool = False
    cancels: bool = False
    private: bool = False
    rejects: bool = False
    scarce: bool = False

    @property
    def noun(self) -> str:
        """Its name in conditions."""
        return NOUNS[self.role]

    @property
    def init(self) -> str:
        """The function that begins the process."""
        return f"C_Message{self.verb}Init"

    @property
    def final(self) -> str:
        """The function that ends the process."""
        return f"C_Message{self.verb}Final"

    @property
    def whole(self) -> str:
        """The function that processes a message at once."""
        return f"C_{self.verb}Message"

    @property
    def begin(self) -> str:
        """The function that begins a message in parts."""
        return f"{self.whole}Begin"

    @property
    def next(self) -> str:
        """The function that takes a part of a message."""
        return f"{self.whole}Next"

    @property
    def signs(self) -> bool:
        """Whether its output is a signature, which comes with the last part."""
        return self.kind == Messages.SIGN


_DATA_CODES = (CKR.DATA_INVALID, CKR.DATA_LEN_RANGE)
_CIPHER_CODES = (CKR.AEAD_DECRYPT_FAILED, CKR.ENCRYPTED_DATA_INVALID, CKR.ENCRYPTED_DATA_LEN_RANGE)
_VERDICTS = (CKR.SIGNATURE_INVALID, CKR.SIGNATURE_LEN_RANGE)

ENCRYPTING = Messaging(
    Messages.ENCRYPT,
    "5.9 of v3.0",
    Role.MESSAGE_ENCRYPT,
    "Encrypt",
    "ENCRYPT",
    _DATA_CODES,
    seals=True,
    cancels=True,
)
DECRYPTING = Messaging(
    Messages.DECRYPT,
    "5.11 of v3.0",
    Role.MESSAGE_DECRYPT,
    "Decrypt",
    "DECRYPT",
    _CIPHER_CODES,
    seals=True,
    private=True,
)
SIGNING = Messaging(
    Messages.SIGN,
    "5.14 of v3.0",
    Role.MESSAGE_SIGN,
    "Sign",
    "SIGN",
    _DATA_CODES,
    private=True,
    rejects=True,
    scarce=True,
)
VERIFYING = Messaging(
    Messages.VERIFY, "5.16 of v3.0", Role.MESSAGE_VERIFY, "Verify", "VERIFY", _DATA_CODES, scarce=True
)

MESSAGINGS = (ENCRYPTING, DECRYPTING, SIGNING, VERIFYING)


def process(s: State, a: Args) -> Process:
    """The message-based process of the call's session, which is open."""
    return s.sessions[a.session].operations.process


def with_process(s: State, a: Args, new: Process) -> State:
    """`s` with the message-based process of the call's session replaced."""
    session = s.sessions[a.session]
    return put_session(s, a.session, replace(session, operations=replace(session.operations, process=new)))


# Whether there is a process, and a message in parts.


@cache
def running(m: Messaging) -> Condition:
    """There is a process of the kind."""
    return named(f"process of {m.noun} active", lambda s, a: process(s, a).kind == m.kind)


@cache
def not_running(m: Messaging) -> Condition:
    """There is no process of the kind."""
    return named(f"no process of {m.noun}", lambda s, a: process(s, a).kind != m.kind)


def _not_running_row(m: Messaging, name: str) -> Rule:
    return Rule(
        NOT_ACTIVE,
        CKR.OPERATION_NOT_INITIALIZED,
        not_running(m),
        f"{m.section} {name}, on {m.init}",
        "The process that the call belongs to has to have been begun, and not to have ended since.",
    )


@cache
def in_parts(m: Messaging) -> Condition:
    """A message is under way in parts."""
    return named(
        f"{m.noun} in the middle of one", lambda s, a: process(s, a).kind == m.kind and bool(process(s, a).parted)
    )


@cache
def not_in_parts(m: Messaging) -> Condition:
    """No message is under way in parts."""
    inside = in_parts(m)
    return named(f"{m.noun} without a message begun", lambda s, a: not inside(s, a))


@cache
def working(m: Messaging) -> Condition:
    """Whether the session is open and there is a process of the kind: for what must answer without a session."""
    there = running(m)
    return named(f"process of {m.noun} in the session", lambda s, a: session_valid(s, a) and there(s, a))


# Beginning a process.


def other_process_active(m: Messaging) -> Condition:
    """A process of another kind: the model follows one at a time."""

    def holds(s: State, a: Args) -> bool:
        if not session_valid(s, a):
            return False
        kind = process(s, a).kind
        return kind != Messages.NONE and kind != m.kind

    return named(f"process of another kind than {m.noun}", holds)


def _activity_rows() -> Iterable[Rule]:
    for id, when, says in (
        (
            "operation-beside-process",
            something_active,
            "Whether an operation that is active keeps a message-based process from being begun is not said.",
        ),
        (
            "process-active",
            process_active,
            "A process is active until its Final; whether another one may be begun in its place is not said.",
        ),
    ):
        yield Rule(id, CKR.OPERATION_ACTIVE, when, "5.1.6 CKR_OPERATION_ACTIVE", says, Strength.MAY, "A-72")


def _no_mechanism_rows(m: Messaging) -> Iterable[Rule]:
    place = f"{m.section} {m.init}"
    if m.cancels:
        idle, busy = not_running(m), running(m)
        for code in NOTHING_TO_CANCEL:
            yield Rule(
                "nothing-to-cancel",
                code,
                without_mechanism(idle),
                f"{place}, on pMechanism",
                "No mechanism means to end the process; nothing is said of there being none.",
                Strength.UNSAID,
            )
        yield NO_SESSION_TO_CANCEL_IN
        yield Rule(
            "cancel-may-fail",
            CKR.OPERATION_CANCEL_FAILED,
            without_mechanism(busy),
            f"{place}, on pMechanism",
            "No mechanism means to end the process, which a token may be unable to do.",
            Strength.MAY,
        )
        return
    for code in (*NOTHING_TO_CANCEL, CKR.OPERATION_CANCEL_FAILED):
        yield Rule(
            "mechanism-null",
            code,
            pointer_null,
            place,
            "The other Inits say that no mechanism ends what is active; this one says nothing of it.",
            Strength.UNSAID,
            "A-76",
            unguarded=True,
        )


@cache
def begun(m: Messaging) -> Change:
    """A process of the kind begins, where there is a mechanism."""
    return named(
        f"process of {m.noun} begins",
        lambda s, a: s if a.null else with_process(s, a, Process(m.kind, False, a.mechanism, a.key)),
    )


@cache
def cancelled(m: Messaging) -> Change:
    """The process of the kind ends, where there is no mechanism."""
    there = working(m)
    return named(
        f"process of {m.noun} is cancelled",
        lambda s, a: with_process(s, a, Process()) if a.null and there(s, a) else s,
    )


def _displaced(s: State, a: Args) -> State:
    """The operations of the session end, the search and the process."""
    return all_dropped(s, a) if session_valid(s, a) and (something_active(s, a) or process_active(s, a)) else s


def _init(m: Messaging) -> Function:
    other = other_process_active(m)

    def not_followed(s: State, a: Args) -> bool:
        return key_of_another_token(s, a) or other(s, a)

    return Function(
        m.init,
        ("session", "mechanism", "key", "null"),
        (
            *SESSION,
            *_no_mechanism_rows(m),
            *where_given(mechanism_rows(m.role)),
            *key_rows(m),
            *key_beside_nothing_rows(m),
            *_activity_rows(),
            USER_REQUIRED,
            PIN_TO_BE_CHANGED,
            SURRENDER,
        ),
        effects=(
            Effect(
                "operation-displaced",
                _displaced,
                "5.1.6 CKR_OPERATION_ACTIVE",
                DISPLACING,
                certain=False,
                reading="A-72",
            ),
            Effect("process-begun", begun(m), f"{m.section} {m.init}, first sentence"),
            Effect(
                "process-cancelled",
                cancelled(m),
                f"{m.section} {m.init}, on pMechanism" if m.cancels else f"{m.section} {m.init}",
                certain=m.cancels,
                reading=None if m.cancels else "A-76",
            ),
        ),
        out_of_scope=not_followed,
        domains={"mechanism": (*with_role(m.role), Mech.SHA256, Mech.UNKNOWN)},
        given=session_valid,
    )


# What every function of a process may answer.


_KEY_LOST = (CKR.KEY_HANDLE_INVALID, CKR.OBJECT_HANDLE_INVALID, CKR.USER_NOT_LOGGED_IN, CKR.OPERATION_NOT_INITIALIZED)


@cache
def key_lost(m: Messaging) -> Condition:
    """The key of the process was destroyed or hidden meanwhile."""
    there = running(m)
    return named(
        f"key of {m.noun} lost",
        lambda s, a: there(s, a) and not object_reachable(s, a.session, process(s, a).key),
    )


@cache
def user_gone(m: Messaging) -> Condition:
    """The user is not logged in while there is a process."""
    there = running(m)
    return named(f"{m.noun} without the user", lambda s, a: there(s, a) and slot_of(s, a).login != Login.USER)


def _common_rows(m: Messaging, name: str) -> Iterator[Rule]:
    yield from SESSION
    for code in _KEY_LOST:
        yield Rule(
            "key-lost",
            code,
            key_lost(m),
            "5.7 C_DestroyObject",
            "Nothing is said of a process whose key is gone: it goes on, or fails for want of the key.",
            Strength.MAY,
            "A-20",
        )
    if m.private:
        yield Rule(
            "user-gone",
            CKR.USER_NOT_LOGGED_IN,
            user_gone(m),
            "5.1.6 CKR_USER_NOT_LOGGED_IN",
            "What is wanted needs a user who is not there any more; whether a process outlives a logout is open.",
            Strength.MAY,
            "A-33",
        )
    if m.scarce and (m.kind == Messages.SIGN or name != m.begin):
        yield replace(RESOURCE_EXCEEDED, when=running(m))
    yield from (USER_REQUIRED, PIN_TO_BE_CHANGED, SURRENDER)


# The parameter of a message, which is each message's own.


@cache
def parameter_wrong(m: Messaging) -> Condition:
    """A parameter of a length that the mechanism does not take."""
    there = running(m)
    return named(
        f"parameter wrong for {m.noun}",
        lambda s, a: there(s, a) and a.parameter != Parameter.RIGHT and one_of(process(s, a).mechanism, PARAMETRIC),
    )


@cache
def parameter_not_wanted(m: Messaging) -> Condition:
    """A parameter for a mechanism that takes none."""
    there = running(m)
    return named(
        f"parameter not wanted for {m.noun}",
        lambda s, a: there(s, a) and a.parameter != Parameter.RIGHT and not one_of(process(s, a).mechanism, PARAMETRIC),
    )


@cache
def parameter_perhaps_unsupported(m: Messaging) -> Condition:
    """A parameter that chooses what a token need not know, such as who makes the initialization vector."""
    there = running(m)
    return named(
        f"parameter of {m.noun} perhaps unsupported",
        lambda s, a: there(s, a) and one_of(process(s, a).mechanism, PARAMETRIC),
    )


def _parameter_rows(m: Messaging, name: str) -> Iterator[Rule]:
    """Rows about the parameter, of those mechanisms that messages of the kind go by."""
    place, own = f"{m.section} {name}, on pParameter", with_role(m.role)
    wanting, doing_without = [x for x in own if x.facts.parameter], [x for x in own if not x.facts.parameter]
    if wanting:
        yield Rule(
            "parameter-perhaps-unsupported",
            CKR.MECHANISM_PARAM_INVALID,
            parameter_perhaps_unsupported(m),
            place,
            "Which values of a parameter a token supports is for the token to say.",
            Strength.MAY,
            "A-26",
        )
    if name == m.next:
        return  # where the right one is given, as the message has it already
    for code in (CKR.MECHANISM_PARAM_INVALID, CKR.ARGUMENTS_BAD):
        if wanting:
            yield Rule(
                "parameter-wrong",
                code,
                parameter_wrong(m),
                place,
                "Parameters that the mechanism cannot have are wrong, and no less a bad argument.",
                Strength.INFERRED,
                "A-26",
            )
        if doing_without:
            yield Rule(
                "parameter-unwanted",
                code,
                parameter_not_wanted(m),
                place,
                "A mechanism that takes no parameter may be particular about being given one.",
                Strength.MAY,
                "A-26",
            )


# Input and output.


@cache
def short(m: Messaging) -> Condition:
    """The buffer is one byte shorter than a length query said."""
    there = running(m)
    return named(f"{m.noun} into a short buffer", lambda s, a: there(s, a) and a.buffer == Buffer.SHORT)


def _short_row(m: Messaging) -> Rule:
    return Rule(
        "buffer-short",
        CKR.BUFFER_TOO_SMALL,
        short(m),
        "5.2 second way to call",
        "A buffer below the need is too small; one byte below what a query told may still be enough.",
        Strength.MAY,
    )


@cache
def data_unusual(m: Messaging) -> Condition:
    """Data that is not plainly of a length that the mechanism takes."""
    there = running(m)
    return named(f"unusual data for {m.noun}", lambda s, a: there(s, a) and a.data != Data.FITTING)


def query_may_fail(s: State, a: Args) -> bool:
    """A buffer that goes by a length which cannot be told: the adapter's own query may fail, and end the message."""
    if not length_asked_first(a):
        return False
    return a.data != Data.FITTING or (session_valid(s, a) and callback_may_cancel(s, a))


# A message at once.


@cache
def whole_in_parts(m: Messaging) -> Condition:
    """A whole message is given in the middle of one that comes in parts."""
    inside, output = in_parts(m), m.kind != Messages.VERIFY
    return named(
        f"{m.noun} at once in the middle of one",
        lambda s, a: inside(s, a) and not (output and a.buffer == Buffer.NULL),
    )


@cache
def whole_asked_in_parts(m: Messaging) -> Condition:
    """The length of a whole message's output is asked for in the middle of another."""
    inside = in_parts(m)
    return named(
        f"length of {m.noun} at once asked in the middle of one",
        lambda s, a: inside(s, a) and a.buffer == Buffer.NULL,
    )


def _whole_in_parts_rows(m: Messaging) -> Iterator[Rule]:
    place = f"{m.section} {m.whole}, on the middle of a message"
    says = "A message at once is not for the middle of another one; by which code it fails is left open."
    codes = (CKR.OPERATION_ACTIVE, CKR.OPERATION_NOT_INITIALIZED)
    for code in codes:
        yield Rule("whole-in-parts", code, whole_in_parts(m), place, says, Strength.INFERRED, "A-73")
    for code in (CKR.ARGUMENTS_BAD, *m.unfit):
        yield Rule("whole-in-parts", code, whole_in_parts(m), place, says, Strength.UNSAID, "A-73")
    if m.kind != Messages.VERIFY:
        for code in codes:
            yield Rule(
                "whole-asked-in-parts",
                code,
                whole_asked_in_parts(m),
                place,
                "Nothing is said of asking for the length of a message in the middle of another one.",
                Strength.UNSAID,
                "A-73",
            )


def _matching(s: State, a: Args) -> bool:
    """What was kept of a message is of known data, and was made by the process's mechanism and a key that fits."""
    p, kept = process(s, a), s.message
    if p.parted or not (kept.valid and kept.mechanism == p.mechanism):
        return False
    return kept.key == p.key if one_of(p.mechanism, SYMMETRIC) else halves(s, p.key, kept.key)


_decrypting, _verifying = running(DECRYPTING), running(VERIFYING)


def _opened(s: State, a: Args) -> bool:
    """A message that was encrypted here is to be decrypted into a buffer, with its own parameter."""
    into = a.buffer != Buffer.NULL and a.parameter == Parameter.RIGHT
    return into and _decrypting(s, a) and _matching(s, a)


def message_tampered_with(s: State, a: Args) -> bool:
    return a.data == Data.TAMPERED and _opened(s, a)


def message_cut(s: State, a: Args) -> bool:
    return a.data == Data.CUT and _opened(s, a)


def message_doubtful(s: State, a: Args) -> bool:
    return _decrypting(s, a) and not (a.data == Data.KEPT and _matching(s, a))


def _opening_rows() -> Iterator[Rule]:
    place = f"{DECRYPTING.section} {DECRYPTING.whole}"
    yield Rule(
        "message-tampered-with",
        CKR.AEAD_DECRYPT_FAILED,
        message_tampered_with,
        f"{place}, on authenticity",
        "What authenticated encryption cannot verify makes the call fail with this code.",
    )
    for code in _CIPHER_CODES:
        yield Rule(
            "message-cut",
            code,
            message_cut,
            f"{place}, on authenticity and on inappropriate lengths",
            "A message of which a part is missing cannot be verified, and may be seen not to be whole by its length.",
            Strength.INFERRED,
        )
        yield Rule(
            "message-doubtful",
            code,
            message_doubtful,
            f"{place}, on authenticity and on inappropriate lengths",
            "What was not encrypted by this mechanism and key may be seen to be no such message.",
            Strength.MAY,
        )


def _signed(s: State, a: Args) -> bool:
    """A signature is given for the data that it was made of, with the right parameter."""
    right = a.data == Data.FITTING and a.parameter == Parameter.RIGHT
    return right and _verifying(s, a) and _matching(s, a)


def message_signature_tampered_with(s: State, a: Args) -> bool:
    return a.signature == Data.TAMPERED and _signed(s, a)


def message_signature_cut(s: State, a: Args) -> bool:
    return a.signature == Data.CUT and _signed(s, a)


def message_signature_doubtful(s: State, a: Args) -> bool:
    return _verifying(s, a) and not (a.signature == Data.KEPT and _signed(s, a))


def message_signature_null(s: State, a: Args) -> bool:
    return a.signature == Data.NULL


def message_signature_empty(s: State, a: Args) -> bool:
    return a.signature == Data.EMPTY


def _judging_rows() -> Iterator[Rule]:
    place = f"{VERIFYING.section} {VERIFYING.whole}, on successful calls"
    yield Rule(
        "signature-tampered-with",
        CKR.SIGNATURE_INVALID,
        message_signature_tampered_with,
        place,
        "A signature of the right length that does not belong to the data is invalid.",
    )
    yield Rule(
        "signature-cut",
        CKR.SIGNATURE_LEN_RANGE,
        message_signature_cut,
        place,
        "A signature can be seen to be invalid by its length alone, and has a code for that.",
        Strength.INFERRED,
    )
    for code in _VERDICTS:
        yield Rule(
            "signature-doubtful",
            code,
            message_signature_doubtful,
            place,
            "A signature that is not known to be valid may turn out to be invalid.",
            Strength.MAY,
        )
    yield from arguments_bad(
        "signature-null",
        message_signature_null,
        "5.1.6 CKR_ARGUMENTS_BAD",
        "An argument that is not fit for the call; where there is a signature of some length, NULL is not.",
        unguarded=True,
    )
    yield Rule(
        "signature-empty",
        CKR.ARGUMENTS_BAD,
        message_signature_empty,
        "5.1.6 CKR_ARGUMENTS_BAD",
        "A signature of length 0 is a wrong one, or an argument that is not fit; nothing is said of it.",
        Strength.UNSAID,
        "A-28",
        unguarded=True,
    )


def _rejected(m: Messaging) -> Iterator[Rule]:
    if m.rejects:
        yield Rule(
            "user-may-reject",
            CKR.FUNCTION_REJECTED,
            running(m),
            "5.1.6 CKR_FUNCTION_REJECTED",
            "A token may ask somebody before it signs, who may say no.",
            Strength.MAY,
        )


def keep_message(s: State, a: Args) -> State:
    """What becomes of a message is kept; of which data it was is known where that is the usual one."""
    if a.buffer == Buffer.NULL:
        return s
    p = process(s, a)
    known = a.data == Data.FITTING and a.parameter == Parameter.RIGHT and object_reachable(s, a.session, p.key)
    return replace(s, message=Kept(known and not p.parted, p.mechanism, p.key))


@cache
def _ended(m: Messaging) -> Change:
    """The process ends."""
    there = working(m)
    return named(f"process of {m.noun} ends", lambda s, a: with_process(s, a, Process()) if there(s, a) else s)


@cache
def _message_ended(m: Messaging) -> Change:
    """The message that came in parts ends; the process goes on."""
    there = working(m)

    def end(s: State, a: Args) -> State:
        if not there(s, a) or not process(s, a).parted:
            return s
        return with_process(s, a, replace(process(s, a), parted=False))

    return named(f"{m.noun} ends one in parts", end)


def _after_errors(m: Messaging, name: str, errors: frozenset[CKR]) -> tuple[Effect, ...]:
    """What an error may do that the text leaves open: end the message, or the process with it."""
    place = f"{m.section} {name}"
    return (
        Effect("message-perhaps-ended", _message_ended(m), place, errors, certain=False, reading="A-75"),
        Effect("process-perhaps-ended", _ended(m), place, ERRORS, certain=False, reading="A-75"),
    )


_LENGTHS = tuple((m, facts.signature) for m, facts in MECHANISMS.items() if facts.signature)
"""The length of a signature or MAC."""


def signature_length(s: State, a: Args) -> range | tuple[int, ...]:
    """The length of a message's signature as it was given, or as a query or CKR_BUFFER_TOO_SMALL told it."""
    p = process(s, a)
    if p.kind != Messages.SIGN or p.parted:
        return ()
    need = next((n for mech, n in _LENGTHS if mech == p.mechanism), 0)
    if not need:
        return ()
    return (need,) if large_enough(a) else at_least(need)


_PLAIN = (Data.FITTING, Data.ODD, Data.EMPTY, Data.NULL)
_SEALED = (Data.KEPT, Data.FITTING, Data.TAMPERED, Data.CUT, Data.EMPTY, Data.NULL)
_SIGNATURES = (Data.KEPT, Data.TAMPERED, Data.CUT, Data.EMPTY, Data.NULL)


def _whole(m: Messaging) -> Function:
    output = m.kind != Messages.VERIFY
    kept = Effect("output-kept", keep_message, f"{m.section} {m.whole}, on what it gives")
    return Function(
        m.whole,
        ("session", "parameter", "data", "buffer", "null") if output else ("session", "parameter", "data", "signature"),
        (
            *_common_rows(m, m.whole),
            _not_running_row(m, m.whole),
            *_whole_in_parts_rows(m),
            *_parameter_rows(m, m.whole),
            *data_rows(output=output),
            *((*NULL_POINTER, _short_row(m)) if output else ()),
            *(_opening_rows() if m.kind == Messages.DECRYPT else unusual_rows(data_unusual(m), m.unfit)),
            *(_judging_rows() if m.kind == Messages.VERIFY else ()),
            *_rejected(m),
        ),
        effects=(
            *((kept,) if m.kind in (Messages.ENCRYPT, Messages.SIGN) else ()),
            *_after_errors(m, m.whole, ERRORS),
        ),
        outputs=(Output("length", signature_length, "5.2 second way to call", TELLS_LENGTH),) if m.signs else (),
        out_of_scope=query_may_fail if output else never,
        domains={
            "data": _SEALED if m.kind == Messages.DECRYPT else _PLAIN,
            "parameter": (Parameter.RIGHT, Parameter.WRONG),
            **({} if output else {"signature": _SIGNATURES}),
        },
        given=session_valid,
    )


# A message in parts: its beginning.


@cache
def _message_begun(m: Messaging) -> Change:
    return named(f"{m.noun} begins one in parts", lambda s, a: with_process(s, a, replace(process(s, a), parted=True)))


def _begin(m: Messaging) -> Function:
    return Function(
        m.begin,
        ("session", "parameter"),
        (
            *_common_rows(m, m.begin),
            _not_running_row(m, m.begin),
            Rule(
                "message-under-way",
                CKR.OPERATION_ACTIVE,
                in_parts(m),
                "5.1.6 CKR_OPERATION_ACTIVE",
                "The message that is under way may keep another one from being begun.",
                Strength.MAY,
                "A-74",
            ),
            *_parameter_rows(m, m.begin),
            *(
                Rule(
                    "parts-unforeseen",
                    code,
                    running(m),
                    "3.5 of v3.0, CKF_MULTI_MESSAGE",
                    "A mechanism without the flag takes no message in parts; no code is given for trying.",
                    Strength.UNSAID,
                )
                for code in UNFORESEEN
                if code != CKR.OPERATION_ACTIVE
            ),
        ),
        effects=(
            Effect("message-begun", _message_begun(m), f"{m.section} {m.begin}, first sentence"),
            *_after_errors(m, m.begin, ERRORS),
        ),
        domains={"parameter": (Parameter.RIGHT, Parameter.WRONG)},
        given=session_valid,
    )


# A message in parts: its parts.


@cache
def last_part(m: Messaging) -> Condition:
    """The last part of a message is given."""
    inside = in_parts(m)
    return named(f"last part for {m.noun}", lambda s, a: inside(s, a) and a.last)


@cache
def part_null(m: Messaging) -> Condition:
    """Input data at the NULL pointer, where it is needed."""
    asks = m.seals or m.signs

    def holds(s: State, a: Args) -> bool:
        asked = asks and a.buffer == Buffer.NULL and (m.seals or a.last)
        return a.data == Data.NULL and not asked

    return named(f"part null for {m.noun}", holds)


def _ending_rows(m: Messaging) -> Iterator[Rule]:
    codes = {Messages.DECRYPT: _CIPHER_CODES, Messages.VERIFY: _VERDICTS}.get(m.kind, (CKR.DATA_LEN_RANGE,))
    for code in codes:
        yield Rule(
            "parts-may-not-do",
            code,
            last_part(m),
            f"{m.section} {m.next}, on the last part",
            "What came in parts is not tracked here, so that all of it together may turn out not to do.",
            Strength.MAY,
        )


@cache
def _message_done(m: Messaging) -> Change:
    """The last part ends the message, unless only the length of its output was asked for."""
    end, output = _message_ended(m), m.kind != Messages.VERIFY
    return named(
        f"{m.noun} takes a part",
        lambda s, a: end(s, a) if a.last and not (output and a.buffer == Buffer.NULL) else s,
    )


def keep_parts(s: State, a: Args) -> State:
    """What went in is not tracked, so that what came out is good for nothing."""
    return replace(s, message=Kept()) if a.last and a.buffer != Buffer.NULL else s


def _next(m: Messaging) -> Function:
    output = m.kind != Messages.VERIFY
    place = f"{m.section} {m.next}, on what terminates the message"
    slip = "A-78" if m.signs else None
    rows: tuple[Rule, ...] = (
        *_common_rows(m, m.next),
        Rule(
            NOT_ACTIVE,
            CKR.OPERATION_NOT_INITIALIZED,
            not_in_parts(m),
            f"{m.section} {m.next}, on {m.begin}",
            "The message that the part is of has to have been begun, and not to have ended since.",
        ),
        *_parameter_rows(m, m.next),
        *arguments_bad(
            "data-null",
            part_null(m),
            "5.1.6 CKR_ARGUMENTS_BAD",
            "An argument that is not fit for the call; where there is data of some length, NULL is not.",
            unguarded=True,
        ),
        *(
            Rule(
                "data-null-for-length" if when == data_null else "data-empty",
                CKR.ARGUMENTS_BAD,
                when,
                "5.1.6 CKR_ARGUMENTS_BAD",
                "Data of length 0, or none where a length is asked for, is data, or an argument that is not fit.",
                Strength.UNSAID,
                "A-28",
                unguarded=True,
            )
            for when in ((data_null, data_empty) if output else (data_empty,))
        ),
        *(NULL_POINTER if m.seals else ()),
        *((_short_row(m),) if output else ()),
        *unusual_rows(data_unusual(m), (CKR.DATA_LEN_RANGE,) if m.kind != Messages.DECRYPT else _CIPHER_CODES),
        *_ending_rows(m),
        *_rejected(m),
    )
    return Function(
        m.next,
        (
            "session",
            "data",
            *(("buffer",) if output else ("signature",)),
            "last",
            *(("null",) if m.seals else ()),
        ),
        rows if output else (*rows, *_last_signature_rows()),
        effects=(
            *((Effect("output-kept", keep_parts, f"{m.section} {m.next}, on what it gives"),) if output else ()),
            Effect("message-goes-on-or-ends", _message_done(m), place, reading=slip),
            Effect("message-ended-by-error", _message_ended(m), place, PLAIN_ERRORS),
            *_after_errors(m, m.next, DOUBTFUL | ARGUMENT_ERRORS),
        ),
        out_of_scope=query_may_fail if output else never,
        domains={
            "data": (Data.KEPT, *_PLAIN) if m.kind == Messages.DECRYPT else _PLAIN,
            **({} if output else {"signature": tuple(x for x in _SIGNATURES if x != Data.NULL)}),
        },
        given=session_valid,
    )


def last_signature_empty(s: State, a: Args) -> bool:
    return a.last and a.signature == Data.EMPTY


def _last_signature_rows() -> Iterator[Rule]:
    yield Rule(
        "signature-empty",
        CKR.ARGUMENTS_BAD,
        last_signature_empty,
        "5.1.6 CKR_ARGUMENTS_BAD",
        "A signature of length 0 is a wrong one, or an argument that is not fit; nothing is said of it.",
        Strength.UNSAID,
        "A-28",
        unguarded=True,
    )


# Ending a process.


def _final(m: Messaging) -> Function:
    return Function(
        m.final,
        ("session",),
        (
            *_common_rows(m, m.final),
            _not_running_row(m, m.final),
            Rule(
                "message-under-way",
                CKR.OPERATION_ACTIVE,
                in_parts(m),
                f"{m.section} {m.final}",
                "Nothing is said of a message that is still under way in parts.",
                Strength.UNSAID,
                "A-77",
            ),
            *_rejected(m),
        ),
        effects=(
            Effect("process-ended", _ended(m), f"{m.section} {m.final}, first sentence"),
            *_after_errors(m, m.final, ERRORS),
        ),
        given=session_valid,
    )


FUNCTIONS = tuple(make(m) for m in MESSAGINGS for make in (_init, _whole, _begin, _next, _final))
