"""Section 5.7: object management, but for the search; and what every function that makes an object checks (4.1)."""

from collections.abc import Sequence
from dataclasses import replace

from ..attributes import (
    CLASS_NUMBERS,
    EVERYWHERE,
    GUARDED_KEYS,
    KEYS,
    OF_GUARDED_KEYS,
    OF_KEYS,
    ONE_WAY,
    READ_ONLY,
)
from ..call import Args, Attribute, Buffer, Flaw, Setting
from ..rule import Condition, Effect, Function, Output, Rule, Strength
from ..state import Kind, Login, Object, Origin, State, Trait, put_object
from ..vocabulary import CKR, Version
from .common import NULL_POINTER, SESSION
from .conditions import object_reachable, pin_to_be_changed, session_valid, slot_of
from .operations import forget_outputs, lost_key_in_use, unsettle_searches
from .sessions import fresh_handle

V2_20, V2_40 = Version.V2_20, Version.V2_40
TEMPLATE_CODES = (
    CKR.ATTRIBUTE_READ_ONLY,
    CKR.ATTRIBUTE_TYPE_INVALID,
    CKR.ATTRIBUTE_VALUE_INVALID,
    CKR.TEMPLATE_INCOMPLETE,
    CKR.TEMPLATE_INCONSISTENT,
)
"""The codes of template errors, which the text lets stand for each other where several situations hold (4.1.1)."""


# Handles.


def object_valid(s: State, a: Args) -> bool:
    return session_valid(s, a) and object_reachable(s, a.session, a.object)


def object_invalid(s: State, a: Args) -> bool:
    return session_valid(s, a) and not object_reachable(s, a.session, a.object)


def object_of_another_token(s: State, a: Args) -> bool:
    """Tokens number their objects each for itself (3.4): the handle may name anything here."""
    if not session_valid(s, a) or a.object >= len(s.objects):
        return False
    return s.objects[a.object].exists and s.objects[a.object].slot != s.sessions[a.session].slot


def object_hidden(s: State, a: Args) -> bool:
    """The handle is of a private object, and the user is not logged in."""
    if not session_valid(s, a) or a.object >= len(s.objects):
        return False
    return s.objects[a.object].exists and s.objects[a.object].private and slot_of(s, a).login != Login.USER


# Where an object may be put.


def token_object_in_read_only_session(s: State, a: Args) -> bool:
    return session_valid(s, a) and a.token and not s.sessions[a.session].rw


def token_object_on_protected_token(s: State, a: Args) -> bool:
    return session_valid(s, a) and a.token and slot_of(s, a).write_protected


def private_without_user(s: State, a: Args) -> bool:
    return session_valid(s, a) and a.private and slot_of(s, a).login != Login.USER


def private_by_so(s: State, a: Args) -> bool:
    return session_valid(s, a) and a.private and slot_of(s, a).login == Login.SO


def nobody_for_token_object(s: State, a: Args) -> bool:
    return session_valid(s, a) and a.token and slot_of(s, a).login != Login.USER


# Templates.


def attribute_type_unknown(s: State, a: Args) -> bool:
    return a.flaw == Flaw.UNKNOWN_TYPE


def attribute_value_illegal(s: State, a: Args) -> bool:
    return a.flaw == Flaw.BAD_VALUE


def attribute_not_for_applications(s: State, a: Args) -> bool:
    return a.flaw == Flaw.READ_ONLY


def attribute_missing(s: State, a: Args) -> bool:
    return a.flaw == Flaw.MISSING


def attributes_inconsistent(s: State, a: Args) -> bool:
    return a.flaw == Flaw.INCONSISTENT


def attribute_of_another_class(s: State, a: Args) -> bool:
    return a.flaw == Flaw.FOREIGN


def attribute_twice(s: State, a: Args) -> bool:
    return a.flaw == Flaw.TWICE


def attribute_with_two_values(s: State, a: Args) -> bool:
    return a.flaw == Flaw.TWO_VALUES


def template_null(s: State, a: Args) -> bool:
    return a.flaw == Flaw.NULL


def template_empty(s: State, a: Args) -> bool:
    return a.flaw == Flaw.EMPTY


def template_empty_without_user(s: State, a: Args) -> bool:
    """CKA_PRIVATE may be TRUE where no template says otherwise (4.4)."""
    return session_valid(s, a) and a.flaw == Flaw.EMPTY and slot_of(s, a).login != Login.USER


def template_flawed(s: State, a: Args) -> bool:
    return a.flaw != Flaw.NONE


def token_may_want_more(s: State, a: Args) -> bool:
    """A token may demand more of a key, or of an object that is not plain, than the standard does (4.1.1)."""
    return a.trait != Trait.PLAIN or a.private or a.token


def key_imported(s: State, a: Args) -> bool:
    return a.kind in KEYS


def curve_given(s: State, a: Args) -> bool:
    """Domain parameters, of which a token need not know those given, nor the form that they have."""
    return a.kind == Kind.EC_PUBLIC or a.kind == Kind.EC_PRIVATE


_TEMPLATE = (
    Rule("attribute-value-illegal", CKR.ATTRIBUTE_VALUE_INVALID, attribute_value_illegal, "4.1.1", "", Strength.SHOULD),
    Rule("attribute-twice", CKR.TEMPLATE_INCONSISTENT, attribute_twice, "4.1.1", "", Strength.MAY, "A-46"),
    Rule(
        "attribute-with-two-values", CKR.TEMPLATE_INCONSISTENT, attribute_with_two_values, "4.1.1", "", reading="A-46"
    ),
    *(Rule("template-flawed", code, template_flawed, "4.1.1", "", Strength.UNSAID, "A-13") for code in TEMPLATE_CODES),
)
"""What a template can have wrong, of a new object or of a copy."""

_NEW = (
    Rule("attribute-type-unknown", CKR.ATTRIBUTE_TYPE_INVALID, attribute_type_unknown, "4.1.1", "", Strength.SHOULD),
    Rule(
        "attribute-not-for-applications",
        CKR.ATTRIBUTE_READ_ONLY,
        attribute_not_for_applications,
        "4.1.1",
        "",
        Strength.SHOULD,
    ),
    Rule(
        "attribute-of-another-class",
        CKR.TEMPLATE_INCONSISTENT,
        attribute_of_another_class,
        "4.1.1",
        "",
        Strength.SHOULD,
    ),
    *(Rule("token-may-want-more", code, token_may_want_more, "4.1.1", "", Strength.MAY) for code in TEMPLATE_CODES),
)

_NO_TEMPLATE = (
    Rule("template-null", CKR.ARGUMENTS_BAD, template_null, "5.7", "", Strength.INFERRED, "A-35"),
    Rule("template-null", CKR.TEMPLATE_INCOMPLETE, template_null, "4.1.1", "", Strength.INFERRED, "A-35"),
)

PLACE = (
    Rule("token-object-in-read-only-session", CKR.SESSION_READ_ONLY, token_object_in_read_only_session, "5.7", ""),
    Rule(
        "token-object-on-protected-token",
        CKR.TOKEN_WRITE_PROTECTED,
        token_object_on_protected_token,
        "5.1.6",
        "",
        Strength.MAY,
        "A-30",
    ),
    Rule("private-without-user", CKR.USER_NOT_LOGGED_IN, private_without_user, "5.1.6", ""),
    Rule("private-by-so", CKR.TEMPLATE_INCONSISTENT, private_by_so, "4.1.1", "", Strength.INFERRED),
    Rule("nobody-for-token-object", CKR.USER_NOT_LOGGED_IN, nobody_for_token_object, "5.1.6", "", Strength.MAY, "A-30"),
    Rule("pin-to-be-changed", CKR.PIN_EXPIRED, pin_to_be_changed, "5.1.6", "", Strength.MAY, since=V2_20),
)
"""Where an object may be made, and by whom."""

MAKING = (*PLACE, *_TEMPLATE, *_NEW, *_NO_TEMPLATE, *NULL_POINTER)
"""What every function checks that makes an object from a template."""

EMPTY_WITHOUT_USER = Rule(
    "template-empty-without-user", CKR.USER_NOT_LOGGED_IN, template_empty_without_user, "4.4", "", Strength.MAY
)
WITHOUT_TEMPLATE = (
    EMPTY_WITHOUT_USER,
    Rule("template-empty", CKR.TEMPLATE_INCOMPLETE, template_empty, "4.1.1", "", Strength.SHOULD),
)
"""What functions say to a template with nothing in it."""


def unknown_curve(when: Condition) -> tuple[Rule, ...]:
    """What a token says to domain parameters that it does not know."""
    return (
        Rule("when", CKR.DOMAIN_PARAMS_INVALID, when, "5.1.6", "", Strength.MAY, since=V2_20),
        Rule("when", CKR.CURVE_NOT_SUPPORTED, when, "5.1.6", "", Strength.MAY, since=V2_40),
    )


# What making an object does.


def free_object(s: State) -> int:
    """The lowest index of no object; there is one."""
    return next(k for k, x in enumerate(s.objects) if not x.exists)


def no_object_left_to_track(s: State, a: Args) -> bool:
    return all(x.exists for x in s.objects)


def no_template(a: Args) -> bool:
    """Nothing in the call says what kind of object it is to be, and where."""
    return a.flaw == Flaw.NULL or a.flaw == Flaw.EMPTY


def object_not_followed(s: State, a: Args) -> bool:
    """A new object that the model cannot follow, for want of a number or of a template that says what it says."""
    if no_object_left_to_track(s, a) or lost_key_in_use(s, free_object(s)):
        return True
    return no_template(a) and (a.token or a.private or a.trait != Trait.PLAIN)


def copy_not_followed(s: State, a: Args) -> bool:
    """As for a new object; what no template says of a copy is as in its original."""
    if no_object_left_to_track(s, a) or lost_key_in_use(s, free_object(s)) or object_of_another_token(s, a):
        return True
    if not (no_template(a) and object_valid(s, a)):
        return False
    x = s.objects[a.object]
    return a.token != x.token or a.private != x.private or a.attribute != Attribute.LABEL


def made(s: State, a: Args, kind: Kind, origin: Origin, *, private: bool) -> State:
    """`s` with a new object of a kind, made in the call's session as its template says."""
    slot = s.sessions[a.session].slot
    new = Object(True, True, kind, slot, a.token, a.session, private, a.trait, origin=origin)
    return put_object(s, free_object(s), new)


def create_object(s: State, a: Args) -> State:
    return unsettle_searches(made(s, a, a.kind, Origin.IMPORTED, private=a.private))


# C_CopyObject.


def copy_prohibited(s: State, a: Args) -> bool:
    return object_valid(s, a) and s.objects[a.object].trait == Trait.UNCOPYABLE


def copy_less_protected(s: State, a: Args) -> bool:
    return object_valid(s, a) and s.objects[a.object].private and not a.private


def copy_changes_fixed_attribute(s: State, a: Args) -> bool:
    return a.attribute in READ_ONLY


def copy_of_unmodifiable_changed(s: State, a: Args) -> bool:
    """A label of its own for the copy of an object that cannot be modified: is it "ordinarily" modifiable?"""
    return object_valid(s, a) and s.objects[a.object].trait == Trait.UNMODIFIABLE and a.attribute == Attribute.LABEL


def attribute_named_unknown(s: State, a: Args) -> bool:
    return a.attribute == Attribute.UNKNOWN or a.attribute == Attribute.FOREIGN


def copy_elsewhere(s: State, a: Args) -> bool:
    """A token may demand more of an object that is kept or guarded (4.1.1)."""
    return a.private or a.token


def copy_not_plain(s: State, a: Args) -> bool:
    return a.attribute != Attribute.LABEL


def copy_object(s: State, a: Args) -> State:
    source = s.objects[a.object]
    slot = s.sessions[a.session].slot
    labelled = source.labelled if a.flaw == Flaw.EMPTY else False
    origin = Origin.IMPORTED if source.origin == Origin.IMPORTED else Origin.OTHER
    new = Object(True, True, source.kind, slot, a.token, a.session, a.private, source.trait, labelled, origin)
    return unsettle_searches(put_object(s, free_object(s), new))


# C_DestroyObject, C_SetAttributeValue.


def writing_token_object_in_read_only_session(s: State, a: Args) -> bool:
    return object_valid(s, a) and s.objects[a.object].token and not s.sessions[a.session].rw


def writing_token_object_on_protected_token(s: State, a: Args) -> bool:
    return object_valid(s, a) and s.objects[a.object].token and slot_of(s, a).write_protected


def writing_token_object_without_user(s: State, a: Args) -> bool:
    return object_valid(s, a) and s.objects[a.object].token and slot_of(s, a).login != Login.USER


def destroying_prohibited(s: State, a: Args) -> bool:
    return object_valid(s, a) and s.objects[a.object].trait == Trait.UNDESTROYABLE


def changing_prohibited(s: State, a: Args) -> bool:
    return object_valid(s, a) and s.objects[a.object].trait == Trait.UNMODIFIABLE


def destroy_object(s: State, a: Args) -> State:
    return forget_outputs(unsettle_searches(put_object(s, a.object, Object())))


def possesses(kind: Kind, attribute: Attribute) -> bool:
    """Whether objects of a kind have an attribute (4.4 to 4.9)."""
    if attribute in EVERYWHERE:
        return True
    return (attribute in OF_KEYS and kind in KEYS) or (attribute in OF_GUARDED_KEYS and kind in GUARDED_KEYS)


def attribute_not_possessed(s: State, a: Args) -> bool:
    return object_valid(s, a) and not possesses(s.objects[a.object].kind, a.attribute)


def attribute_read_only(s: State, a: Args) -> bool:
    return object_valid(s, a) and a.attribute in READ_ONLY


def value_set(s: State, a: Args) -> bool:
    return object_valid(s, a) and a.attribute == Attribute.VALUE


def value_of_key_set(s: State, a: Args) -> bool:
    return value_set(s, a) and s.objects[a.object].kind in KEYS


def setting_illegal(s: State, a: Args) -> bool:
    return object_valid(s, a) and a.setting == Setting.ILLEGAL


def attribute_unusual(s: State, a: Args) -> bool:
    return object_valid(s, a) and (a.attribute != Attribute.LABEL or a.setting == Setting.ILLEGAL)


def setting_not_followed(s: State, a: Args) -> bool:
    """Calls whose result an object of one trait cannot hold, or that would ask for nothing of note."""
    if object_of_another_token(s, a):
        return True
    if a.attribute == Attribute.LABEL:
        return a.setting == Setting.ILLEGAL
    if not (object_valid(s, a) and a.attribute in ONE_WAY):
        return False
    trait = s.objects[a.object].trait
    wanted = Trait.SENSITIVE if a.attribute == Attribute.SENSITIVE else Trait.UNEXTRACTABLE
    return not (trait == Trait.PLAIN or trait == wanted)


def set_attribute(s: State, a: Args) -> State:
    old = s.objects[a.object]
    if a.setting == Setting.ILLEGAL:
        return s
    if a.attribute == Attribute.LABEL:
        return put_object(s, a.object, replace(old, labelled=True))
    if a.attribute == Attribute.SENSITIVE:
        return put_object(s, a.object, replace(old, trait=Trait.SENSITIVE))
    if a.attribute == Attribute.EXTRACTABLE:
        return put_object(s, a.object, replace(old, trait=Trait.UNEXTRACTABLE))
    return s


# C_GetAttributeValue: for each attribute hidden, then not there, then too small (5.7).


def value_guarded(s: State, a: Args) -> bool:
    if not object_valid(s, a) or a.attribute != Attribute.VALUE:
        return False
    x = s.objects[a.object]
    return x.kind in GUARDED_KEYS and (x.trait == Trait.SENSITIVE or x.trait == Trait.UNEXTRACTABLE)


def attribute_does_not_fit(s: State, a: Args) -> bool:
    if not object_valid(s, a) or a.buffer != Buffer.SHORT or a.null or value_guarded(s, a):
        return False
    return a.attribute == Attribute.SEVERAL or possesses(s.objects[a.object].kind, a.attribute)


def attribute_value(s: State, a: Args) -> Sequence[int]:
    x = s.objects[a.object]
    if a.buffer != Buffer.ENOUGH:
        return ()
    if a.attribute == Attribute.CLASS:
        return tuple(number for kind, number in CLASS_NUMBERS if kind == x.kind)
    values = (
        (Attribute.LABEL, x.labelled),
        (Attribute.TOKEN, x.token),
        (Attribute.PRIVATE, x.private),
        (Attribute.MODIFIABLE, x.trait != Trait.UNMODIFIABLE),
        (Attribute.SENSITIVE, x.trait == Trait.SENSITIVE),
        (Attribute.EXTRACTABLE, x.trait != Trait.UNEXTRACTABLE),
    )
    return tuple(int(value) for attribute, value in values if attribute == a.attribute)


def value_given(s: State, a: Args) -> Sequence[int]:
    return (0,) if value_guarded(s, a) else ()


FRESH = Output("handle", fresh_handle, "5.7")
HANDLE = Rule("object-invalid", CKR.OBJECT_HANDLE_INVALID, object_invalid, "5.1.6", "")
HIDDEN = Rule("object-hidden", CKR.USER_NOT_LOGGED_IN, object_hidden, "5.1.6", "", Strength.UNSAID, "A-12")
WRITING = (
    Rule(
        "writing-token-object-in-read-only-session",
        CKR.SESSION_READ_ONLY,
        writing_token_object_in_read_only_session,
        "5.7",
        "",
    ),
    Rule(
        "writing-token-object-on-protected-token",
        CKR.TOKEN_WRITE_PROTECTED,
        writing_token_object_on_protected_token,
        "5.1.6",
        "",
        Strength.MAY,
        "A-30",
    ),
    Rule(
        "writing-token-object-without-user",
        CKR.USER_NOT_LOGGED_IN,
        writing_token_object_without_user,
        "5.1.6",
        "",
        Strength.MAY,
        "A-30",
    ),
    Rule("pin-to-be-changed", CKR.PIN_EXPIRED, pin_to_be_changed, "5.1.6", "", Strength.MAY, since=V2_20),
)

FUNCTIONS = (
    Function(
        "C_CreateObject",
        ("session", "kind", "token", "private", "trait", "flaw", "null"),
        (
            *SESSION,
            *MAKING,
            Rule("attribute-missing", CKR.TEMPLATE_INCOMPLETE, attribute_missing, "4.1.1", "", Strength.SHOULD),
            Rule(
                "attributes-inconsistent",
                CKR.TEMPLATE_INCONSISTENT,
                attributes_inconsistent,
                "4.1.1",
                "",
                Strength.SHOULD,
            ),
            Rule("template-empty", CKR.ARGUMENTS_BAD, template_empty, "5.7", "", Strength.INFERRED, "A-35"),
            Rule("template-empty", CKR.TEMPLATE_INCOMPLETE, template_empty, "4.1.1", "", Strength.INFERRED, "A-35"),
            EMPTY_WITHOUT_USER,
            *(Rule("key-imported", code, key_imported, "4.1.1", "", Strength.MAY) for code in TEMPLATE_CODES),
            *unknown_curve(curve_given),
        ),
        effects=(Effect(create_object, "5.7"),),
        outputs=(FRESH,),
        out_of_scope=object_not_followed,
        domains={
            "kind": (
                Kind.AES,
                Kind.DATA,
                Kind.CERTIFICATE,
                Kind.GENERIC_SECRET,
                Kind.RSA_PUBLIC,
                Kind.RSA_PRIVATE,
                Kind.EC_PUBLIC,
            )
        },
    ),
    Function(
        "C_CopyObject",
        ("session", "object", "token", "private", "attribute", "flaw", "null"),
        (
            *SESSION,
            HANDLE,
            HIDDEN,
            *PLACE,
            *_TEMPLATE,
            Rule("template-null", CKR.ARGUMENTS_BAD, template_null, "5.7", "", Strength.INFERRED, "A-35"),
            *NULL_POINTER,
            Rule("copy-prohibited", CKR.ACTION_PROHIBITED, copy_prohibited, "5.7", "", since=V2_40),
            *(
                Rule("copy-less-protected", code, copy_less_protected, "4.1.3", "", Strength.UNSAID, "A-40")
                for code in TEMPLATE_CODES
            ),
            Rule(
                "copy-changes-fixed-attribute",
                CKR.ATTRIBUTE_READ_ONLY,
                copy_changes_fixed_attribute,
                "4.1.3",
                "",
                Strength.SHOULD,
            ),
            *(
                Rule(
                    "copy-of-unmodifiable-changed",
                    code,
                    copy_of_unmodifiable_changed,
                    "4.1.3",
                    "",
                    Strength.UNSAID,
                    "A-13",
                )
                for code in (CKR.ATTRIBUTE_READ_ONLY, CKR.TEMPLATE_INCONSISTENT)
            ),
            Rule(
                "copy-of-unmodifiable-changed",
                CKR.ACTION_PROHIBITED,
                copy_of_unmodifiable_changed,
                "4.1.3",
                "",
                Strength.UNSAID,
                "A-13",
                since=V2_40,
            ),
            Rule(
                "attribute-named-unknown",
                CKR.ATTRIBUTE_TYPE_INVALID,
                attribute_named_unknown,
                "4.1.1",
                "",
                Strength.SHOULD,
            ),
            *(
                Rule("copy-not-plain", code, copy_not_plain, "4.1.1", "", Strength.UNSAID, "A-13")
                for code in TEMPLATE_CODES
            ),
            *(Rule("copy-elsewhere", code, copy_elsewhere, "4.1.1", "", Strength.MAY) for code in TEMPLATE_CODES),
        ),
        effects=(Effect(copy_object, "5.7"),),
        outputs=(FRESH,),
        out_of_scope=copy_not_followed,
        domains={
            "attribute": (
                Attribute.LABEL,
                Attribute.CLASS,
                Attribute.LOCAL,
                Attribute.FOREIGN,
                Attribute.UNKNOWN,
            ),
            "flaw": (Flaw.NONE, Flaw.BAD_VALUE, Flaw.TWICE, Flaw.TWO_VALUES, Flaw.NULL, Flaw.EMPTY),
        },
        deviations=2,
    ),
    Function(
        "C_DestroyObject",
        ("session", "object"),
        (
            *SESSION,
            HANDLE,
            HIDDEN,
            *WRITING,
            Rule("destroying-prohibited", CKR.ACTION_PROHIBITED, destroying_prohibited, "5.7", "", since=V2_40),
        ),
        effects=(Effect(destroy_object, "5.7"),),
        out_of_scope=object_of_another_token,
    ),
    Function(
        "C_GetObjectSize",
        ("session", "object", "null"),
        (
            *SESSION,
            HANDLE,
            HIDDEN,
            *NULL_POINTER,
            Rule("object-valid", CKR.INFORMATION_SENSITIVE, object_valid, "5.7", "", Strength.MAY, "A-34"),
        ),
        out_of_scope=object_of_another_token,
    ),
    Function(
        "C_GetAttributeValue",
        ("session", "object", "attribute", "buffer", "null"),
        (
            *SESSION,
            HANDLE,
            HIDDEN,
            *NULL_POINTER,
            Rule("value-guarded", CKR.ATTRIBUTE_SENSITIVE, value_guarded, "5.7", ""),
            Rule("attribute-not-possessed", CKR.ATTRIBUTE_TYPE_INVALID, attribute_not_possessed, "5.7", ""),
            Rule("attribute-does-not-fit", CKR.BUFFER_TOO_SMALL, attribute_does_not_fit, "5.7", ""),
        ),
        outputs=(
            Output("value", attribute_value, "5.7"),
            Output("given", value_given, "5.7", on=frozenset({CKR.ATTRIBUTE_SENSITIVE})),
        ),
        out_of_scope=object_of_another_token,
    ),
    Function(
        "C_SetAttributeValue",
        ("session", "object", "attribute", "setting", "null"),
        (
            *SESSION,
            HANDLE,
            HIDDEN,
            *NULL_POINTER,
            *WRITING,
            Rule("changing-prohibited", CKR.ACTION_PROHIBITED, changing_prohibited, "5.7", "", since=V2_40),
            Rule(
                "changing-prohibited",
                CKR.ATTRIBUTE_READ_ONLY,
                changing_prohibited,
                "4.1.2",
                "",
                Strength.INFERRED,
                "A-13",
            ),
            Rule("attribute-read-only", CKR.ATTRIBUTE_READ_ONLY, attribute_read_only, "4.1.2", "", Strength.INFERRED),
            Rule(
                "attribute-read-only",
                CKR.ACTION_PROHIBITED,
                attribute_read_only,
                "5.7",
                "",
                Strength.UNSAID,
                "A-13",
                since=V2_40,
            ),
            Rule("value-of-key-set", CKR.ATTRIBUTE_READ_ONLY, value_of_key_set, "4.1.2", "", Strength.INFERRED),
            Rule("value-set", CKR.ATTRIBUTE_READ_ONLY, value_set, "4.1.2", "", Strength.MAY),
            Rule(
                "attribute-not-possessed",
                CKR.ATTRIBUTE_TYPE_INVALID,
                attribute_not_possessed,
                "4.1.1",
                "",
                Strength.SHOULD,
            ),
            Rule("setting-illegal", CKR.ATTRIBUTE_VALUE_INVALID, setting_illegal, "4.1.1", "", Strength.SHOULD),
            *(
                Rule("attribute-unusual", code, attribute_unusual, "4.1.1", "", Strength.UNSAID, "A-13")
                for code in TEMPLATE_CODES
                if code is not CKR.TEMPLATE_INCOMPLETE
            ),
        ),
        effects=(Effect(set_attribute, "5.7"),),
        out_of_scope=setting_not_followed,
        domains={
            "attribute": (
                Attribute.LABEL,
                Attribute.CLASS,
                Attribute.LOCAL,
                Attribute.VALUE,
                Attribute.SENSITIVE,
                Attribute.EXTRACTABLE,
                Attribute.FOREIGN,
                Attribute.UNKNOWN,
            )
        },
    ),
)
