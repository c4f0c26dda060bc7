"""Object management functions (5.7), and what every function does that makes an object."""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from ...model.attributes import KEYS
from ...model.call import Args, Attribute, Buffer, Flaw, Many, Setting, Want
from ...model.state import Kind
from ...model.vocabulary import CKR
from ..application import Application
from ..base import Binding
from ..buffers import limited, watched
from ..cryptoki import UNAVAILABLE_INFORMATION, CData, ffi, new, octets
from ..lane import ANY_LENGTHS, LABEL, NULL, UNTOUCHED, VALUE_CAPACITY, Lane
from ..memory import CAPACITY, Blank, Room, block, word
from ..objects import Entry
from ..templates import (
    CKA,
    TRUE,
    UNKNOWN_TYPE,
    Template,
    Way,
    can_have,
    copy_template,
    flawed,
    read,
    settings,
    template,
    types,
    without_required,
)
from .concrete import (
    Arguments,
    Concrete,
    Outputs,
    anything,
    object_at,
    of_session,
    pointer,
    session,
)

_VALUES: Final[MutableMapping[CData, list[CData]]] = WeakKeyDictionary()
"""What the attributes of each living template point to: cffi frees what nobody holds."""


# Templates, and the objects that come of them.


def _attributes(given: Template, labels: Mapping[bytes, CData] = MappingProxyType({})) -> CData:
    """A template as C has it, with the new labels where their names stand. The values live as long as it does."""
    values = [labels[value] if value in labels else octets(value) for _, value in given]
    array = new("CK_ATTRIBUTE[]", [(name, v, len(v)) for (name, _), v in zip(given, values, strict=True)] or 1)
    _VALUES[array] = values
    return array


def can_be_made(_binding: Binding, a: Args) -> bool:
    """Whether the trait is one that the kind can have, and the flaw one that its template can have."""
    return can_have(a.kind, a.trait) and (a.flaw != Flaw.INCONSISTENT or a.kind in KEYS)


class New(NamedTuple):
    """An object that a call makes: its kind and its template. A copy is `like` its original."""

    kind: Kind
    template: Template
    like: Entry | None = None


def new_object(a: Args, way: Way, kind: Kind) -> New:
    """An object that a call makes, with the flaw of its template."""
    plain = template(way, kind, LABEL, token=a.token, private=a.private, trait=a.trait)
    return New(kind, without_required(plain, way) if a.flaw == Flaw.MISSING else flawed(plain, a.flaw, kind))


def _entry(app: Application, lane: Lane, a: Args, new: New) -> Entry:
    """What to remember of an object that was made in the call's session."""
    said, like = dict(reversed(new.template)), new.like
    token = said[CKA.TOKEN] == TRUE if CKA.TOKEN in said else like is not None and like.owner is None
    private = said[CKA.PRIVATE] == TRUE if CKA.PRIVATE in said else like is not None and like.private
    label = said.get(CKA.LABEL, like.labels[like.changed] if like else b"")
    label = lane.labels.of.get(label, label)
    return Entry(new.kind, app.handles.open.get(a.session), None if token else a.session, private, label)


def template_words(lane: Lane, a: Args, templates: Iterable[Template]) -> Arguments:
    """Templates and their lengths, the last one with the flaw NULL where the call has that."""
    words = [word for t in templates for word in (_attributes(t, lane.labels.values), len(t))]
    if a.flaw == Flaw.NULL:
        words[-2:] = NULL, 1
    return (*words,)


def objects_made(
    app: Application,
    lane: Lane,
    a: Args,
    wanted: tuple[New, ...],
    handles: CData,
    labels: tuple[bytes, ...] = (LABEL,),
) -> Outputs:
    """Note the objects that a call made, whose handles are there."""
    entries = [_entry(app, lane, a, new) for new in wanted]
    lane.labels.renew(labels)
    if a.null:
        return ()
    return (("handle", int(app.objects.made(*zip(handles[0 : len(entries)], entries, strict=True)))),)


def makes(
    given: Callable[[Application, Lane, Args], Arguments],
    wanted: Callable[[Application, Lane, Args], tuple[New, ...]],
    possible: Callable[[Binding, Args], bool] = anything,
    remembers: bool = False,
    labels: tuple[bytes, ...] = (LABEL,),
    between: tuple[CData, ...] = (),
) -> Concrete:
    """A function that makes the `wanted` objects: what it is `given` first, the templates, and where the handles go.

    `labels` names the new labels in the templates. The flaw NULL is that of the last template. What is `between` comes
    after the templates. The pointer to the first handle is the one that may be NULL.
    """

    def build(app: Application, lane: Lane, a: Args) -> Arguments:
        templates = [new.template for new in wanted(app, lane, a)]
        words = (*given(app, lane, a), *template_words(lane, a, templates), *between)
        return *words, pointer(a, lane.made), *(lane.made + i for i in range(1, len(templates)))

    def blank(_app: Application, lane: Lane, _a: Args) -> Blank:
        return word(lane.made) if len(labels) == 1 else block(lane.made, bytes(ffi.sizeof(lane.made)))

    def done(app: Application, lane: Lane, a: Args) -> Outputs:
        return objects_made(app, lane, a, wanted(app, lane, a), lane.made, labels)

    return Concrete(build, done, blank=blank, possible=possible, remembers=remembers)


# The functions.


def _handles(app: Application, _lane: Lane, a: Args) -> Arguments:
    return session(app, a), object_at(app, a.object)


def _created(_app: Application, _lane: Lane, a: Args) -> tuple[New, ...]:
    return (new_object(a, Way.CREATE, a.kind),)


def _copied(app: Application, _lane: Lane, a: Args) -> tuple[New, ...]:
    kind = app.objects.kind(a.object)
    plain = copy_template(a.attribute, a.setting, kind, LABEL, token=a.token, private=a.private)
    return (New(kind, flawed(plain, a.flaw, kind), app.objects.entry(a.object)),)


def _can_be_copied(binding: Binding, a: Args) -> bool:
    return a.flaw not in (Flaw.MISSING, Flaw.INCONSISTENT) and _can_be_set(binding, a)


def _can_be_set(_binding: Binding, a: Args) -> bool:
    """No label is too long or too short."""
    return a.attribute != Attribute.LABEL or a.setting == Setting.LEGAL


def _object_destroyed(app: Application, _lane: Lane, a: Args) -> Outputs:
    app.objects.destroyed(a.object)
    return ()


def _c_get_object_size(app: Application, lane: Lane, a: Args) -> Arguments:
    return *_handles(app, lane, a), pointer(a, lane.length)


def _c_set_attribute_value(app: Application, lane: Lane, a: Args) -> Arguments:
    old = app.objects.entry(a.object)
    given = settings(a.attribute, a.setting, app.objects.kind(a.object), old.label if old else b"")
    return *_handles(app, lane, a), pointer(a, _attributes(given)), len(given)


def _attribute_set(app: Application, _lane: Lane, a: Args) -> Outputs:
    if a.attribute in (Attribute.LABEL, Attribute.SEVERAL):
        app.objects.relabelled(a.object)
    return ()


# C_GetAttributeValue.


def _asked(app: Application, a: Args) -> tuple[int, ...]:
    return types(a.attribute, app.objects.kind(a.object))


def _c_get_attribute_value(app: Application, lane: Lane, a: Args) -> Arguments:
    return *_handles(app, lane, a), pointer(a, lane.asked.template), len(_asked(app, a))


def _attributes_asked(app: Application, lane: Lane, a: Args) -> Blank | None:
    if a.null:
        return None
    return lane.asked.blank(_asked(app, a), ANY_LENGTHS if a.buffer == Buffer.ENOUGH else None)


def _lengths_asked(app: Application, lane: Lane, a: Args, function: Callable[..., int]) -> Callable[..., int]:
    """The function, called with buffers that go by what it says when it is asked for lengths first."""
    if a.null or a.buffer not in _ROOM:
        return function
    room, asked, names = _ROOM[a.buffer], lane.asked, _asked(app, a)

    def ask_and_call(*words: CData) -> int:
        function(*words)
        lengths = [room(wanted.ulValueLen) for wanted in asked.template[0 : len(names)]]
        asked.blank(names, lengths).put()
        code = function(*words)
        asked.look(lengths)
        return code

    return ask_and_call


def _one_short(length: int) -> int:
    """A length one byte below the one that was told, as far as the area goes; one byte where none was."""
    return 1 if length in (0, UNAVAILABLE_INFORMATION) else min(length, VALUE_CAPACITY) - 1


def _as_told(length: int) -> int:
    """The length that was told, as far as the area goes; one byte where none was."""
    return 1 if length == UNAVAILABLE_INFORMATION else min(length, VALUE_CAPACITY)


_ROOM: Final = {Buffer.SHORT: _one_short, Buffer.EXACT: _as_told}
"""The room for a value, by the length that was told."""


def _value(wanted: CData) -> bytes | None:
    """The value that a module wrote for an attribute, None where it wrote none."""
    length = wanted.ulValueLen
    if not wanted.pValue or length > VALUE_CAPACITY:
        return None
    value = bytes(ffi.buffer(wanted.pValue, length))
    return None if value == UNTOUCHED[:length] else value


_MAY_GIVE: Final = frozenset({CKR.ATTRIBUTE_SENSITIVE, CKR.ATTRIBUTE_TYPE_INVALID, CKR.BUFFER_TOO_SMALL})
"""Codes of a call that failed for some attributes, and may have given the others."""


def _values_given(app: Application, lane: Lane, a: Args, code: int) -> Outputs:
    """Whether the attributes that the object may have were given although the call failed (5.7)."""
    if code not in _MAY_GIVE or a.null:
        return (("given", 0),)
    asked = lane.asked.template[0 : len(_asked(app, a))]
    readable = [wanted for wanted in asked if a.attribute != Attribute.SEVERAL or wanted.type != UNKNOWN_TYPE]
    return (("given", int(all(_value(wanted) is not None for wanted in readable))),)


def _attribute_value(app: Application, lane: Lane, a: Args) -> Outputs:
    old = app.objects.entry(a.object)
    if a.null or a.buffer not in _WHOLE or old is None:
        return ()
    value = read(a.attribute, _value(lane.asked.template[0]) or b"", old.label)
    return () if value is None else (("value", value),)


_WHOLE: Final = frozenset({Buffer.ENOUGH, Buffer.EXACT})
"""Buffers that hold a whole value."""


# C_FindObjects.


def _c_find_objects_init(app: Application, _lane: Lane, a: Args) -> Arguments:
    wanted = _WANTED.get(a.want)
    return session(app, a), *((NULL, 1) if wanted is None else (_attributes(wanted), len(wanted)))


_WANTED: Final[Mapping[Want, Template]] = {
    Want.ALL: (),
    Want.NOTHING: ((CKA.LABEL, b"p11conform-nothing"),),
    Want.UNKNOWN_TYPE: ((UNKNOWN_TYPE, TRUE),),
}
_AT_MOST: Final = {Many.PLENTY: CAPACITY[Room.NUMBERS], Many.ONE: 1, Many.ZERO: 0}


def _c_find_objects(app: Application, lane: Lane, a: Args) -> Arguments:
    return session(app, a), pointer(a, lane.numbers), _AT_MOST[a.many], lane.length


def _into_handles(_app: Application, lane: Lane, a: Args, function: Callable[..., int]) -> Callable[..., int]:
    if a.null:
        return function
    room = lane.rooms[Room.NUMBERS]
    return watched(function, room) if a.many == Many.PLENTY else limited(function, room, _AT_MOST[a.many])


def _none_found(_app: Application, lane: Lane, _a: Args) -> Blank:
    return word(lane.length)


def _label(lane: Lane, session: int, handle: int) -> bytes:
    """The label of an object, empty where it has none or does not tell; the query is the adapter's own."""
    lane.asked.label.put()
    code = lane.own_call("C_GetAttributeValue", session, handle, lane.asked.template, 1)
    return (_value(lane.asked.template[0]) or b"") if code == CKR.OK else b""


def _objects_found(app: Application, lane: Lane, a: Args) -> Outputs:
    """What a search gave. One that filled even the largest buffer may have more, and tells nothing for certain."""
    if a.null or a.many != Many.PLENTY:
        return () if a.null else (("count", lane.length[0]),)
    handles = lane.numbers_given()
    if len(handles) == CAPACITY[Room.NUMBERS]:
        return ()
    session = app.handles.session(a.session)
    labelled = [(handle, _label(lane, session, handle)) for handle in handles]
    found, strangers = app.objects.find(labelled, app.handles.open.get(a.session))
    return ("found", found), ("strangers", strangers)


CALLS: Final[Mapping[str, Concrete]] = {
    "C_CreateObject": makes(of_session, _created, possible=can_be_made),
    "C_CopyObject": makes(_handles, _copied, possible=_can_be_copied, remembers=True),
    "C_DestroyObject": Concrete(_handles, _object_destroyed),
    "C_GetObjectSize": Concrete(_c_get_object_size),
    "C_GetAttributeValue": Concrete(
        _c_get_attribute_value,
        _attribute_value,
        _values_given,
        blank=_attributes_asked,
        heeded=_MAY_GIVE,
        around=_lengths_asked,
        remembers=True,
    ),
    "C_SetAttributeValue": Concrete(_c_set_attribute_value, _attribute_set, possible=_can_be_set, remembers=True),
    "C_FindObjectsInit": Concrete(_c_find_objects_init),
    "C_FindObjects": Concrete(_c_find_objects, _objects_found, blank=_none_found, around=_into_handles),
}
