"""Section 5.7: object management, but for the search; and what every function that makes an object checks (4.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..attributes import (
    CLASS_NUMBERS,
    CREATED,
    CURVED,
    GUARDED_KEYS,
    KEYS,
    PUBLIC_KEYS,
    is_guarded,
    is_one_way,
    is_read_only,
    possesses,
)
from ..call import Args, Attribute, Buffer, Flaw, Setting
from ..rule import Condition, Effect, Function, Later, Output, Rule, Strength, never
from ..state import Kind, Login, Object, Origin, Pin, State, Trait, put_object
from ..vocabulary import CKR, Version
from .common import NULL_POINTER, PIN_TO_BE_CHANGED, SESSION, USER_FOR_LOOKING, or_arguments_bad
from .conditions import large_enough, object_reachable, one_of, pin_to_be_changed, session_valid, slot_of
from .operations import forget_outputs, lost_key_in_use, unsettle_searches
from .sessions import fresh_handle

V2_20, V2_40, V3_0 = Version.V2_20, Version.V2_40, Version.V3_0
TEMPLATE_CODES = (
    CKR.ATTRIBUTE_READ_ONLY,
    CKR.ATTRIBUTE_TYPE_INVALID,
    CKR.ATTRIBUTE_VALUE_INVALID,
    CKR.TEMPLATE_INCOMPLETE,
    CKR.TEMPLATE_INCONSISTENT,
)
"""The codes of template errors, which the text lets stand for each other where several situations hold (4.1.1)."""


def any_of(
    codes: Sequence[CKR],
    id: str,
    when: Condition,
    place: str,
    says: str,
    strength: Strength,
    reading: str | None = None,
    *,
    unguarded: bool = False,
) -> tuple[Rule, ...]:
    """Rows for a situation that several codes fit."""
    return tuple(Rule(id, code, when, place, says, strength, reading, unguarded=unguarded) for code in codes)


# Object handles. All conditions here but those of `unguarded` rows take it for granted that the session is open.


def object_valid(s: State, a: Args) -> bool:
    return object_reachable(s, a.session, a.object)


def object_invalid(s: State, a: Args) -> bool:
    return not object_reachable(s, a.session, a.object)


def object_hidden(s: State, a: Args) -> bool:
    """The handle is of a private object, and the user is not logged in."""
    if a.object >= len(s.objects):
        return False
    return s.objects[a.object].exists and s.objects[a.object].private and slot_of(s, a).login != Login.USER


OBJECT = (
    *or_arguments_bad(
        Rule(
            "object-invalid",
            CKR.OBJECT_HANDLE_INVALID,
            object_invalid,
            "5.1.6 CKR_OBJECT_HANDLE_INVALID",
            "The handle does not name an object; 0 never does.",
        )
    ),
    Rule(
        "object-hidden",
        CKR.USER_NOT_LOGGED_IN,
        object_hidden,
        "5.1.6 CKR_USER_NOT_LOGGED_IN",
        "What is wanted needs a user who is not there: a private object is for the normal user alone.",
        Strength.UNSAID,
        "A-12",
    ),
)
"""Functions with the handle of an object."""


POLICY_PERHAPS_BARS = Rule(
    "policy-perhaps-bars",
    CKR.ACTION_PROHIBITED,
    object_valid,
    "5.1.6 CKR_ACTION_PROHIBITED",
    "The code is for what a policy of the token bars too, not only for what the object's own attributes do.",
    Strength.MAY,
    since=V2_40,
)
"""For the three functions that the code is for."""


def private_object_while_pin_to_be_changed(s: State, a: Args) -> bool:
    return object_valid(s, a) and s.objects[a.object].private and pin_to_be_changed(s, a)


PRIVATE_OBJECT_PIN_EXPIRED = replace(PIN_TO_BE_CHANGED, when=private_object_while_pin_to_be_changed)


def object_of_another_token(s: State, a: Args) -> bool:
    """Tokens number their objects each for itself (3.4): the handle may name anything here."""
    if not session_valid(s, a) or a.object >= len(s.objects):
        return False
    return s.objects[a.object].exists and s.objects[a.object].slot != s.sessions[a.session].slot


# Where an object may be made, and by whom.


def token_object_in_read_only_session(s: State, a: Args) -> bool:
    return a.token and not s.sessions[a.session].rw


def session_object_in_read_only_session(s: State, a: Args) -> bool:
    return not a.token and not s.sessions[a.session].rw


def token_object_on_protected_token(s: State, a: Args) -> bool:
    return a.token and slot_of(s, a).write_protected


def private_without_user(s: State, a: Args) -> bool:
    return a.private and slot_of(s, a).login != Login.USER


def private_by_so(s: State, a: Args) -> bool:
    return a.private and slot_of(s, a).login == Login.SO


def user_absent(s: State, a: Args) -> bool:
    return slot_of(s, a).login != Login.USER


def token_perhaps_protected(s: State, a: Args) -> bool:
    """The flag may stand for any object, and may be set whenever the user is not there (3.2)."""
    return slot_of(s, a).write_protected or slot_of(s, a).login != Login.USER


_POLICY = (
    Rule(
        "user-absent",
        CKR.USER_NOT_LOGGED_IN,
        user_absent,
        "3.2 on CKF_WRITE_PROTECTED",
        "A token may let no object be made, changed or destroyed before the user has logged in.",
        Strength.MAY,
        "A-80",
    ),
    Rule(
        "token-perhaps-protected",
        CKR.TOKEN_WRITE_PROTECTED,
        token_perhaps_protected,
        "3.2 on CKF_WRITE_PROTECTED",
        "The flag may bar the writing of any object, and a token may set it until the user has logged in.",
        Strength.MAY,
        "A-80",
    ),
    PIN_TO_BE_CHANGED,
)
"""What a token may hold against any writing."""

PLACE = (
    Rule(
        "token-object-in-read-only-session",
        CKR.SESSION_READ_ONLY,
        token_object_in_read_only_session,
        "5.1.6 CKR_SESSION_READ_ONLY",
        "A read-only session cannot do it; 5.7 lets it make session objects only.",
        Strength.INFERRED,
    ),
    Rule(
        "session-object-in-read-only-session",
        CKR.SESSION_READ_ONLY,
        session_object_in_read_only_session,
        "5.1.6 CKR_SESSION_READ_ONLY",
        "A read-only session may make session objects; that a token which keeps all on itself has any is not said.",
        Strength.UNSAID,
        "A-94",
    ),
    Rule(
        "token-object-on-protected-token",
        CKR.TOKEN_WRITE_PROTECTED,
        token_object_on_protected_token,
        "3.2 on CKF_WRITE_PROTECTED",
        "What the flag means is open; to make an object on the token may be among what cannot be done.",
        Strength.MAY,
        "A-30",
    ),
    Rule(
        "private-without-user",
        CKR.USER_NOT_LOGGED_IN,
        private_without_user,
        "5.1.6 CKR_USER_NOT_LOGGED_IN",
        "To make a private object in a session that is not the normal user's is an example of the code.",
    ),
    Rule(
        "private-by-so",
        CKR.TEMPLATE_INCONSISTENT,
        private_by_so,
        "4.1.1 rule 5",
        "Values that cannot be satisfied together are inconsistent: no private object comes of an SO's session.",
        Strength.INFERRED,
    ),
    *_POLICY,
)
"""Where an object may be made, and by whom."""


# Templates. Their faults may be seen before the session is looked at.


def attribute_value_illegal(s: State, a: Args) -> bool:
    return a.flaw == Flaw.BAD_VALUE


def attribute_twice(s: State, a: Args) -> bool:
    return a.flaw == Flaw.TWICE


def attribute_with_two_values(s: State, a: Args) -> bool:
    return a.flaw == Flaw.TWO_VALUES


def template_flawed(s: State, a: Args) -> bool:
    return a.flaw != Flaw.NONE


_TEMPLATE = (
    Rule(
        "attribute-value-illegal",
        CKR.ATTRIBUTE_VALUE_INVALID,
        attribute_value_illegal,
        "4.1.1 rule 2",
        "A value that the attribute cannot have should be refused with the code.",
        Strength.SHOULD,
        unguarded=True,
    ),
    Rule(
        "attribute-twice",
        CKR.TEMPLATE_INCONSISTENT,
        attribute_twice,
        "4.1.1 rule 6",
        "An attribute that stands twice with one value may count once, or be refused with the code.",
        Strength.MAY,
        "A-46",
        unguarded=True,
    ),
    Rule(
        "attribute-with-two-values",
        CKR.TEMPLATE_INCONSISTENT,
        attribute_with_two_values,
        "4.1.1 rule 5",
        "Two values for one attribute are the first example of what should be refused with the code.",
        Strength.SHOULD,
        unguarded=True,
    ),
    *or_arguments_bad(
        *any_of(
            TEMPLATE_CODES,
            "template-flawed",
            template_flawed,
            "4.1.1 after rule 6",
            "Where several of the rules apply, any of their codes may be returned; which apply to a fault is open.",
            Strength.UNSAID,
            "A-13",
            unguarded=True,
        )
    ),
)
"""What a template can have wrong, of a new object or of a copy."""


UNIQUE_ID_SET = Rule(
    "unique-id-set",
    CKR.ATTRIBUTE_READ_ONLY,
    never,
    "4.4.1 of v3.0",
    "Only the token sets the unique ID of an object; whoever tries to has to fail with this code.",
    since=V3_0,
    unguarded=True,
)
"""A row for what gives an object attributes, which a condition is to be given."""


def unique_id_given(s: State, a: Args) -> bool:
    return a.flaw == Flaw.UNIQUE_ID


GIVEN_UNIQUE_ID: Mapping[Version, Later] = {V3_0: {"flaw": {Flaw.UNIQUE_ID: Flaw.UNKNOWN_TYPE}}}
"""What a template can have wrong since v3.0."""


FLAWS = tuple(flaw for flaw in Flaw if flaw not in (Flaw.UNIQUE_ID, Flaw.VALUE_LEN))
"""What the template of any object can have wrong, in every version."""


def attribute_type_unknown(s: State, a: Args) -> bool:
    return a.flaw == Flaw.UNKNOWN_TYPE


def attribute_not_for_applications(s: State, a: Args) -> bool:
    return a.flaw == Flaw.READ_ONLY


def attribute_of_another_class(s: State, a: Args) -> bool:
    return a.flaw == Flaw.FOREIGN


_PERHAPS_UNSUPPORTED = or_arguments_bad(
    *any_of(
        TEMPLATE_CODES,
        "template-perhaps-unsupported",
        session_valid,
        "4.1.1 rule 5",
        "Any template may go against what only this token requires; rule 3 lets it be stricter about attributes too.",
        Strength.MAY,
        unguarded=True,
    )
)
"""A token may refuse any object for reasons of its own."""

_NEW = (
    replace(UNIQUE_ID_SET, when=unique_id_given),
    Rule(
        "attribute-type-unknown",
        CKR.ATTRIBUTE_TYPE_INVALID,
        attribute_type_unknown,
        "4.1.1 rule 1",
        "An attribute that neither the standard nor the token knows should be refused with the code.",
        Strength.SHOULD,
        unguarded=True,
    ),
    Rule(
        "attribute-not-for-applications",
        CKR.ATTRIBUTE_READ_ONLY,
        attribute_not_for_applications,
        "4.1.1 rule 3",
        "A value for an attribute that the application may not set should be refused with the code.",
        Strength.SHOULD,
        unguarded=True,
    ),
    Rule(
        "attribute-of-another-class",
        CKR.TEMPLATE_INCONSISTENT,
        attribute_of_another_class,
        "4.1.1 rule 5",
        "An attribute that fits other classes only is an example of what should be refused with the code.",
        Strength.SHOULD,
        unguarded=True,
    ),
    *_PERHAPS_UNSUPPORTED,
)


def attribute_missing(s: State, a: Args) -> bool:
    return a.flaw == Flaw.MISSING


ATTRIBUTE_MISSING = Rule(
    "attribute-missing",
    CKR.TEMPLATE_INCOMPLETE,
    attribute_missing,
    "4.1.1 rule 4",
    "A template that leaves the object incompletely specified should be refused with the code.",
    Strength.SHOULD,
    unguarded=True,
)
ATTRIBUTE_PERHAPS_MISSING = replace(
    ATTRIBUTE_MISSING,
    says="Whether the key is specified without the attribute depends on what the mechanism and the token add.",
    strength=Strength.UNSAID,
    reading="A-13",
)
"""For keys, of which the mechanism contributes attributes."""


def attributes_inconsistent(s: State, a: Args) -> bool:
    return a.flaw == Flaw.INCONSISTENT


ATTRIBUTES_INCONSISTENT = Rule(
    "attributes-inconsistent",
    CKR.TEMPLATE_INCONSISTENT,
    attributes_inconsistent,
    "4.1.1 rule 5",
    "Values that cannot be satisfied together should be refused with the code.",
    Strength.SHOULD,
    unguarded=True,
)


def template_null(s: State, a: Args) -> bool:
    return a.flaw == Flaw.NULL


NO_TEMPLATE = Rule(
    "template-null",
    CKR.ARGUMENTS_BAD,
    template_null,
    "5.1.6 CKR_ARGUMENTS_BAD",
    "An argument that is not fit for the call; where it announces attributes, NULL is not.",
    Strength.INFERRED,
    "A-35",
    unguarded=True,
)
MAKING = (
    *PLACE,
    *_TEMPLATE,
    *_NEW,
    NO_TEMPLATE,
    replace(
        NO_TEMPLATE,
        code=CKR.TEMPLATE_INCOMPLETE,
        place="4.1.1 rule 4",
        says="Without a template nothing specifies the object.",
    ),
    *NULL_POINTER,
)
"""What every function checks that makes an object from a template."""


def template_empty(s: State, a: Args) -> bool:
    return a.flaw == Flaw.EMPTY


def template_empty_without_user(s: State, a: Args) -> bool:
    """CKA_PRIVATE may be TRUE where no template says otherwise (4.4)."""
    return a.flaw == Flaw.EMPTY and slot_of(s, a).login != Login.USER


TEMPLATE_EMPTY = Rule(
    "template-empty",
    CKR.TEMPLATE_INCOMPLETE,
    template_empty,
    "4.1.1 rule 4",
    "A template that leaves the object incompletely specified should be refused with the code.",
    Strength.SHOULD,
    unguarded=True,
)
EMPTY_WITHOUT_USER = Rule(
    "template-empty-without-user",
    CKR.USER_NOT_LOGGED_IN,
    template_empty_without_user,
    "4.4 CKA_PRIVATE",
    "Whether an object is private by default is for the token to say, and to make a private one takes the user.",
    Strength.MAY,
)


def unknown_curve(when: Condition) -> tuple[Rule, ...]:
    """What a token says to domain parameters that it does not know."""
    return (
        Rule(
            "curve-perhaps-unknown",
            CKR.DOMAIN_PARAMS_INVALID,
            when,
            "5.1.6 CKR_DOMAIN_PARAMS_INVALID",
            "Domain parameters may be unsupported, and which forms of them are supported varies from token to token.",
            Strength.MAY,
            since=V2_20,
            unguarded=True,
        ),
        Rule(
            "curve-perhaps-unknown",
            CKR.CURVE_NOT_SUPPORTED,
            when,
            "5.1.6 CKR_CURVE_NOT_SUPPORTED",
            "A token need not support the curve.",
            Strength.MAY,
            since=V2_40,
            unguarded=True,
        ),
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


def private_without_users(s: State, a: Args) -> bool:
    """Whom a private object is for on a token that knows no user, and lets everybody work, is not said (4.4, A-62)."""
    if not a.private or not session_valid(s, a):
        return False
    return not slot_of(s, a).login_required and slot_of(s, a).user_pin == Pin.NULL


def object_not_followed(s: State, a: Args) -> bool:
    """A new object that the model cannot follow, for want of a number or of a template that says what it says."""
    if no_object_left_to_track(s, a) or lost_key_in_use(s, free_object(s)) or private_without_users(s, a):
        return True
    return no_template(a) and (a.token or a.private or a.trait != Trait.PLAIN)


def made(s: State, a: Args, kind: Kind, origin: Origin, *, private: bool) -> State:
    """`s` with a new object of a kind, made in the call's session as its template says."""
    slot = s.sessions[a.session].slot
    k = free_object(s)
    new = Object(True, True, kind, slot, a.token, a.session, private, a.trait, s.objects[k].labelled, origin)
    return put_object(s, k, new)


def take_second_label(s: State, a: Args) -> State:
    """Of two labels in a template, which 4.1.1 rule 5 should not let pass, the token takes the second."""
    if a.flaw != Flaw.TWO_VALUES:
        return s
    return put_object(s, free_object(s), Object(labelled=True))


SECOND_LABEL = Effect("second-label-taken", take_second_label, "4.1.1 rule 5", certain=False, reading="A-46")
"""Comes before the object is made, in the place of the object."""

FRESH = Output("handle", fresh_handle, "3.4 CK_OBJECT_HANDLE")


# C_CreateObject.


def public_key_given(s: State, a: Args) -> bool:
    return a.kind in PUBLIC_KEYS


def curve_given(s: State, a: Args) -> bool:
    """Domain parameters, of which a token need not know those given, nor the form that they have."""
    return one_of(a.kind, CURVED)


def create_object(s: State, a: Args) -> State:
    return unsettle_searches(made(s, a, a.kind, Origin.IMPORTED, private=a.private))


C_CREATE_OBJECT = Function(
    "C_CreateObject",
    ("session", "kind", "token", "private", "trait", "flaw", "null"),
    (
        *SESSION,
        *MAKING,
        ATTRIBUTE_MISSING,
        ATTRIBUTES_INCONSISTENT,
        replace(
            TEMPLATE_EMPTY,
            code=CKR.ARGUMENTS_BAD,
            place="5.1.6 CKR_ARGUMENTS_BAD",
            says="An argument that is not fit for the call: no object comes of no attributes.",
            strength=Strength.INFERRED,
            reading="A-35",
        ),
        replace(
            TEMPLATE_EMPTY,
            place="4.1 before 4.1.1",
            says="What an object must have and has no default for is to be given; CKA_CLASS at the least.",
            strength=Strength.INFERRED,
            reading="A-35",
        ),
        EMPTY_WITHOUT_USER,
        *unknown_curve(curve_given),
        Rule(
            "public-key-perhaps-invalid",
            CKR.PUBLIC_KEY_INVALID,
            public_key_given,
            "5.1.6 CKR_PUBLIC_KEY_INVALID",
            "The function may return the code for a public key, by what validation the token has.",
            Strength.MAY,
            since=V2_40,
            unguarded=True,
        ),
    ),
    effects=(
        SECOND_LABEL,
        Effect("object-created", create_object, "5.7 C_CreateObject, the first paragraph"),
    ),
    outputs=(FRESH,),
    out_of_scope=object_not_followed,
    domains={
        # For private keys that are created, those of one algorithm stand.
        "kind": tuple(k for k in dict.fromkeys((Kind.AES, *CREATED)) if k != Kind.EC_PRIVATE),
        "flaw": FLAWS,
    },
    later=GIVEN_UNIQUE_ID,
    given=session_valid,
)


# C_CopyObject.


def copy_prohibited(s: State, a: Args) -> bool:
    return object_valid(s, a) and s.objects[a.object].trait == Trait.UNCOPYABLE


def copy_less_protected(s: State, a: Args) -> bool:
    return object_valid(s, a) and s.objects[a.object].private and not a.private


def copy_changes_fixed_attribute(s: State, a: Args) -> bool:
    return is_read_only(a.attribute)


def attribute_named_unknown(s: State, a: Args) -> bool:
    return a.attribute == Attribute.UNKNOWN or a.attribute == Attribute.FOREIGN


def unique_id_named(s: State, a: Args) -> bool:
    return a.attribute == Attribute.UNIQUE_ID


_NAMED_UNIQUE_ID: Mapping[Version, Later] = {V3_0: {"attribute": {Attribute.UNIQUE_ID: Attribute.UNKNOWN}}}


def copy_not_plain(s: State, a: Args) -> bool:
    return a.attribute != Attribute.LABEL


_COPYING = (
    Rule(
        "copy-prohibited",
        CKR.ACTION_PROHIBITED,
        copy_prohibited,
        "4.1.3",
        "An object whose CKA_COPYABLE is FALSE is not copied, and the function says so with the code.",
        since=V2_40,
    ),
    *any_of(
        TEMPLATE_CODES,
        "copy-less-protected",
        copy_less_protected,
        "4.1.3",
        "A token need not let CKA_PRIVATE change in a copy.",
        Strength.UNSAID,
        "A-40",
    ),
    replace(UNIQUE_ID_SET, when=unique_id_named),
    Rule(
        "attribute-read-only",
        CKR.ATTRIBUTE_READ_ONLY,
        copy_changes_fixed_attribute,
        "4.1.3",
        "The attribute is none of those that a copy may change; 4.1.1 rule 3 wants the code.",
        Strength.SHOULD,
        unguarded=True,
    ),
    Rule(
        "attribute-type-unknown",
        CKR.ATTRIBUTE_TYPE_INVALID,
        attribute_named_unknown,
        "4.1.1 rule 1",
        "An attribute that neither the standard nor the token knows should be refused with the code.",
        Strength.SHOULD,
        unguarded=True,
    ),
    *or_arguments_bad(
        *any_of(
            TEMPLATE_CODES,
            "attribute-unusual",
            copy_not_plain,
            "4.1.1 after rule 6",
            "Where several of the rules apply, any of their codes may be returned; which apply to a fault is open.",
            Strength.UNSAID,
            "A-13",
            unguarded=True,
        )
    ),
)


def copy_not_followed(s: State, a: Args) -> bool:
    """As for a new object; what no template says of a copy is as in its original."""
    if no_object_left_to_track(s, a) or lost_key_in_use(s, free_object(s)) or object_of_another_token(s, a):
        return True
    if private_without_users(s, a):
        return True
    if not (no_template(a) and session_valid(s, a) and object_valid(s, a)):
        return False
    x = s.objects[a.object]
    return a.token != x.token or a.private != x.private or a.attribute != Attribute.LABEL


def copy_object(s: State, a: Args) -> State:
    source = s.objects[a.object]
    slot = s.sessions[a.session].slot
    k = free_object(s)
    labelled = source.labelled if a.flaw == Flaw.EMPTY else s.objects[k].labelled
    origin = Origin.IMPORTED if source.origin == Origin.IMPORTED else Origin.OTHER
    new = Object(True, True, source.kind, slot, a.token, a.session, a.private, source.trait, labelled, origin)
    return unsettle_searches(put_object(s, k, new))


C_COPY_OBJECT = Function(
    "C_CopyObject",
    ("session", "object", "token", "private", "attribute", "flaw", "null"),
    (
        *SESSION,
        *OBJECT,
        *PLACE,
        *_TEMPLATE,
        NO_TEMPLATE,
        *NULL_POINTER,
        *_COPYING,
        *_PERHAPS_UNSUPPORTED,
        POLICY_PERHAPS_BARS,
    ),
    effects=(
        SECOND_LABEL,
        Effect("object-copied", copy_object, "5.7 C_CopyObject, the first paragraph"),
    ),
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
    later=_NAMED_UNIQUE_ID,
    deviations=2,
    given=session_valid,
)


# Writing to an object.


def writing_token_object_in_read_only_session(s: State, a: Args) -> bool:
    return object_valid(s, a) and s.objects[a.object].token and not s.sessions[a.session].rw


def writing_token_object_on_protected_token(s: State, a: Args) -> bool:
    return object_valid(s, a) and s.objects[a.object].token and slot_of(s, a).write_protected


_WRITING = (
    Rule(
        "token-object-in-read-only-session",
        CKR.SESSION_READ_ONLY,
        writing_token_object_in_read_only_session,
        "5.1.6 CKR_SESSION_READ_ONLY",
        "A read-only session cannot do it; 5.7 lets it destroy and modify session objects only.",
        Strength.INFERRED,
    ),
    Rule(
        "token-object-on-protected-token",
        CKR.TOKEN_WRITE_PROTECTED,
        writing_token_object_on_protected_token,
        "3.2 on CKF_WRITE_PROTECTED",
        "What the flag means is open; to change or destroy a token's object may be among what cannot be done.",
        Strength.MAY,
        "A-30",
    ),
    *_POLICY,
)


# C_DestroyObject.


def destroying_prohibited(s: State, a: Args) -> bool:
    return object_valid(s, a) and s.objects[a.object].trait == Trait.UNDESTROYABLE


def destroy_object(s: State, a: Args) -> State:
    return forget_outputs(unsettle_searches(put_object(s, a.object, Object())))


C_DESTROY_OBJECT = Function(
    "C_DestroyObject",
    ("session", "object"),
    (
        *SESSION,
        *OBJECT,
        *_WRITING,
        Rule(
            "destroying-prohibited",
            CKR.ACTION_PROHIBITED,
            destroying_prohibited,
            "5.7 C_DestroyObject, the paragraph on objects that may not be destroyed",
            "Such an object, which CKA_DESTROYABLE tells, makes the function return the code.",
            since=V2_40,
        ),
        POLICY_PERHAPS_BARS,
    ),
    effects=(Effect("object-destroyed", destroy_object, "5.7 C_DestroyObject, the first paragraph"),),
    out_of_scope=object_of_another_token,
    given=session_valid,
)


# C_GetObjectSize.


C_GET_OBJECT_SIZE = Function(
    "C_GetObjectSize",
    ("session", "object", "null"),
    (
        *SESSION,
        *OBJECT,
        *NULL_POINTER,
        Rule(
            "size-perhaps-untold",
            CKR.INFORMATION_SENSITIVE,
            object_valid,
            "5.1.6 CKR_INFORMATION_SENSITIVE",
            "A token may hold the information for sensitive, and not reveal it.",
            Strength.MAY,
            "A-34",
        ),
        USER_FOR_LOOKING,
        PRIVATE_OBJECT_PIN_EXPIRED,
    ),
    out_of_scope=object_of_another_token,
    given=session_valid,
)


# C_GetAttributeValue: for each attribute hidden, then not there, then too small (5.7).


def value_guarded(s: State, a: Args) -> bool:
    if not object_valid(s, a) or not is_guarded(a.attribute):
        return False
    x = s.objects[a.object]
    return x.kind in GUARDED_KEYS and (x.trait == Trait.SENSITIVE or x.trait == Trait.UNEXTRACTABLE)


def attribute_not_possessed(s: State, a: Args) -> bool:
    return object_valid(s, a) and not possesses(s.objects[a.object].kind, a.attribute)


def attribute_does_not_fit(s: State, a: Args) -> bool:
    if not object_valid(s, a) or a.buffer != Buffer.SHORT or a.null or value_guarded(s, a):
        return False
    return a.attribute == Attribute.SEVERAL or possesses(s.objects[a.object].kind, a.attribute)


_READING = (
    Rule(
        "value-guarded",
        CKR.ATTRIBUTE_SENSITIVE,
        value_guarded,
        "5.7 C_GetAttributeValue, case 1",
        "A value of a sensitive or unextractable object is not revealed; success is for calls without such a case.",
    ),
    *or_arguments_bad(
        Rule(
            "attribute-not-possessed",
            CKR.ATTRIBUTE_TYPE_INVALID,
            attribute_not_possessed,
            "5.7 C_GetAttributeValue, case 2",
            "The object has no such attribute; success is for calls without such a case.",
        )
    ),
    Rule(
        "attribute-does-not-fit",
        CKR.BUFFER_TOO_SMALL,
        attribute_does_not_fit,
        "5.7 C_GetAttributeValue, case 5",
        "The value is longer than the room for it; success is for calls without such a case.",
    ),
)


def attribute_value(s: State, a: Args) -> Sequence[int]:
    x = s.objects[a.object]
    if not large_enough(a):
        return ()
    if a.attribute == Attribute.CLASS:
        return tuple(number for kind, number in CLASS_NUMBERS if kind == x.kind)
    if a.attribute == Attribute.MODIFIABLE:
        # Templates say it where it is FALSE only; what a token does where they say nothing is not counted on.
        return (0,) if x.trait == Trait.UNMODIFIABLE else ()
    values = (
        (Attribute.LABEL, x.labelled),
        (Attribute.TOKEN, x.token),
        (Attribute.PRIVATE, x.private),
        (Attribute.SENSITIVE, x.trait == Trait.SENSITIVE),
        (Attribute.EXTRACTABLE, x.trait != Trait.UNEXTRACTABLE),
    )
    return tuple(int(value) for attribute, value in values if attribute == a.attribute)


def value_given(s: State, a: Args) -> Sequence[int]:
    return (0,) if value_guarded(s, a) else ()


C_GET_ATTRIBUTE_VALUE = Function(
    "C_GetAttributeValue",
    ("session", "object", "attribute", "buffer", "null"),
    (
        *SESSION,
        *OBJECT,
        *NULL_POINTER,
        *_READING,
        USER_FOR_LOOKING,
        PRIVATE_OBJECT_PIN_EXPIRED,
    ),
    outputs=(
        Output("value", attribute_value, "5.7 C_GetAttributeValue, case 4"),
        Output("given", value_given, "5.7 C_GetAttributeValue, case 1", on=frozenset({CKR.ATTRIBUTE_SENSITIVE})),
    ),
    out_of_scope=object_of_another_token,
    later=_NAMED_UNIQUE_ID,
    given=session_valid,
)


# C_SetAttributeValue.


def changing_prohibited(s: State, a: Args) -> bool:
    return object_valid(s, a) and s.objects[a.object].trait == Trait.UNMODIFIABLE


def attribute_read_only(s: State, a: Args) -> bool:
    return object_valid(s, a) and is_read_only(a.attribute)


def unique_id_of_object_named(s: State, a: Args) -> bool:
    return object_valid(s, a) and a.attribute == Attribute.UNIQUE_ID


def value_of_key_set(s: State, a: Args) -> bool:
    return object_valid(s, a) and a.attribute == Attribute.VALUE and s.objects[a.object].kind in KEYS


def setting_illegal(s: State, a: Args) -> bool:
    return object_valid(s, a) and a.setting == Setting.ILLEGAL


def set_back(s: State, a: Args) -> bool:
    """What was set once and for all: that the key is sensitive, or that it is not extractable."""
    if not object_valid(s, a) or a.setting != Setting.BACK:
        return False
    trait = s.objects[a.object].trait
    if a.attribute == Attribute.SENSITIVE:
        return trait == Trait.SENSITIVE
    return a.attribute == Attribute.EXTRACTABLE and trait == Trait.UNEXTRACTABLE


def attribute_unusual(s: State, a: Args) -> bool:
    return object_valid(s, a) and (a.attribute != Attribute.LABEL or a.setting == Setting.ILLEGAL)


_CHANGING = (
    Rule(
        "changing-prohibited",
        CKR.ACTION_PROHIBITED,
        changing_prohibited,
        "5.7 C_SetAttributeValue, the paragraph on objects that may not be modified",
        "Such an object, which CKA_MODIFIABLE tells, makes the function return the code.",
        since=V2_40,
    ),
    Rule(
        "changing-prohibited",
        CKR.ATTRIBUTE_READ_ONLY,
        changing_prohibited,
        "4.4 on CKA_MODIFIABLE",
        "An object whose CKA_MODIFIABLE is FALSE is read-only, and so is each attribute of it.",
        Strength.INFERRED,
        "A-13",
    ),
    replace(UNIQUE_ID_SET, when=unique_id_of_object_named, unguarded=False),
    Rule(
        "attribute-read-only",
        CKR.ATTRIBUTE_READ_ONLY,
        attribute_read_only,
        "4.1.2 last paragraph",
        "No application may change the attribute; 4.1.1 rule 3 says what should be returned.",
        Strength.SHOULD,
    ),
    Rule(
        "attribute-set-back",
        CKR.ATTRIBUTE_READ_ONLY,
        set_back,
        "4.2 notes 11 and 12",
        "Once it is set the attribute is a read-only one, so that the key never gets less protected again.",
        Strength.INFERRED,
    ),
    Rule(
        "value-of-key-set",
        CKR.ATTRIBUTE_READ_ONLY,
        value_of_key_set,
        "4.1.2 last paragraph",
        "No note lets the value of a key be modified; 4.1.1 rule 3 says what should be returned.",
        Strength.SHOULD,
    ),
    *or_arguments_bad(
        *any_of(
            (CKR.ATTRIBUTE_READ_ONLY, CKR.TEMPLATE_INCONSISTENT),
            "change-perhaps-unsupported",
            object_valid,
            "4.1.2 second paragraph",
            "A token need not support the modification of what may be modified.",
            Strength.MAY,
        )
    ),
    Rule(
        "change-perhaps-unsupported",
        CKR.ATTRIBUTE_VALUE_INVALID,
        object_valid,
        "4.1.2 second paragraph",
        "A token need not support every modification; that it holds the new value for unfit is one way to say so.",
        Strength.UNSAID,
        "A-13",
    ),
    POLICY_PERHAPS_BARS,
    Rule(
        "attribute-not-possessed",
        CKR.ATTRIBUTE_TYPE_INVALID,
        attribute_not_possessed,
        "4.1.1 rule 1",
        "An attribute that the object cannot have should be refused with the code.",
        Strength.SHOULD,
    ),
    Rule(
        "attribute-value-illegal",
        CKR.ATTRIBUTE_VALUE_INVALID,
        setting_illegal,
        "4.1.1 rule 2",
        "A value that the attribute cannot have should be refused with the code.",
        Strength.SHOULD,
    ),
    *or_arguments_bad(
        Rule(
            "attribute-unusual",
            CKR.ATTRIBUTE_TYPE_INVALID,
            attribute_unusual,
            "4.1.1 after rule 6",
            "Where several of the rules apply, any of their codes may be returned; which apply to a fault is open.",
            Strength.UNSAID,
            "A-13",
        )
    ),
)


def key_changed(s: State, a: Args) -> bool:
    """A value that the key did not have, so that nobody knows what the key is should a token take it."""
    if not (session_valid(s, a) and value_of_key_set(s, a)):
        return False
    return a.setting == Setting.ILLEGAL or s.objects[a.object].origin != Origin.IMPORTED


def setting_not_followed(s: State, a: Args) -> bool:
    """Calls whose result an object of one trait cannot hold, or that would ask for nothing of note."""
    if object_of_another_token(s, a):
        return True
    if a.attribute == Attribute.LABEL or a.attribute == Attribute.SEVERAL:
        return a.setting != Setting.LEGAL
    if a.setting == Setting.BACK and not is_one_way(a.attribute):
        return True
    if key_changed(s, a):
        return True
    if not (session_valid(s, a) and object_valid(s, a) and is_one_way(a.attribute)):
        return False
    trait = s.objects[a.object].trait
    wanted = Trait.SENSITIVE if a.attribute == Attribute.SENSITIVE else Trait.UNEXTRACTABLE
    return not (trait == Trait.PLAIN or trait == wanted)


def set_attribute(s: State, a: Args) -> State:
    old = s.objects[a.object]
    if a.setting != Setting.LEGAL:
        return s
    if a.attribute == Attribute.LABEL or a.attribute == Attribute.SEVERAL:
        return put_object(s, a.object, replace(old, labelled=True))
    if a.attribute == Attribute.SENSITIVE:
        return put_object(s, a.object, replace(old, trait=Trait.SENSITIVE))
    if a.attribute == Attribute.EXTRACTABLE:
        return put_object(s, a.object, replace(old, trait=Trait.UNEXTRACTABLE))
    return s


C_SET_ATTRIBUTE_VALUE = Function(
    "C_SetAttributeValue",
    ("session", "object", "attribute", "setting", "null"),
    (
        *SESSION,
        *OBJECT,
        *NULL_POINTER,
        *_WRITING,
        *_CHANGING,
    ),
    effects=(Effect("attribute-set", set_attribute, "5.7 C_SetAttributeValue, the first paragraph"),),
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
            Attribute.SEVERAL,
        )
    },
    later=_NAMED_UNIQUE_ID,
    given=session_valid,
)

FUNCTIONS = (
    C_CREATE_OBJECT,
    C_COPY_OBJECT,
    C_DESTROY_OBJECT,
    C_GET_OBJECT_SIZE,
    C_GET_ATTRIBUTE_VALUE,
    C_SET_ATTRIBUTE_VALUE,
)
