"""Object management functions (5.7), and what every function does that makes an object."""

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from ...model.attributes import KEYS
from ...model.call import Args, Attribute, Buffer, Flaw, Many, Setting, Want
from ...model.state import Kind
from ...model.vocabulary import CKR
from ..cryptoki import UNAVAILABLE_INFORMATION, CData, ffi, new, octets
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
from .concrete import CAPACITY, NULL, Arguments, Concrete, Outputs, Room, of_session, pointer

if TYPE_CHECKING:
    from ..raw import Raw

VALUE_CAPACITY: Final = 4096
"""Length of the buffer for an attribute's value, in bytes."""

MOST_ASKED: Final = 3
"""Attributes that one call asks for at most."""

_JUNK: Final = b"\xa5"
"""Fills the buffers of attribute values, so that it shows whether one was written."""

_VALUES: Final[MutableMapping[CData, list[CData]]] = WeakKeyDictionary()
"""What the attributes of each living template point to: cffi frees what nobody holds."""


# Templates, and the objects that come of them.


def attributes(given: Template) -> CData:
    """A template as C has it. The values live as long as it does."""
    values = [octets(value) for _, value in given]
    array = new("CK_ATTRIBUTE[]", [(name, v, len(v)) for (name, _), v in zip(given, values, strict=True)] or 1)
    _VALUES[array] = values
    return array


def template_arguments(given: Template, flaw: Flaw) -> Arguments:
    """A template and its count as a call takes them."""
    return (NULL, 1) if flaw == Flaw.NULL else (attributes(given), len(given))


def can_be_made(kind: Kind, a: Args) -> bool:
    """Whether the trait is one that the kind can have, and the flaw one that its template can have."""
    return can_have(kind, a.trait) and (a.flaw != Flaw.INCONSISTENT or kind in KEYS)


def new_template(raw: "Raw", a: Args, way: Way, kind: Kind) -> Template:
    """The template of an object that a call makes, with its flaw."""
    label = raw.objects.new_label()
    plain = template(way, kind, label, token=a.token, private=a.private, trait=a.trait)
    return without_required(plain, way) if a.flaw == Flaw.MISSING else flawed(plain, a.flaw, kind)


def entry(raw: "Raw", a: Args, kind: Kind, given: Template, like: Entry | None = None) -> Entry:
    """What to remember of an object that is about to be made in the call's session; a copy is `like` its original."""
    said = dict(reversed(given))
    token = said[CKA.TOKEN] == TRUE if CKA.TOKEN in said else like is not None and like.owner is None
    private = said[CKA.PRIVATE] == TRUE if CKA.PRIVATE in said else like is not None and like.private
    label = said.get(CKA.LABEL, like.labels[like.changed] if like else b"")
    return Entry(kind, raw.handles.open.get(a.session), None if token else a.session, private, label)


def expect(raw: "Raw", a: Args, *entries: Entry) -> tuple[CData, ...]:
    """Where the handles of the objects go that a call makes; the first of them is the one that may be NULL."""
    raw.expected = entries
    raw.made[0], raw.made[1] = 0, 0
    return pointer(a, raw.made), *(raw.made + i for i in range(1, len(entries)))


def object_made(raw: "Raw", a: Args) -> Outputs:
    """Note the objects that a call made."""
    if a.null:
        return ()
    handles = raw.made[0 : len(raw.expected)]
    return (("handle", int(raw.objects.made(*zip(handles, raw.expected, strict=True)))),)


# The functions.


def _handles(raw: "Raw", a: Args) -> Arguments:
    return raw.handles.session(a.session), raw.objects.handle(a.object)


def _c_create_object(raw: "Raw", a: Args) -> Arguments:
    given = new_template(raw, a, Way.CREATE, a.kind)
    out = expect(raw, a, entry(raw, a, a.kind, given))
    return raw.handles.session(a.session), *template_arguments(given, a.flaw), *out


def _c_copy_object(raw: "Raw", a: Args) -> Arguments:
    kind, label = raw.objects.kind(a.object), raw.objects.new_label()
    plain = copy_template(a.attribute, a.setting, kind, label, token=a.token, private=a.private)
    given = flawed(plain, a.flaw, kind)
    out = expect(raw, a, entry(raw, a, kind, given, raw.objects.entry(a.object)))
    return *_handles(raw, a), *template_arguments(given, a.flaw), *out


def _can_be_copied(a: Args) -> bool:
    return a.flaw not in (Flaw.MISSING, Flaw.INCONSISTENT) and _can_be_set(a)


def _can_be_set(a: Args) -> bool:
    """No label is too long or too short."""
    return a.attribute != Attribute.LABEL or a.setting == Setting.LEGAL


def _object_destroyed(raw: "Raw", a: Args) -> Outputs:
    raw.objects.destroyed(a.object)
    return ()


def _c_get_object_size(raw: "Raw", a: Args) -> Arguments:
    return *_handles(raw, a), pointer(a, raw.length)


def _c_set_attribute_value(raw: "Raw", a: Args) -> Arguments:
    old = raw.objects.entry(a.object)
    given = settings(a.attribute, a.setting, raw.objects.kind(a.object), old.label if old else b"")
    return *_handles(raw, a), pointer(a, attributes(given)), len(given)


def _attribute_set(raw: "Raw", a: Args) -> Outputs:
    if a.attribute in (Attribute.LABEL, Attribute.SEVERAL):
        raw.objects.relabelled(a.object)
    return ()


# C_GetAttributeValue.


def _asked(raw: "Raw", a: Args) -> tuple[int, ...]:
    return types(a.attribute, raw.objects.kind(a.object))


def _ask(names: tuple[int, ...]) -> CData:
    """A template that asks for lengths only."""
    return new("CK_ATTRIBUTE[]", [(name, NULL, 0) for name in names])


def _c_get_attribute_value(raw: "Raw", a: Args) -> Arguments:
    names = _asked(raw, a)
    raw.asked = _ask(names)
    if a.buffer == Buffer.SHORT:
        raw.own_call("C_GetAttributeValue", *_handles(raw, a), raw.asked, len(names))
    for wanted, area in zip(raw.asked, raw.areas, strict=False):
        if a.buffer == Buffer.SHORT:
            told = wanted.ulValueLen not in (0, UNAVAILABLE_INFORMATION)
            wanted.ulValueLen = min(wanted.ulValueLen, VALUE_CAPACITY) - 1 if told else 1
        elif a.buffer == Buffer.ENOUGH:
            wanted.ulValueLen = VALUE_CAPACITY
        if a.buffer != Buffer.NULL:
            ffi.buffer(area)[:] = _JUNK * VALUE_CAPACITY
            wanted.pValue = area
    return *_handles(raw, a), pointer(a, raw.asked), len(names)


def _value(wanted: CData) -> bytes | None:
    """The value that a module wrote for an attribute, None where it wrote none."""
    length = wanted.ulValueLen
    if not wanted.pValue or length > VALUE_CAPACITY:
        return None
    value = bytes(ffi.buffer(wanted.pValue, length))
    return None if value.strip(_JUNK) == b"" else value


def _values_given(raw: "Raw", a: Args, code: int) -> Outputs:
    """Whether the attributes that the object may have were given although the call failed (5.7)."""
    readable = [wanted for wanted in raw.asked if a.attribute != Attribute.SEVERAL or wanted.type != UNKNOWN_TYPE]
    given = code != CKR.OK and not a.null and all(_value(wanted) is not None for wanted in readable)
    return (("given", int(given)),)


def _attribute_value(raw: "Raw", a: Args) -> Outputs:
    old = raw.objects.entry(a.object)
    if a.null or a.buffer != Buffer.ENOUGH or old is None:
        return ()
    value = read(a.attribute, _value(raw.asked[0]) or b"", old.label)
    return () if value is None else (("value", value),)


# C_FindObjects.


def _c_find_objects_init(raw: "Raw", a: Args) -> Arguments:
    return raw.handles.session(a.session), *(
        (NULL, 1) if a.want == Want.NULL else (attributes(_WANTED[a.want]), len(_WANTED[a.want]))
    )


_WANTED: Final[Mapping[Want, Template]] = {
    Want.ALL: (),
    Want.NOTHING: ((CKA.LABEL, b"p11conform-nothing"),),
    Want.UNKNOWN_TYPE: ((UNKNOWN_TYPE, TRUE),),
}
_AT_MOST: Final = {Many.PLENTY: CAPACITY[Room.NUMBERS], Many.ONE: 1, Many.ZERO: 0}


def _c_find_objects(raw: "Raw", a: Args) -> Arguments:
    raw.length[0] = 0
    return raw.handles.session(a.session), pointer(a, raw.numbers), _AT_MOST[a.many], raw.length


def _label(raw: "Raw", session: int, handle: int) -> bytes:
    """The label of an object, empty where it has none or does not tell; the query is the adapter's own."""
    raw.asked = _ask((CKA.LABEL,))
    raw.asked[0].pValue, raw.asked[0].ulValueLen = raw.areas[0], VALUE_CAPACITY
    code = raw.own_call("C_GetAttributeValue", session, handle, raw.asked, 1)
    return (_value(raw.asked[0]) or b"") if code == CKR.OK else b""


def _objects_found(raw: "Raw", a: Args) -> Outputs:
    """What a search gave. One that filled even the largest buffer may have more, and tells nothing for certain."""
    if a.null or a.many != Many.PLENTY:
        return () if a.null else (("count", raw.length[0]),)
    handles = raw.numbers_given()
    if len(handles) == CAPACITY[Room.NUMBERS]:
        return ()
    session = raw.handles.session(a.session)
    found, strangers = raw.objects.find([(handle, _label(raw, session, handle)) for handle in handles])
    return ("found", found), ("strangers", strangers)


CALLS: Final[Mapping[str, Concrete]] = {
    "C_CreateObject": Concrete(_c_create_object, object_made, possible=lambda a: can_be_made(a.kind, a)),
    "C_CopyObject": Concrete(_c_copy_object, object_made, possible=_can_be_copied),
    "C_DestroyObject": Concrete(_handles, _object_destroyed),
    "C_GetObjectSize": Concrete(_c_get_object_size),
    "C_GetAttributeValue": Concrete(_c_get_attribute_value, _attribute_value, _values_given),
    "C_SetAttributeValue": Concrete(_c_set_attribute_value, _attribute_set, possible=_can_be_set),
    "C_FindObjectsInit": Concrete(_c_find_objects_init),
    "C_FindObjects": Concrete(_c_find_objects, _objects_found),
    "C_FindObjectsFinal": Concrete(of_session),
}
