"""Object management functions (5.7), and what every function does that makes an object."""

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakKeyDictionary

from ...model.attributes import KEYS
from ...model.call import Args, Attribute, Buffer, Flaw, Many, Setting, Want
from ...model.state import Kind
from ...model.vocabulary import CKR
from ..cryptoki import UNAVAILABLE_INFORMATION, CData, ffi, new, octets
from ..objects import CHANGED, Entry
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
    CAPACITY,
    NULL,
    Arguments,
    Blank,
    Concrete,
    Outputs,
    Room,
    anything,
    block,
    junk,
    object_at,
    of_session,
    pointer,
    session,
    word,
)

if TYPE_CHECKING:
    from ..raw import Raw

VALUE_CAPACITY: Final = 4096
"""Length of the buffer for an attribute's value, in bytes."""

MOST_ASKED: Final = 3
"""Attributes that one call asks for at most."""

_UNTOUCHED: Final = junk(VALUE_CAPACITY)
"""Fills the buffers of attribute values, so that it shows whether one was written."""

LABEL, OTHER_LABEL = b"label", b"other label"
"""In a template: the new label of the object that a call makes, and of the other one that it makes too."""

_VALUES: Final[MutableMapping[CData, list[CData]]] = WeakKeyDictionary()
"""What the attributes of each living template point to: cffi frees what nobody holds."""


# Templates, and the objects that come of them.


def _attributes(given: Template, labels: Mapping[bytes, CData] = MappingProxyType({})) -> CData:
    """A template as C has it, with the new labels where their names stand. The values live as long as it does."""
    values = [labels[value] if value in labels else octets(value) for _, value in given]
    array = new("CK_ATTRIBUTE[]", [(name, v, len(v)) for (name, _), v in zip(given, values, strict=True)] or 1)
    _VALUES[array] = values
    return array


def can_be_made(kind: Kind, a: Args) -> bool:
    """Whether the trait is one that the kind can have, and the flaw one that its template can have."""
    return can_have(kind, a.trait) and (a.flaw != Flaw.INCONSISTENT or kind in KEYS)


class New(NamedTuple):
    """An object that a call makes: its kind and its template. A copy is `like` its original."""

    kind: Kind
    template: Template
    like: Entry | None = None


def new_object(a: Args, way: Way, kind: Kind) -> New:
    """An object that a call makes, with the flaw of its template."""
    plain = template(way, kind, LABEL, token=a.token, private=a.private, trait=a.trait)
    return New(kind, without_required(plain, way) if a.flaw == Flaw.MISSING else flawed(plain, a.flaw, kind))


class Labels:
    """The new labels of the objects that calls make, where the templates of all calls point to.

    They stay until a call says that it made objects, which has to `renew` them, lest two have the same. What a call
    that failed has left on the token is a stranger under any label, since nobody counts on it. `of` is the label that
    each name stands for. `values` is what it is in C, for a name with CHANGED after it too.
    """

    def __init__(self, new_label: Callable[[], bytes]) -> None:
        self._new_label = new_label
        self.of = {name: new_label() for name in (LABEL, OTHER_LABEL)}
        changed = {name: octets(label + CHANGED) for name, label in self.of.items()}
        self._buffers = {name: ffi.buffer(changed[name], len(label)) for name, label in self.of.items()}
        plain = {name: ffi.from_buffer("CK_BYTE[]", buffer) for name, buffer in self._buffers.items()}
        self.values = {**plain, **{name + CHANGED: value for name, value in changed.items()}}

    def renew(self, names: Iterable[bytes] = (LABEL, OTHER_LABEL)) -> None:
        """Make others of them, which no object has."""
        for name in names:
            self.of[name] = self._buffers[name][:] = self._new_label()


def _entry(raw: "Raw", a: Args, new: New) -> Entry:
    """What to remember of an object that was made in the call's session."""
    said, like = dict(reversed(new.template)), new.like
    token = said[CKA.TOKEN] == TRUE if CKA.TOKEN in said else like is not None and like.owner is None
    private = said[CKA.PRIVATE] == TRUE if CKA.PRIVATE in said else like is not None and like.private
    label = said.get(CKA.LABEL, like.labels[like.changed] if like else b"")
    label = raw.labels.of.get(label, label)
    return Entry(new.kind, raw.handles.open.get(a.session), None if token else a.session, private, label)


def makes(
    given: "Callable[[Raw, Args], Arguments]",
    wanted: "Callable[[Raw, Args], tuple[New, ...]]",
    possible: Callable[[Args], bool] = anything,
    remembers: bool = False,
    labels: tuple[bytes, ...] = (LABEL,),
) -> Concrete:
    """A function that makes the `wanted` objects: what it is `given` first, the templates, and where the handles go.

    `labels` names the new labels in the templates. The flaw NULL is that of the last template. The pointer to the first
    handle is the one that may be NULL.
    """

    def build(raw: "Raw", a: Args) -> Arguments:
        templates = [new.template for new in wanted(raw, a)]
        words = [word for t in templates for word in (_attributes(t, raw.labels.values), len(t))]
        if a.flaw == Flaw.NULL:
            words[-2:] = NULL, 1
        return *given(raw, a), *words, pointer(a, raw.made), *(raw.made + i for i in range(1, len(templates)))

    def blank(raw: "Raw", _a: Args) -> Blank:
        return word(raw.made) if len(labels) == 1 else block(raw.made, bytes(ffi.sizeof(raw.made)))

    def done(raw: "Raw", a: Args) -> Outputs:
        entries = [_entry(raw, a, new) for new in wanted(raw, a)]
        raw.labels.renew(labels)
        if a.null:
            return ()
        return (("handle", int(raw.objects.made(*zip(raw.made[0 : len(entries)], entries, strict=True)))),)

    return Concrete(build, done, blank=blank, possible=possible, remembers=remembers)


# The functions.


def _handles(raw: "Raw", a: Args) -> Arguments:
    return session(raw, a), object_at(raw, a.object)


def _created(_raw: "Raw", a: Args) -> tuple[New, ...]:
    return (new_object(a, Way.CREATE, a.kind),)


def _copied(raw: "Raw", a: Args) -> tuple[New, ...]:
    kind = raw.objects.kind(a.object)
    plain = copy_template(a.attribute, a.setting, kind, LABEL, token=a.token, private=a.private)
    return (New(kind, flawed(plain, a.flaw, kind), raw.objects.entry(a.object)),)


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
    return *_handles(raw, a), pointer(a, _attributes(given)), len(given)


def _attribute_set(raw: "Raw", a: Args) -> Outputs:
    if a.attribute in (Attribute.LABEL, Attribute.SEVERAL):
        raw.objects.relabelled(a.object)
    return ()


# C_GetAttributeValue.


_WHOLE: Final = (VALUE_CAPACITY,) * MOST_ASKED
"""Room for values of any length."""


class Asked:
    """What C_GetAttributeValue fills: a template, and behind it the values, so that all is put back at one stroke."""

    def __init__(self) -> None:
        self._memory = new("CK_BYTE[]", _TEMPLATE_SIZE + MOST_ASKED * VALUE_CAPACITY)
        self._areas = [self._memory + _TEMPLATE_SIZE + i * VALUE_CAPACITY for i in range(MOST_ASKED)]
        self.template = ffi.cast("CK_ATTRIBUTE *", self._memory)
        self.label = self.blank((CKA.LABEL,), _WHOLE)

    def blank(self, names: Sequence[int], lengths: Sequence[int] | None) -> Blank:
        """A template with room for values of these lengths, or one that asks for the lengths only."""
        room = [(NULL, 0)] * MOST_ASKED if lengths is None else zip(self._areas, lengths, strict=False)
        template = new(_TEMPLATE, [(name, *value) for name, value in zip(names, room, strict=False)])
        content = bytes(ffi.buffer(template)) + (b"" if lengths is None else _UNTOUCHED * len(names))
        return block(self._memory, content)


_TEMPLATE: Final = f"CK_ATTRIBUTE[{MOST_ASKED}]"
_TEMPLATE_SIZE: Final = ffi.sizeof(_TEMPLATE)


def _asked(raw: "Raw", a: Args) -> tuple[int, ...]:
    return types(a.attribute, raw.objects.kind(a.object))


def _c_get_attribute_value(raw: "Raw", a: Args) -> Arguments:
    return *_handles(raw, a), pointer(a, raw.asked.template), len(_asked(raw, a))


def _attributes_asked(raw: "Raw", a: Args) -> Blank | None:
    if a.null:
        return None
    return raw.asked.blank(_asked(raw, a), _WHOLE if a.buffer == Buffer.ENOUGH else None)


def _lengths_asked(raw: "Raw", a: Args, function: Callable[..., int]) -> Callable[..., int]:
    """The function, called with buffers one byte shorter than what it says when it is asked for lengths first."""
    names, template = _asked(raw, a), raw.asked.template

    def ask_and_call(*words: CData) -> int:
        function(*words)
        lengths = [_one_short(wanted.ulValueLen) for wanted in template[0 : len(names)]]
        raw.asked.blank(names, lengths).put()
        return function(*words)

    return ask_and_call


def _one_short(length: int) -> int:
    """A length one byte below the one that was told, as far as the area goes; one byte where none was."""
    return 1 if length in (0, UNAVAILABLE_INFORMATION) else min(length, VALUE_CAPACITY) - 1


def _value(wanted: CData) -> bytes | None:
    """The value that a module wrote for an attribute, None where it wrote none."""
    length = wanted.ulValueLen
    if not wanted.pValue or length > VALUE_CAPACITY:
        return None
    value = bytes(ffi.buffer(wanted.pValue, length))
    return None if value == _UNTOUCHED[:length] else value


_MAY_GIVE: Final = frozenset({CKR.ATTRIBUTE_SENSITIVE, CKR.ATTRIBUTE_TYPE_INVALID, CKR.BUFFER_TOO_SMALL})
"""Codes of a call that failed for some attributes, and may have given the others."""


def _values_given(raw: "Raw", a: Args, code: int) -> Outputs:
    """Whether the attributes that the object may have were given although the call failed (5.7)."""
    if code not in _MAY_GIVE or a.null:
        return (("given", 0),)
    asked = raw.asked.template[0 : len(_asked(raw, a))]
    readable = [wanted for wanted in asked if a.attribute != Attribute.SEVERAL or wanted.type != UNKNOWN_TYPE]
    return (("given", int(all(_value(wanted) is not None for wanted in readable))),)


def _attribute_value(raw: "Raw", a: Args) -> Outputs:
    old = raw.objects.entry(a.object)
    if a.null or a.buffer != Buffer.ENOUGH or old is None:
        return ()
    value = read(a.attribute, _value(raw.asked.template[0]) or b"", old.label)
    return () if value is None else (("value", value),)


# C_FindObjects.


def _c_find_objects_init(raw: "Raw", a: Args) -> Arguments:
    wanted = _WANTED.get(a.want)
    return session(raw, a), *((NULL, 1) if wanted is None else (_attributes(wanted), len(wanted)))


_WANTED: Final[Mapping[Want, Template]] = {
    Want.ALL: (),
    Want.NOTHING: ((CKA.LABEL, b"p11conform-nothing"),),
    Want.UNKNOWN_TYPE: ((UNKNOWN_TYPE, TRUE),),
}
_AT_MOST: Final = {Many.PLENTY: CAPACITY[Room.NUMBERS], Many.ONE: 1, Many.ZERO: 0}


def _c_find_objects(raw: "Raw", a: Args) -> Arguments:
    return session(raw, a), pointer(a, raw.numbers), _AT_MOST[a.many], raw.length


def _none_found(raw: "Raw", _a: Args) -> Blank:
    return word(raw.length)


def _label(raw: "Raw", session: int, handle: int) -> bytes:
    """The label of an object, empty where it has none or does not tell; the query is the adapter's own."""
    raw.asked.label.put()
    code = raw.own_call("C_GetAttributeValue", session, handle, raw.asked.template, 1)
    return (_value(raw.asked.template[0]) or b"") if code == CKR.OK else b""


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
    "C_CreateObject": makes(of_session, _created, possible=lambda a: can_be_made(a.kind, a)),
    "C_CopyObject": makes(_handles, _copied, possible=_can_be_copied, remembers=True),
    "C_DestroyObject": Concrete(_handles, _object_destroyed),
    "C_GetObjectSize": Concrete(_c_get_object_size),
    "C_GetAttributeValue": Concrete(
        _c_get_attribute_value,
        _attribute_value,
        _values_given,
        blank=_attributes_asked,
        heeded=_MAY_GIVE,
        too_short=_lengths_asked,
        remembers=True,
    ),
    "C_SetAttributeValue": Concrete(_c_set_attribute_value, _attribute_set, possible=_can_be_set, remembers=True),
    "C_FindObjectsInit": Concrete(_c_find_objects_init),
    "C_FindObjects": Concrete(_c_find_objects, _objects_found, blank=_none_found),
    "C_FindObjectsFinal": Concrete(of_session),
}
