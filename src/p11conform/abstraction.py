"""What a recorded call says, in the model's words: for each argument the values that it may have.

What a log does not tell, and what the model has no word for, makes a set larger, never wrong.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from .adapters.logs.step import Entry, Step
from .model.attributes import ATTRIBUTES, KINDS, Class
from .model.call import Attribute, Buffer, Data, Flaw, InitArgs, Many, Parameter, Want
from .model.chapters.operations import ACTIVITIES
from .model.interface import SIGNATURES
from .model.interface import Parameter as Declared
from .model.mechanisms import MECHANISMS, Mech, Role
from .model.state import Kind, Object, Pin, Trait
from .model.vocabulary import CKF, CKU
from .properties.engine.partial import (
    EITHER,
    FALSE,
    FIRST_OBJECT,
    FOREIGN,
    GONE,
    MINE,
    NOWHERE,
    OTHER,
    TRUE,
    UNTOLD,
    Part,
    Values,
    one,
    part,
    paths,
    told,
)

ULONG_BYTES: Final = 8
CKA_CLASS, CKA_TOKEN, CKA_PRIVATE, CKA_VALUE, CKA_KEY_TYPE = 0x000, 0x001, 0x002, 0x011, 0x100
CKA_PRIVATE_EXPONENT, CKA_SENSITIVE, CKA_EXTRACTABLE = 0x123, 0x103, 0x162
_MODIFIABLE, _COPYABLE, _DESTROYABLE = 0x170, 0x171, 0x172

Template = Sequence[Entry]


class Thing:
    """An object as a log shows it: whether it may be there, and what is known of its attributes.

    `flags` holds attributes that are a CK_BBOOL. `owner` is the session that made it, None where that is not known.
    """

    __slots__ = ("cls", "exists", "flags", "key_type", "known", "owner")

    def __init__(self, exists: Values = EITHER, known: Values = EITHER) -> None:
        self.exists, self.known = exists, known
        self.flags: dict[int, bool] = {}
        self.cls: int | None = None
        self.key_type: int | None = None
        self.owner: int | None = None

    def learn(self, template: Template) -> None:
        """Take down the values that a template tells."""
        for entry in template:
            value, type = entry.value, entry.type
            if type == CKA_CLASS:
                self.cls = self.cls if integer(value) is None else value
            elif type == CKA_KEY_TYPE:
                self.key_type = self.key_type if integer(value) is None else value
            elif isinstance(value, bool):
                self.flags[type] = value
            else:
                self.flags.pop(type, None)

    def forget(self, template: Template) -> None:
        """Take back what is known of the attributes that a template names."""
        for entry in template:
            self.flags.pop(entry.type, None)

    def forget_all(self) -> None:
        """Nothing is known of it any more but that it was there."""
        self.exists |= FALSE
        self.flags = {k: v for k, v in self.flags.items() if k in (CKA_TOKEN, CKA_PRIVATE)}

    @property
    def kind(self) -> Values:
        """Of which kind it may be."""
        if self.cls is None:
            return UNTOLD
        return _kind(self.cls, self.key_type)

    def part(self, traits: Values, mine: int | None) -> Part:
        """As the model sees it; `traits` are those of which it may have one, `mine` the session of the call."""
        if self.exists == FALSE:
            return GONE
        owner = one(0, 1) if self.owner is None else one(1 if self.owner == mine else 0)
        return _object_part(
            self.exists,
            self.known,
            self.kind,
            told(self.flags.get(CKA_TOKEN)),
            owner,
            told(self.flags.get(CKA_PRIVATE)),
            traits,
        )


@cache
def _object_part(
    exists: Values, known: Values, kind: Values, token: Values, owner: Values, private: Values, trait: Values
) -> Part:
    given = {
        "exists": exists,
        "known": known,
        "kind": kind,
        "slot": one(0),
        "token": token,
        "owner": owner,
        "private": private,
        "trait": trait,
        "labelled": EITHER,
        "origin": UNTOLD,
    }
    return part(tuple(given[path] for path in paths(Object)))


_KIND: Final = {(k.cls.value, k.key_type): k.kind for k in KINDS.values()}
_KEY_CLASSES: Final = frozenset({Class.PUBLIC_KEY.value, Class.PRIVATE_KEY.value, Class.SECRET_KEY.value})


@cache
def _kind(cls: int, key_type: int | None) -> Values:
    if cls not in _KEY_CLASSES:
        key_type = None
    elif key_type is None:
        return UNTOLD
    found = _KIND.get((cls, key_type))
    return FOREIGN if found is None else one(found)


# Traits: the one attribute of an object that a function asks about.


_USAGE: Final = {
    Role.ENCRYPT: 0x104,
    Role.DECRYPT: 0x105,
    Role.WRAP: 0x106,
    Role.UNWRAP: 0x107,
    Role.SIGN: 0x108,
    Role.SIGN_RECOVER: 0x109,
    Role.VERIFY: 0x10A,
    Role.VERIFY_RECOVER: 0x10B,
    Role.DERIVE: 0x10C,
}
"""The CKA_ number of the attribute that lets a key serve."""


@dataclass(frozen=True, slots=True)
class _Aspect:
    """The attribute of an object that decides, and the trait that it has where that is FALSE."""

    attribute: int
    trait: Trait


def _usage(role: Role) -> tuple[_Aspect, ...]:
    return (_Aspect(_USAGE[role], Trait.NO_USAGE),)


_ASPECTS: Final[Mapping[str, tuple[_Aspect, ...]]] = {
    **{k.init: _usage(k.role) for k in ACTIVITIES if k.keyed},
    "C_WrapKey": (*_usage(Role.WRAP), _Aspect(CKA_EXTRACTABLE, Trait.UNEXTRACTABLE)),
    "C_UnwrapKey": _usage(Role.UNWRAP),
    "C_DeriveKey": _usage(Role.DERIVE),
    "C_CopyObject": (_Aspect(_COPYABLE, Trait.UNCOPYABLE),),
    "C_DestroyObject": (_Aspect(_DESTROYABLE, Trait.UNDESTROYABLE),),
    "C_SetAttributeValue": (_Aspect(_MODIFIABLE, Trait.UNMODIFIABLE),),
}
"""For each function what it asks of the objects that it is given, in the order of its handles."""


def traits(function: str, n: int, thing: Thing) -> Values:
    """Which trait the object behind the n-th handle of a call may have, as far as the function asks."""
    aspects = _ASPECTS.get(function, ())
    if n >= len(aspects):
        return UNTOLD
    value = thing.flags.get(aspects[n].attribute)
    if value is None:
        return one(Trait.PLAIN, aspects[n].trait)
    return one(Trait.PLAIN if value else aspects[n].trait)


def traits_for_reading(type: int, thing: Thing) -> Values:
    """Which trait an object may have, as far as it decides on whether an attribute may be read, and as what."""
    sensitive, extractable = thing.flags.get(CKA_SENSITIVE), thing.flags.get(CKA_EXTRACTABLE)
    if type == CKA_SENSITIVE:
        return one(Trait.PLAIN, Trait.SENSITIVE) if sensitive is None else one(int(sensitive) * Trait.SENSITIVE)
    if type == CKA_EXTRACTABLE:
        found = one(Trait.PLAIN, Trait.UNEXTRACTABLE)
        return found if extractable is None else one(Trait.PLAIN if extractable else Trait.UNEXTRACTABLE)
    if sensitive or extractable is False:
        return one(Trait.SENSITIVE)
    if sensitive is False and extractable:
        return one(Trait.PLAIN)
    return one(Trait.PLAIN, Trait.SENSITIVE)


# Attributes.


_BOOLEAN: Final = frozenset(x.number for x in ATTRIBUTES.values() if x.boolean and x.number is not None)
_LATER: Final = frozenset({Attribute.UNIQUE_ID})
"""Attributes that came with a version that a module need not have, whatever version it is judged by."""

_NUMBERED: Final = {
    x.number: x.attribute for x in ATTRIBUTES.values() if x.number is not None and x.attribute not in _LATER
}
_VALUE_IS_CKA_VALUE: Final = frozenset(
    {Kind.DATA, Kind.CERTIFICATE, Kind.EC_PRIVATE, *(k.kind for k in KINDS.values() if k.cls is Class.SECRET_KEY)}
)
VALUES_OF: Final = {CKA_CLASS, *_BOOLEAN}
"""Attributes whose value is an output that can be judged."""


def attribute(type: int, kind: Values) -> Values:
    """An attribute in the model's words: which one, of an object of a kind."""
    if type in (CKA_VALUE, CKA_PRIVATE_EXPONENT):
        holding = _VALUE_IS_CKA_VALUE if type == CKA_VALUE else frozenset({Kind.RSA_PRIVATE})
        return one(Attribute.VALUE) if any(kind == one(k) for k in holding) else FOREIGN
    found = _NUMBERED.get(type)
    return FOREIGN if found is None else one(found)


def room(entry: Entry) -> Values:
    """How much room there is for the value of an attribute."""
    if entry.null is None:
        return one(Buffer.NULL, Buffer.ENOUGH, Buffer.SHORT)
    if entry.null:
        return one(Buffer.NULL)
    need = 1 if entry.type in _BOOLEAN else ULONG_BYTES if entry.type == CKA_CLASS else None
    if need is not None and entry.length is not None and entry.length >= need:
        return one(Buffer.ENOUGH)
    return one(Buffer.ENOUGH, Buffer.SHORT)


# The parameters of functions, by what they are for.


@dataclass(frozen=True, slots=True)
class Shape:
    """The parameters of a function by what they are for, each by its name.

    `data` are the inputs, each a pointer and its length; `buffer` an output and its length. `handles` are those of
    objects, in the order in which the model numbers them. `pointers` are those that must not be NULL, PINs, templates,
    data and buffers apart.
    """

    session: str | None = None
    slot: str | None = None
    data: tuple[tuple[str, str], ...] = ()
    buffer: tuple[str, str] | None = None
    handles: tuple[str, ...] = ()
    templates: tuple[tuple[str, str], ...] = ()
    mechanism: str | None = None
    pins: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    """Where handles of new objects are told."""
    info: str | None = None
    """The type of the record that is given out, less `CK_` and `_PTR`."""


_LISTS: Final = frozenset({"CK_SLOT_ID_PTR", "CK_MECHANISM_TYPE_PTR", "CK_BYTE_PTR"})


@cache
def shape(function: str) -> Shape:
    """The shape of a function, from its declaration."""
    signature = SIGNATURES.get(function)
    return _shape(signature.parameters) if signature is not None else Shape()


def _shape(declared: Sequence[Declared]) -> Shape:
    found: dict[str, Any] = {}
    lists: dict[str, Any] = {name: [] for name in ("data", "handles", "templates", "pins", "pointers", "gives")}
    following = [*declared[1:], Declared("", "")]
    for p, after in zip(declared, following, strict=True):
        if p.type == "CK_SESSION_HANDLE":
            found["session"] = p.name
        elif p.type == "CK_SLOT_ID":
            found["slot"] = p.name
        elif p.type == "CK_OBJECT_HANDLE":
            lists["handles"].append(p.name)
        elif p.type == "CK_ATTRIBUTE_PTR":
            lists["templates"].append((p.name, after.name))
        elif p.type == "CK_UTF8CHAR_PTR" and after.type == "CK_ULONG":
            lists["pins"].append(p.name)
        elif p.type == "CK_BYTE_PTR" and after.type == "CK_ULONG":
            lists["data"].append((p.name, after.name))
        elif p.type in _LISTS and after.type == "CK_ULONG_PTR":
            found["buffer"] = (p.name, after.name)
        elif p.type == "CK_MECHANISM_PTR":
            found["mechanism"] = p.name
            lists["pointers"].append(p.name)
        elif p.type.endswith("_PTR") and p.type != "CK_VOID_PTR":
            lists["pointers"].append(p.name)
            if p.type.endswith("INFO_PTR"):
                found["info"] = p.type.removeprefix("CK_").removesuffix("_PTR")
            if p.type == "CK_OBJECT_HANDLE_PTR":
                lists["gives"].append(p.name)
    found.update({name: tuple(values) for name, values in lists.items()})
    return Shape(**found)


def integer(value: Any) -> int | None:
    """A number, where it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(slots=True)
class Given:
    """What a call was given, beside the record of it: the indices of what its handles stand for.

    `kind` is that of the object whose attribute is read. `reading` is the one attribute that this is about.
    """

    step: Step
    shape: Shape
    session: Values = field(default=one(MINE))
    slot: Values = field(default=one(0))
    handles: tuple[Values, ...] = ()
    reading: Entry | None = None
    kind: Values = UNTOLD
    copied: Thing | None = None

    def value(self, name: str) -> Any:
        """An argument that is a number; None where it is not told."""
        return integer(self.step.arguments.get(name))

    def null(self, name: str) -> bool | None:
        """Whether a pointer is NULL."""
        if name not in self.step.arguments:
            return None
        return self.step.arguments[name] is None

    def template(self, n: int = 0) -> Template | None:
        """A template; None where it is not told, or NULL."""
        if n >= len(self.shape.templates):
            return None
        return entries(self.step.arguments.get(self.shape.templates[n][0]))


def entries(given: Any) -> Template | None:
    """A template, where it is one that is told."""
    return given if isinstance(given, list) and all(isinstance(x, Entry) for x in given) else None


def _handle(n: int) -> Callable[[Given], Values]:
    return lambda g: g.handles[n] if n < len(g.handles) else one(NOWHERE)


def _flag(name: str, bit: int) -> Callable[[Given], Values]:
    def read(g: Given) -> Values:
        flags = g.value(name)
        return EITHER if flags is None else told(bool(flags & bit))

    return read


def _user(g: Given) -> Values:
    user = g.value("userType")
    if user is None:
        return one(*CKU)
    return one(user if user in (CKU.SO, CKU.USER, CKU.CONTEXT_SPECIFIC) else CKU.INVALID)


_GUESSED: Final = one(Pin.SO, Pin.USER, Pin.WRONG, Pin.SHORT, Pin.LONG)
_CHOSEN: Final = one(Pin.OTHER, Pin.SHORT, Pin.LONG)


def _pin(known: Values, *names: str) -> Callable[[Given], Values]:
    """A PIN, which logs do not tell."""

    def read(g: Given) -> Values:
        name = next((x for x in g.shape.pins if x in names), None)
        null = None if name is None else g.null(name)
        if null is None:
            return known | one(Pin.NULL)
        return one(Pin.NULL) if null else known

    return read


def mechanism_of(g: Given) -> Values:
    """The mechanism of a call in the model's words."""
    number = g.value("type")
    if g.shape.mechanism is not None:
        given = g.step.arguments.get(g.shape.mechanism)
        number = integer(given.get("mechanism")) if isinstance(given, Mapping) else None
        if given is None and g.shape.mechanism in g.step.arguments:
            return one(Mech.UNKNOWN)
    return UNTOLD if number is None else mechanism(number)


_MECHANISM: Final = {facts.number: mech for mech, facts in MECHANISMS.items()}


def mechanism(number: int) -> Values:
    """A mechanism in the model's words."""
    found = _MECHANISM.get(number)
    return FOREIGN if found is None else one(found)


def _null(g: Given) -> Values:
    """Whether a pointer that is needed is NULL."""
    told_so = [g.null(name) for name in g.shape.pointers]
    if g.shape.buffer is not None:
        told_so.append(g.null(g.shape.buffer[1]))
    if g.shape.handles and not g.shape.gives:
        # Where nothing is made of it, a template is a pointer like others.
        told_so += [g.null(name) for name, _ in g.shape.templates]
    if True in told_so:
        return TRUE
    return EITHER if None in told_so else FALSE


def _buffer(g: Given) -> Values:
    """An output buffer: what is told of the pointer, and whether the room that there was did."""
    if g.reading is not None:
        return room(g.reading)
    if g.shape.buffer is None:
        return one(*Buffer)
    null = g.null(g.shape.buffer[0])
    if null:
        return one(Buffer.NULL)
    enough = g.step.returned == 0
    wide = one(Buffer.ENOUGH) if enough else one(Buffer.ENOUGH, Buffer.SHORT)
    return wide if null is False else wide | one(Buffer.NULL)


def _input(pair: tuple[str, str], g: Given) -> Values:
    null, length = g.null(pair[0]), g.value(pair[1])
    if null is None and length is None:
        return one(Data.FITTING, Data.ODD, Data.EMPTY, Data.NULL, OTHER)
    if length == 0:
        return one(Data.EMPTY)
    if null:
        return one(Data.NULL, Data.EMPTY) if length is None else one(Data.NULL)
    # A length that is no multiple of 8 suits no mechanism that wants blocks.
    odd = length is not None and length % 8
    found = one(Data.ODD) if odd else one(OTHER)
    if length is None:
        found |= one(Data.ODD, Data.EMPTY)
    return found | (one(Data.NULL) if null is None else 0)


def _data(g: Given) -> Values:
    return _input(g.shape.data[0], g) if g.shape.data else one(OTHER)


def _signature(g: Given) -> Values:
    found = _input(g.shape.data[-1], g) if g.shape.data else one(OTHER)
    return found & ~one(Data.ODD, Data.FITTING) | (one(OTHER) if found & one(Data.ODD, Data.FITTING) else 0)


def _flaw(g: Given) -> Values:
    """Whether a template is there at all: what may be wrong with one is not looked into."""
    found = [_flaw_of(g, n) for n in range(len(g.shape.templates))]
    joined = 0
    for values in found:
        joined |= values
    return joined or one(OTHER)


def _flaw_of(g: Given, n: int) -> Values:
    name, count = g.shape.templates[n]
    given, number = g.step.arguments.get(name), g.value(count)
    if name in g.step.arguments and given is None:
        return one(Flaw.EMPTY) if number == 0 else one(Flaw.NULL) if number else one(Flaw.NULL, Flaw.EMPTY)
    if isinstance(given, list):
        return one(OTHER) if given else one(Flaw.EMPTY)
    if number == 0:
        return one(Flaw.EMPTY)
    return one(OTHER, Flaw.NULL) if number else one(OTHER, Flaw.NULL, Flaw.EMPTY)


def _fact(type: int, absent: bool | None) -> Callable[[Given], Values]:
    """A CK_BBOOL of the template of what is made; for a pair that of the private half."""

    def read(g: Given) -> Values:
        found = [g.template(n) for n in range(len(g.shape.templates))]
        if not found or found[-1] is None:
            return EITHER
        default = absent if g.copied is None else g.copied.flags.get(type)
        values = [told(flag_in(t, type, default)) for t in found if t is not None]
        if type == CKA_TOKEN:
            # Either half of a pair may be for the token.
            return TRUE if TRUE in values else EITHER if None in found or EITHER in values else FALSE
        return values[-1]

    return read


def flag_in(template: Template, type: int, absent: bool | None) -> bool | None:
    """A CK_BBOOL as a template has it; None where that is not told."""
    for entry in template:
        if entry.type == type:
            return entry.value if isinstance(entry.value, bool) else None
    return absent


def _kind_given(g: Given) -> Values:
    made = Thing()
    template = g.template()
    if template is None:
        return UNTOLD
    made.learn(template)
    return made.kind


def _attribute(g: Given) -> Values:
    if g.reading is not None:
        return attribute(g.reading.type, g.kind)
    template = g.template()
    if g.copied is not None and (template is None or not template):
        return one(Attribute.LABEL)
    return FOREIGN


def _want(g: Given) -> Values:
    found = _flaw(g)
    if found == one(Flaw.EMPTY):
        return one(Want.NOTHING)
    return one(Want.NOTHING, Want.UNKNOWN_TYPE) | (one(Want.NULL) if found & one(Flaw.NULL) else 0)


def _many(g: Given) -> Values:
    wanted = g.value("ulMaxObjectCount")
    if wanted is None:
        return one(Many.ONE, Many.ZERO)
    return one(Many.ONE if wanted else Many.ZERO)


def _init(g: Given) -> Values:
    given = g.step.arguments.get("pInitArgs", ...)
    if given is None:
        return one(InitArgs.NULL)
    if not isinstance(given, Mapping):
        return one(*InitArgs)
    if given.get("pReserved", ...) not in (None, ...):
        # A library may want it.
        return one(*InitArgs)
    mutexes = [given[name] is not None for name in _MUTEXES if name in given]
    flags = given.get("flags")
    if len(mutexes) < len(_MUTEXES) or not isinstance(flags, int):
        return one(*InitArgs) & ~one(InitArgs.NULL)
    if any(mutexes):
        return one(InitArgs.CALLBACKS, InitArgs.CALLBACKS_OR_OS) if all(mutexes) else one(InitArgs.PARTIAL)
    if flags & CKF.LIBRARY_CANT_CREATE_OS_THREADS:
        return one(InitArgs.NO_THREADS)
    return one(InitArgs.OS_LOCKING if flags & CKF.OS_LOCKING_OK else InitArgs.PLAIN)


_MUTEXES: Final = ("CreateMutex", "DestroyMutex", "LockMutex", "UnlockMutex")


def _notify(g: Given) -> Values:
    return FALSE if g.null("Notify") else EITHER


def _reserved(g: Given) -> Values:
    null = g.null("pReserved")
    return EITHER if null is None else told(not null)


def _token_present(g: Given) -> Values:
    value = g.step.arguments.get("tokenPresent")
    return told(bool(value)) if isinstance(value, int) else EITHER


_READ: Final[Mapping[str, Callable[[Given], Values]]] = {
    "session": lambda g: g.session,
    "slot": lambda g: g.slot,
    "init": _init,
    "user": _user,
    "pin": _pin(_GUESSED, "pPin", "pOldPin"),
    "new_pin": _pin(_CHOSEN, "pPin", "pNewPin"),
    "rw": _flag("flags", CKF.RW_SESSION),
    "serial": _flag("flags", CKF.SERIAL_SESSION),
    "notify": _notify,
    "token_present": _token_present,
    "mechanism": mechanism_of,
    "parameter": lambda _: one(Parameter.RIGHT, Parameter.WRONG),
    "buffer": _buffer,
    "object": _handle(0),
    "key": _handle(0),
    "other_key": _handle(1),
    "kind": _kind_given,
    "token": _fact(CKA_TOKEN, False),
    "private": _fact(CKA_PRIVATE, None),
    "trait": lambda _: one(Trait.PLAIN),
    "flaw": _flaw,
    "attribute": _attribute,
    "setting": lambda _: UNTOLD,
    "want": _want,
    "many": _many,
    "data": _data,
    "signature": _signature,
    "null": _null,
    "reserved": _reserved,
}
"""How each argument of the model is read; of one that is not here nothing is known."""


def arguments(uses: Sequence[str], given: Given) -> Part:
    """The arguments of a call, in the order of the function's `uses`."""
    return part(tuple([_READ.get(name, _untold)(given) for name in uses]))


def _untold(_: Given) -> Values:
    return UNTOLD


def handle_index(n: int) -> Values:
    """Where the object behind the n-th handle of a call is."""
    return one(FIRST_OBJECT + n)


def new_handles(step: Step) -> Iterator[tuple[int, int]]:
    """The handles of objects that a call made: the number of its template, and the handle."""
    for n, name in enumerate(shape(step.function).gives):
        handle = integer(step.outputs.get(name))
        if handle is not None:
            yield n, handle
