"""What holds in every state that a module can get into, if it returns only codes that the standard permits."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

from ...model.attributes import KEYS
from ...model.chapters.conditions import one_of, session_state
from ...model.chapters.messages import MESSAGINGS
from ...model.mechanisms import NOT_FOLLOWED, with_role
from ...model.oracle import Model
from ...model.state import (
    Judged,
    Kept,
    Login,
    Mech,
    Messages,
    Operation,
    Operations,
    Phase,
    Pin,
    Role,
    Search,
    State,
)
from ...model.vocabulary import CKS, Version

LOGIN_SHOWN = {
    CKS.RO_PUBLIC_SESSION: Login.NOBODY,
    CKS.RW_PUBLIC_SESSION: Login.NOBODY,
    CKS.RO_USER_FUNCTIONS: Login.USER,
    CKS.RW_USER_FUNCTIONS: Login.USER,
    CKS.RW_SO_FUNCTIONS: Login.SO,
}
"""Who is logged in, as the state of a session shows it (5.6)."""


def of_every_model(_model: Model) -> bool:
    """No version and no reading is without it."""
    return True


def the_so_is_alone(model: Model) -> bool:
    """No read-only session stands beside the SO: so say the versions before v2.40, and reading A-05 'base text'."""
    return model.version <= Version.V2_20 or model.readings["A-05"] == "base text"


def null_is_no_pin(model: Model) -> bool:
    """A NULL new PIN is refused: v2.01 lists no code against it."""
    return model.version >= Version.V2_20


def there_are_messages(model: Model) -> bool:
    """Message-based processes came with v3.0; before it there are none to speak of."""
    return model.version >= Version.V3_0


def signatures_are_given_first(model: Model) -> bool:
    """Verifications that are begun with their signature came with v3.2, and so did sealed keys and capsules."""
    return model.version >= Version.V3_2


@dataclass(frozen=True, slots=True)
class Invariant:
    """A property of every reachable state, and the section that it follows from: of v2.40, or of a version it names.

    `claimed` says of which models: not every version, nor every reading, has each.
    """

    predicate: Callable[[State], bool]
    section: str
    claimed: Callable[[Model], bool] = of_every_model

    @property
    def name(self) -> str:
        """The name of the predicate."""
        return self.predicate.__name__

    @property
    def sentence(self) -> str:
        """What the predicate says, in words: its docstring."""
        return self.predicate.__doc__ or self.name.replace("_", " ")


def no_read_only_session_beside_so(s: State) -> bool:
    """While the SO is logged in to a token, no read-only session with it is open."""
    return not any(x.open and not x.rw and s.slots[x.slot].login == Login.SO for x in s.sessions)


def login_needs_a_session(s: State) -> bool:
    """Nobody is logged in to a token with which no session is open."""
    return all(
        slot.login == Login.NOBODY or any(x.open and x.slot == k for x in s.sessions) for k, slot in enumerate(s.slots)
    )


def sessions_of_a_token_agree(s: State) -> bool:
    """The states of all open sessions with a token show the same login."""
    return all(
        LOGIN_SHOWN[session_state(s, x)] == LOGIN_SHOWN[session_state(s, y)]
        for x, y in combinations(s.sessions, 2)
        if x.open and y.open and x.slot == y.slot
    )


def _active(o: Operations) -> bool:
    kinds = (o.encrypt, o.decrypt, o.digest, o.sign, o.sign_recover, o.verify, o.verify_recover, o.verify_signature)
    searching_or_processing = o.search != Search.NONE or o.process.kind != Messages.NONE
    return searching_or_processing or any(x.phase != Phase.NONE for x in kinds)


def operations_need_a_session(s: State) -> bool:
    """An operation, a search or a message-based process is active in open sessions only."""
    return all(x.open or not _active(x.operations) for x in s.sessions)


def nothing_outlives_the_library(s: State) -> bool:
    """While the library is not initialised, no session is open and nobody is logged in."""
    return s.initialized or not (any(x.open for x in s.sessions) or any(x.login != Login.NOBODY for x in s.slots))


def so_pin_is_set(s: State) -> bool:
    """A token always has an SO PIN."""
    return all(x.so_pin != Pin.NULL for x in s.slots)


def pins_to_be_changed_are_set(s: State) -> bool:
    """The PIN of the normal user may have to be changed only where it is set."""
    return not any(x.user_pin_to_be_changed and x.user_pin == Pin.NULL for x in s.slots)


def user_logs_in_with_a_pin(s: State) -> bool:
    """The normal user is not logged in to a token while the user PIN is not set."""
    return not any(x.login == Login.USER and x.user_pin == Pin.NULL for x in s.slots)


def nobody_logs_in_to_what_is_no_token(s: State) -> bool:
    """Whoever is logged in is so to a token that is present, recognised and initialised."""
    return all(x.login == Login.NOBODY or (x.present and x.recognized and x.initialized) for x in s.slots)


def initialised_tokens_stay_so(s: State) -> bool:
    """A token without an SO PIN is one that was never initialised, and has no user PIN either."""
    return all(x.initialized or (x.so_pin == Pin.NULL and x.user_pin == Pin.NULL) for x in s.slots)


def sessions_are_with_tokens(s: State) -> bool:
    """A session is open only with a slot that has a token which is recognised."""
    return all(not x.open or (s.slots[x.slot].present and s.slots[x.slot].recognized) for x in s.sessions)


def closed_sessions_hold_nothing(s: State) -> bool:
    """A handle that names no session keeps nothing of one: no state, no callback, no operation."""
    return all(x.open or not (x.rw or x.notify or _active(x.operations)) for x in s.sessions)


def handles_name_objects(s: State) -> bool:
    """A handle that the application holds names an object that exists."""
    return all(x.exists or not x.known for x in s.objects)


def handles_need_the_library(s: State) -> bool:
    """While the library is not initialised, no handle is kept but those of token objects, which may be good again."""
    return s.initialized or not any(x.known and not x.token for x in s.objects)


def private_handles_need_the_user(s: State) -> bool:
    """A private session object has a handle only while the user is logged in; that of a token object may be kept."""
    return all(not (x.known and x.private) or x.token or s.slots[x.slot].login == Login.USER for x in s.objects)


def session_objects_have_a_session(s: State) -> bool:
    """A session object exists only while the session is open that made it."""
    return all(not x.exists or x.token or s.sessions[x.owner].open for x in s.objects)


def session_objects_are_on_the_token_of_their_session(s: State) -> bool:
    """A session object is on the token of the session that made it."""
    return all(not x.exists or x.token or s.sessions[x.owner].slot == x.slot for x in s.objects)


def private_session_objects_go_with_the_user(s: State) -> bool:
    """A private session object exists only while the user is logged in."""
    return all(not x.exists or x.token or not x.private or s.slots[x.slot].login == Login.USER for x in s.objects)


def objects_gone_leave_nothing(s: State) -> bool:
    """What does not exist has no attributes."""
    return all(x.exists or not (x.token or x.private or x.labelled) for x in s.objects)


def _serving(role: Role) -> tuple[Mech, ...]:
    """The mechanisms that the text, or a later version of it, has for a role."""
    return (*with_role(role), *NOT_FOLLOWED.get(role, ()))


def _serves(o: Operation, role: Role) -> bool:
    return o.phase == Phase.NONE or one_of(o.mechanism, _serving(role))


def _all_serve(s: State, operation: Callable[[Operations], Operation], role: Role) -> bool:
    """In every session, and in the saved state, which may come back into one."""
    saved = not s.saved.valid or _serves(operation(s.saved.operations), role)
    return saved and all(_serves(operation(x.operations), role) for x in s.sessions)


def encryption_has_a_mechanism_for_it(s: State) -> bool:
    """An active encryption goes by a mechanism that encrypts."""
    return _all_serve(s, lambda o: o.encrypt, Role.ENCRYPT)


def decryption_has_a_mechanism_for_it(s: State) -> bool:
    """An active decryption goes by a mechanism that decrypts."""
    return _all_serve(s, lambda o: o.decrypt, Role.DECRYPT)


def digesting_has_a_mechanism_for_it(s: State) -> bool:
    """An active digest operation goes by a mechanism that digests."""
    return _all_serve(s, lambda o: o.digest, Role.DIGEST)


def signing_has_a_mechanism_for_it(s: State) -> bool:
    """An active signing goes by a mechanism that signs."""
    return _all_serve(s, lambda o: o.sign, Role.SIGN)


def recoverable_signing_has_a_mechanism_for_it(s: State) -> bool:
    """An active signing with recovery goes by a mechanism for that."""
    return _all_serve(s, lambda o: o.sign_recover, Role.SIGN_RECOVER)


def verification_has_a_mechanism_for_it(s: State) -> bool:
    """An active verification goes by a mechanism that verifies."""
    return _all_serve(s, lambda o: o.verify, Role.VERIFY)


def recoverable_verification_has_a_mechanism_for_it(s: State) -> bool:
    """An active verification with recovery goes by a mechanism for that."""
    return _all_serve(s, lambda o: o.verify_recover, Role.VERIFY_RECOVER)


def verification_gives_no_length(s: State) -> bool:
    """A verification has no output whose length it could have been asked for."""
    every = (s.saved.operations, *(x.operations for x in s.sessions))
    return all(x.verify.phase != Phase.ASKED for x in every)


def saved_states_hold_no_search(s: State) -> bool:
    """A saved state is of no search."""
    return not s.saved.valid or s.saved.operations.search == Search.NONE


def saved_states_hold_no_recovery(s: State) -> bool:
    """A saved state is of no signing or verification with recovery."""
    o = s.saved.operations
    return not s.saved.valid or (o.sign_recover.phase == Phase.NONE and o.verify_recover.phase == Phase.NONE)


def _made_by(kept: Kept, role: Role) -> bool:
    return not kept.valid or one_of(kept.mechanism, _serving(role))


def ciphertext_is_of_a_cipher(s: State) -> bool:
    """What an encryption gave was made by a mechanism that encrypts."""
    return _made_by(s.ciphertext, Role.ENCRYPT)


def signatures_are_of_signing_mechanisms(s: State) -> bool:
    """What a signing gave was made by a mechanism that signs, with recovery or without."""
    return _made_by(s.signature, Role.SIGN) or _made_by(s.signature, Role.SIGN_RECOVER)


def wrapped_keys_are_of_wrapping_mechanisms(s: State) -> bool:
    """What C_WrapKey gave was made by a mechanism that wraps."""
    return _made_by(s.wrapped, Role.WRAP)


def only_keys_are_wrapped(s: State) -> bool:
    """What C_WrapKey gave holds a key."""
    return not s.wrapped.valid or one_of(s.wrapped.kind, KEYS)


_MESSAGE_ROLES = {m.kind: m.role for m in MESSAGINGS}


def messages_in_parts_are_of_a_process(s: State) -> bool:
    """A message is under way in parts only where there is a message-based process that it is of."""
    return all(x.operations.process.kind != Messages.NONE or not x.operations.process.parted for x in s.sessions)


def processes_have_a_mechanism_for_it(s: State) -> bool:
    """A message-based process goes by a mechanism that does to messages what the process does."""
    return all(
        x.operations.process.kind != kind or one_of(x.operations.process.mechanism, _serving(role))
        for x in s.sessions
        for kind, role in _MESSAGE_ROLES.items()
    )


def saved_states_hold_no_process(s: State) -> bool:
    """A saved state is of no message-based process."""
    return not s.saved.valid or s.saved.operations.process.kind == Messages.NONE


def messages_are_of_mechanisms_for_them(s: State) -> bool:
    """What became of a message was made by a mechanism that encrypts or signs messages."""
    return _made_by(s.message, Role.MESSAGE_ENCRYPT) or _made_by(s.message, Role.MESSAGE_SIGN)


def verification_of_given_signatures_has_a_mechanism_for_it(s: State) -> bool:
    """An active verification that was given its signature goes by a mechanism that verifies."""
    return _all_serve(s, lambda o: o.verify_signature, Role.VERIFY)


def only_what_was_given_is_judged(s: State) -> bool:
    """Of a signature something is known only while the verification is active that it was given to."""
    every = (s.saved.operations, *(x.operations for x in s.sessions))
    return all(o.judged == Judged.DOUBTFUL or o.verify_signature.phase != Phase.NONE for o in every)


def saved_states_hold_no_given_signature(s: State) -> bool:
    """A saved state is of no verification that was given its signature."""
    return not s.saved.valid or s.saved.operations.verify_signature.phase == Phase.NONE


def sealed_keys_are_of_mechanisms_for_it(s: State) -> bool:
    """What authenticated wrapping gave was made by a mechanism for it."""
    return _made_by(s.sealed, Role.WRAP_AUTHENTICATED)


def capsules_are_of_mechanisms_for_them(s: State) -> bool:
    """What C_EncapsulateKey gave was made by a mechanism that encapsulates."""
    return _made_by(s.capsule, Role.ENCAPSULATE)


CATALOGUE = (
    Invariant(no_read_only_session_beside_so, "5.6", the_so_is_alone),
    Invariant(login_needs_a_session, "5.6"),
    Invariant(sessions_of_a_token_agree, "5.6", the_so_is_alone),
    Invariant(operations_need_a_session, "5.6"),
    Invariant(nothing_outlives_the_library, "5.4"),
    Invariant(so_pin_is_set, "5.5"),
    Invariant(pins_to_be_changed_are_set, "5.5", null_is_no_pin),
    Invariant(user_logs_in_with_a_pin, "5.6"),
    Invariant(sessions_are_with_tokens, "5.6"),
    Invariant(initialised_tokens_stay_so, "5.5"),
    Invariant(nobody_logs_in_to_what_is_no_token, "5.6"),
    Invariant(closed_sessions_hold_nothing, "5.6"),
    Invariant(handles_name_objects, "5.7"),
    Invariant(handles_need_the_library, "5.4"),
    Invariant(session_objects_have_a_session, "5.6"),
    Invariant(session_objects_are_on_the_token_of_their_session, "5.6"),
    Invariant(private_session_objects_go_with_the_user, "5.6"),
    Invariant(private_handles_need_the_user, "5.6"),
    Invariant(objects_gone_leave_nothing, "5.7"),
    Invariant(encryption_has_a_mechanism_for_it, "5.8"),
    Invariant(decryption_has_a_mechanism_for_it, "5.9"),
    Invariant(digesting_has_a_mechanism_for_it, "5.10"),
    Invariant(signing_has_a_mechanism_for_it, "5.11"),
    Invariant(recoverable_signing_has_a_mechanism_for_it, "5.11"),
    Invariant(verification_has_a_mechanism_for_it, "5.11"),
    Invariant(recoverable_verification_has_a_mechanism_for_it, "5.11"),
    Invariant(verification_gives_no_length, "5.11"),
    Invariant(saved_states_hold_no_search, "5.6"),
    Invariant(saved_states_hold_no_recovery, "5.6"),
    Invariant(ciphertext_is_of_a_cipher, "5.8"),
    Invariant(signatures_are_of_signing_mechanisms, "5.11"),
    Invariant(wrapped_keys_are_of_wrapping_mechanisms, "5.13"),
    Invariant(only_keys_are_wrapped, "5.13"),
    Invariant(messages_in_parts_are_of_a_process, "5.9 of v3.0", there_are_messages),
    Invariant(processes_have_a_mechanism_for_it, "5.9 of v3.0", there_are_messages),
    Invariant(saved_states_hold_no_process, "5.6", there_are_messages),
    Invariant(messages_are_of_mechanisms_for_them, "5.9 of v3.0", there_are_messages),
    Invariant(verification_of_given_signatures_has_a_mechanism_for_it, "5.15 of v3.2", signatures_are_given_first),
    Invariant(only_what_was_given_is_judged, "5.15 of v3.2", signatures_are_given_first),
    Invariant(saved_states_hold_no_given_signature, "5.6", signatures_are_given_first),
    Invariant(sealed_keys_are_of_mechanisms_for_it, "5.18 of v3.2", signatures_are_given_first),
    Invariant(capsules_are_of_mechanisms_for_them, "5.18 of v3.2", signatures_are_given_first),
)
"""Every invariant that some model has; some are proved by an induction only together with others.

v2.01 lists no code against a NULL new PIN, so a token that takes one may end without a PIN.
"""


def invariants(model: Model) -> tuple[Invariant, ...]:
    """Those that a model has."""
    return tuple(x for x in CATALOGUE if x.claimed(model))
