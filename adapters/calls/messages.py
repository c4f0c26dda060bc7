"""Messages by one mechanism and one key: encrypted, decrypted, signed and verified (v3.0: 5.9, 5.11, 5.14, 5.16)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ...model.call import Args, Buffer, Parameter
from ...model.chapters.messages import MESSAGINGS, Messaging
from ...model.mechanisms import PARAMETRIC
from ...model.state import Mech, Messages
from ...model.vocabulary import CKF, CKR
from ..application import Application
from ..buffers import into
from ..cryptoki import ffi
from ..kept import MESSAGE
from ..lane import NULL, Lane
from ..memory import CAPACITY, Blank, Room, word
from ..parameters import JUNK, MESSAGE_MECHANISM
from ..values import Bytes, given, plain, sealed, signature
from .concrete import (
    Arguments,
    Concrete,
    Outputs,
    length,
    nothing_seen,
    object_at,
    output,
    pointer,
    session,
)

# Beginning a process.


def _init(m: Messaging) -> Concrete:
    def build(app: Application, _lane: Lane, a: Args) -> Arguments:
        return session(app, a), pointer(a, MESSAGE_MECHANISM[a.mechanism]), object_at(app, a.key)

    def begun(app: Application, _lane: Lane, a: Args) -> Outputs:
        if not a.null:
            app.kept.begin(a.session, m.role, a.mechanism, a.key)
        return ()

    return Concrete(build, begun)


# What a message is given.


def _mechanism(app: Application, a: Args, m: Messaging) -> Mech:
    return app.kept.mechanism(a.session, m.role)


def _parameter(app: Application, lane: Lane, a: Args, m: Messaging) -> Arguments:
    """The parameter of a message, with the place of its tag."""
    if a.parameter != Parameter.RIGHT:
        return JUNK, len(JUNK)
    if _mechanism(app, a, m) not in PARAMETRIC:
        return NULL, 0
    right = lane.opening if m.kind == Messages.DECRYPT else lane.sealing
    return right, ffi.sizeof("CK_GCM_MESSAGE_PARAMS")


def _associated(m: Messaging) -> Arguments:
    """Associated data, of which there is none, for those functions that take it."""
    return (NULL, 0) if m.seals else ()


def _data(app: Application, a: Args, m: Messaging) -> Bytes:
    mech = _mechanism(app, a, m)
    if m.kind == Messages.DECRYPT:
        return given(a.data, sealed(mech), app.kept.output[MESSAGE])
    return given(a.data, plain(mech))


def _signature(app: Application, a: Args, m: Messaging) -> Bytes:
    return given(a.signature, signature(_mechanism(app, a, m)), app.kept.output[MESSAGE])


# A message at once.


def _whole(m: Messaging) -> Concrete:
    def build(app: Application, lane: Lane, a: Args) -> Arguments:
        words = (session(app, a), *_parameter(app, lane, a, m), *_associated(m), *_data(app, a, m))
        return words if m.kind != Messages.VERIFY else (*words, *_signature(app, a, m))

    def done(app: Application, lane: Lane, a: Args) -> Outputs:
        made = output(lane, a)
        if made is not None and m.kind in (Messages.ENCRYPT, Messages.SIGN):
            ffi.memmove(lane.kept_tag, lane.tag, len(lane.tag))
            app.kept.keep(MESSAGE, made)
        return ()

    if m.kind == Messages.VERIFY:
        return Concrete(build, remembers=True)
    return Concrete(
        build,
        done,
        length if m.signs else nothing_seen,
        room=Room.BYTES,
        heeded={CKR.OK, CKR.BUFFER_TOO_SMALL},
        remembers=True,
    )


# A message in parts.


def _begin(m: Messaging) -> Concrete:
    def build(app: Application, lane: Lane, a: Args) -> Arguments:
        return session(app, a), *_parameter(app, lane, a, m), *_associated(m)

    return Concrete(build, remembers=True)


def _next(m: Messaging) -> Concrete:
    """A part: to a signature there is more while its length has no place, or it is not there itself."""

    def output_words(lane: Lane, a: Args) -> Arguments:
        if m.signs and not a.last:
            return NULL, NULL
        return NULL if a.buffer == Buffer.NULL else lane.bytes, pointer(a, lane.length)

    def build(app: Application, lane: Lane, a: Args) -> Arguments:
        words = (session(app, a), *_parameter(app, lane, a, m), *_data(app, a, m))
        if m.seals:
            return *words, *output_words(lane, a), CKF.END_OF_MESSAGE if a.last else 0
        if m.signs:
            return *words, *output_words(lane, a)
        return *words, *(_signature(app, a, m) if a.last else (NULL, 0))

    def blank(_app: Application, lane: Lane, _a: Args) -> Blank:
        return word(lane.length, CAPACITY[Room.BYTES])

    def around(_app: Application, lane: Lane, a: Args, function: Callable[..., int]) -> Callable[..., int]:
        return function if m.signs and not a.last else into(function, lane.rooms[Room.BYTES], a, int(m.seals))

    if m.kind == Messages.VERIFY:
        return Concrete(build, remembers=True)
    return Concrete(build, blank=blank, around=around, remembers=True)


def _calls() -> Iterator[tuple[str, Concrete]]:
    for m in MESSAGINGS:
        yield m.init, _init(m)
        yield m.whole, _whole(m)
        yield m.begin, _begin(m)
        yield m.next, _next(m)


CALLS: Final[Mapping[str, Concrete]] = dict(_calls())
