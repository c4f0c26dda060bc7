"""Practices: what a module does of its own where the text leaves it room, each beside a breach that the text rules out.

A module with a practice is right, so that the tester must find nothing in it; one with the breach beside it is wrong,
and must be found out. Whoever adds a rule asks what an honest module might do otherwise, and adds it here.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..model.call import Attribute, Blob, Buffer, Call, Data, Flaw, Many, Setting
from ..model.chapters.conditions import object_reachable
from ..model.chapters.objects import POLICY_PERHAPS_BARS
from ..model.chapters.operations import ACTIVITIES, VERIFYING_SIGNATURE
from ..model.decide import forbids_ok
from ..model.interface import SIGNATURES
from ..model.oracle import Model, applicable, following, permitted
from ..model.state import Login, Mech, Messages, Operations, Pin, Search, Session, Slot, State, Trait, put_object
from ..model.table import TABLE, functions_where
from ..model.vocabulary import CKR, CKU
from .simulated import Simulated


@dataclass(frozen=True, slots=True)
class Scene:
    """A call in the state that a module is in, with what the module counted so far for itself."""

    model: Model
    state: State
    call: Call
    counts: Counter[str]

    @property
    def session(self) -> Session | None:
        """The session that is named, where it is open."""
        if not SIGNATURES[self.call.function].takes_session or self.call.args.session >= len(self.state.sessions):
            return None
        session = self.state.sessions[self.call.args.session]
        return session if self.state.initialized and session.open else None

    @property
    def slot(self) -> Slot | None:
        """The slot of that session."""
        return None if self.session is None else self.state.slots[self.session.slot]

    @property
    def forbidding(self) -> frozenset[CKR]:
        """The codes of the rows that keep the call from success."""
        return frozenset(r.code for r in applicable(self.model, self.state, self.call) if forbids_ok(r))

    @property
    def rows(self) -> frozenset[str]:
        """What is so, by the ids of the rows that apply."""
        return frozenset(r.id for r in applicable(self.model, self.state, self.call))

    @property
    def busy(self) -> bool:
        """Whether something is active in that session."""
        return self.session is not None and self.session.operations != Operations()

    @property
    def could_succeed(self) -> bool:
        """Whether nothing keeps the call from success."""
        return CKR.OK in permitted(self.model, self.state, self.call)


Answer = Callable[[Scene], CKR | None]
"""The return value where the module does as it likes; None where it does as any."""

Settle = Callable[[Scene, CKR, Sequence[State]], State]
"""The state after a call, given those that the text permits; a breach may think of another."""

Give = Callable[[str, Sequence[int]], int]
"""The value of an output, given its name and those that the text permits, of which there is one at least."""


def _as_any(scene: Scene) -> None:  # noqa: ARG001
    return None


def _first(scene: Scene, code: CKR, states: Sequence[State]) -> State:  # noqa: ARG001
    return states[0]


def _least(name: str, values: Sequence[int]) -> int:  # noqa: ARG001
    return values[0]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a module differs from any other: in return values, in what becomes of its state, in what it gives out."""

    answer: Answer = _as_any
    settle: Settle = _first
    give: Give = _least
    token: Callable[[Slot], Slot] = lambda slot: slot
    """What is true of its tokens."""


@dataclass(frozen=True, slots=True)
class Practice:
    """A practice and the breach beside it: `may` tells what the text leaves open at `place`, `must` what it bars."""

    name: str
    may: str
    place: str
    honest: Behaviour
    must: str
    breach: Behaviour
    shown: str
    """The function that shows the breach first, whose answer is the failure."""


class Accustomed(Simulated):
    """A simulated module that behaves in its own way."""

    def __init__(self, model: Model, initial: State, behaviour: Behaviour, seed: int = 0) -> None:
        super().__init__(model, tokens_of(initial, behaviour), seed)
        self._behaviour = behaviour
        self._counts: Counter[str] = Counter()

    def _scene(self, call: Call) -> Scene:
        return Scene(self._model, self._state, call, self._counts)

    def _choose(self, call: Call) -> CKR:
        """As the behaviour has it, and where it has nothing to say as the text permits."""
        chosen = self._behaviour.answer(self._scene(call))
        return super()._choose(call) if chosen is None else chosen

    def _settle(self, call: Call, code: CKR) -> State:
        try:
            states = following(self._model, self._state, call, code)
        except StopIteration:
            raise IndexError("a breach let pass an object for which there is no room") from None
        return self._behaviour.settle(self._scene(call), code, states)

    def _give(self, name: str, values: Sequence[int]) -> int:
        return self._behaviour.give(name, values)

    def reset(self, restore_token: bool) -> None:
        """Start afresh; a token that is put back has forgotten what was counted, too."""
        super().reset(restore_token)
        if restore_token:
            self._counts.clear()


def tokens_of(initial: State, behaviour: Behaviour) -> State:
    """A state whose tokens are such as the module has; a profile of it would say so."""
    return replace(initial, slots=tuple(map(behaviour.token, initial.slots)))


_MAKING: Final = functions_where(lambda f: "token" in f.uses)
"""Functions that make objects."""

_INITS: Final = frozenset(k.init for k in ACTIVITIES)
_WORKING: Final = frozenset(name for name in TABLE for k in ACTIVITIES if name.startswith(k.stem))
"""Functions that begin an operation, and those that begin one or work on one."""

_FOR_USERS: Final = ("5.7", "5.8", "5.9", "5.10", "5.11", "5.12", "5.13", "5.14")
"""Sections of the functions that do more than look after sessions, tokens and logins."""

_TESTED: Final = functions_where(
    lambda f: f.signature.takes_session and any(r.code == CKR.FIPS_SELF_TEST_FAILED for r in f.rules)
)
"""Functions with a session that test what they make, or what makes it."""

_KEYS: Final = frozenset(name for name, signature in SIGNATURES.items() if signature.section == "5.13")


# What modules do of their own.


def _login_first(x: Scene) -> CKR | None:
    wants_user = SIGNATURES[x.call.function].section in _FOR_USERS
    absent = x.slot is not None and x.slot.login_required and x.slot.login != Login.USER
    return CKR.USER_NOT_LOGGED_IN if wants_user and absent else None


def _private_objects_for_nobody(x: Scene) -> CKR | None:
    makes = x.call.function == "C_CreateObject" and x.call.args.private and x.call.args.flaw == Flaw.NONE
    return CKR.OK if makes and x.slot is not None and x.slot.login == Login.NOBODY and not x.call.args.token else None


def _only(token: bool) -> Answer:
    """Objects are made on the token only, or in sessions only."""

    def answer(x: Scene) -> CKR | None:
        other = x.call.function in _MAKING and x.call.args.token != token
        return CKR.TEMPLATE_INCONSISTENT if other and x.session is not None else None

    return answer


def _no_writing_sessions(x: Scene) -> CKR | None:
    writes = x.state.initialized and x.call.function == "C_OpenSession" and x.call.args.rw
    return CKR.TOKEN_WRITE_PROTECTED if writes and x.could_succeed else None


def _writes_through_read_only_sessions(x: Scene) -> CKR | None:
    writes = x.call.function == "C_CreateObject" and x.call.args.token and x.call.args.flaw == Flaw.NONE
    return CKR.OK if writes and x.session is not None and not x.session.rw and not x.call.args.private else None


def _own_templates(x: Scene) -> CKR | None:
    """Keys that anybody may read are not made."""
    plain = x.call.function in _MAKING and x.call.args.trait == Trait.PLAIN
    return CKR.ATTRIBUTE_VALUE_INVALID if plain and x.session is not None and not x.call.args.private else None


def _own_templates_by_the_generic_code(x: Scene) -> CKR | None:
    return CKR.ARGUMENTS_BAD if _own_templates(x) is not None and x.could_succeed else None


def _shows_secrets(x: Scene) -> CKR | None:
    secret = CKR.ATTRIBUTE_SENSITIVE in permitted(x.model, x.state, x.call)
    return CKR.OK if secret and x.call.function == "C_GetAttributeValue" else None


def _labels_stay(x: Scene) -> CKR | None:
    sets = x.call.function == "C_SetAttributeValue" and x.session is not None
    return CKR.ATTRIBUTE_READ_ONLY if sets and x.could_succeed else None


def _forbidden_succeeds(function: str, code: CKR) -> Answer:
    """Success where a code must be returned."""

    def answer(x: Scene) -> CKR | None:
        return CKR.OK if x.call.function == function and code in x.forbidding else None

    return answer


def _lets_pass(function: str, row: str) -> Answer:
    """Success in a situation that forbids it, where nothing else does."""

    def answer(x: Scene) -> CKR | None:
        if x.call.function != function or row not in x.rows:
            return None
        others = (r.id for r in applicable(x.model, x.state, x.call) if forbids_ok(r))
        return CKR.OK if {*others} == {row} else None

    return answer


def _not_permitted(x: Scene) -> CKR | None:
    """A mechanism that a key is not for is a use that it is not for."""
    named, code = x.call.function in _INITS and _NOT_ALLOWED in x.rows, CKR.KEY_FUNCTION_NOT_PERMITTED
    return code if named and code in permitted(x.model, x.state, x.call) else None


_NOT_ALLOWED: Final = "mechanism-not-allowed"


def _once_and_for_all(x: Scene) -> CKR | None:
    """What protects keys is read-only before it is set, too."""
    back = x.call.function == "C_SetAttributeValue" and x.call.args.setting == Setting.BACK
    return CKR.ATTRIBUTE_READ_ONLY if back and x.could_succeed else None


def _sets_several(x: Scene) -> bool:
    return x.call.function == "C_SetAttributeValue" and x.call.args.attribute == Attribute.SEVERAL


def _unknown_let_be(x: Scene) -> CKR | None:
    """An attribute that nobody knows is let be."""
    return CKR.OK if _sets_several(x) and x.could_succeed else None


def _type_invalid(x: Scene) -> CKR | None:
    return CKR.ATTRIBUTE_TYPE_INVALID if _sets_several(x) and x.could_succeed else None


def _sets_in_turn(x: Scene, code: CKR, states: Sequence[State]) -> State:
    """What comes before the attribute that is refused is set."""
    s, k = states[0], x.call.args.object
    if code != CKR.ATTRIBUTE_TYPE_INVALID or not _sets_several(x) or not x.could_succeed:
        return s
    return put_object(s, k, replace(s.objects[k], labelled=True))


def _batches(x: Scene, code: CKR, states: Sequence[State]) -> State:
    """The first batch of a search has the fewest handles."""
    if code != CKR.OK or x.call.function != "C_FindObjects" or x.call.args.many != Many.PLENTY:
        return states[0]
    batches = [after for after in states if any(s.operations.search == Search.BATCH for s in after.sessions)]
    return min(filter(_known, batches), key=_known, default=states[0])


def _finds_nothing(name: str, values: Sequence[int]) -> int:
    return 0 if name == "found" else values[0]


def _among(pick: Callable[..., State], key: Callable[[State], int], *functions: str) -> Settle:
    """The state with the most or the least of something, as `pick` has it, where some functions leave that open."""

    def settle(x: Scene, code: CKR, states: Sequence[State]) -> State:
        return pick(states, key=key) if code == CKR.OK and x.call.function in functions else states[0]

    return settle


def _known(s: State) -> int:
    return sum(o.known for o in s.objects)


def _logins_outlive(*functions: str) -> Settle:
    def settle(x: Scene, code: CKR, states: Sequence[State]) -> State:
        after = states[0]
        if code != CKR.OK or x.call.function not in functions:
            return after
        kept = zip(after.slots, x.state.slots, strict=True)
        return replace(after, slots=tuple(replace(new, login=old.login) for new, old in kept))

    return settle


def _overstates(x: Scene) -> CKR | None:
    """A buffer shorter by one than what it was told to need is enough."""
    args = x.call.args
    short = "buffer" in TABLE[x.call.function].uses and args.buffer == Buffer.SHORT
    return CKR.OK if short and x.could_succeed else None


def _never_enough(x: Scene) -> CKR | None:
    args = x.call.args
    given = x.call.function == "C_Digest" and args.buffer == Buffer.ENOUGH
    return CKR.BUFFER_TOO_SMALL if given and x.could_succeed else None


def _empty_pins(x: Scene) -> CKR | None:
    sets = "new_pin" in TABLE[x.call.function].uses and x.call.args.new_pin == Pin.NULL
    return CKR.OK if sets and x.could_succeed else None


def _so_without_characters(x: Scene) -> CKR | None:
    """The SO's PIN is empty, and NULL stands for it."""
    as_so = x.call.function == "C_Login" and x.call.args.user == CKU.SO and x.call.args.pin == Pin.NULL
    return CKR.OK if as_so and x.could_succeed else None


def _user_without_characters(x: Scene) -> CKR | None:
    as_user = x.call.function == "C_Login" and x.call.args.user == CKU.USER and x.call.args.pin == Pin.NULL
    return CKR.OK if as_user and x.forbidding == {CKR.ARGUMENTS_BAD, CKR.PIN_INCORRECT} else None


_MOST_WRONG: Final = 3


def _locks(x: Scene) -> CKR | None:
    """The third wrong PIN in a row locks it, until the SO sets another."""
    if x.call.function == "C_InitToken" or (x.call.function == "C_InitPIN" and x.could_succeed):
        x.counts.clear()
    if x.call.function != "C_Login" or x.call.args.user != CKU.USER:
        return None
    codes = permitted(x.model, x.state, x.call)
    if x.counts["wrong"] >= _MOST_WRONG and CKR.PIN_LOCKED in codes:
        return CKR.PIN_LOCKED
    if CKR.OK not in codes and CKR.PIN_INCORRECT in codes:
        x.counts["wrong"] += 1
        return CKR.PIN_INCORRECT
    if CKR.OK in codes:
        x.counts["wrong"] = 0
        return CKR.OK
    return None


def _ro_sessions_beside_so(x: Scene) -> CKR | None:
    codes = permitted(x.model, x.state, x.call)
    beside = {CKR.SESSION_READ_ONLY_EXISTS, CKR.SESSION_READ_WRITE_SO_EXISTS} & codes
    return CKR.OK if beside and CKR.OK in codes else None


def _replaces(x: Scene) -> CKR | None:
    """An Init takes the place of what is active."""
    return CKR.OK if x.busy and x.call.function in _INITS and x.could_succeed else None


def _running(s: State) -> int:
    return sum(x.operations != Operations() for x in s.sessions)


def _arguments_first(x: Scene) -> CKR | None:
    return CKR.ARGUMENTS_BAD if x.call.args.null and x.state.initialized else None


def _sessions_first(x: Scene) -> CKR | None:
    named = x.state.initialized and SIGNATURES[x.call.function].takes_session
    return CKR.SESSION_HANDLE_INVALID if named and x.session is None else None


def _self_tests_fail(x: Scene) -> CKR | None:
    tested = x.call.function in _TESTED
    x.counts["tested"] += tested
    fails = tested and x.counts["tested"] % 2 and x.could_succeed
    return CKR.FIPS_SELF_TEST_FAILED if fails else None


def _everywhere(function: str, code: CKR) -> Answer:
    """A code where its definition has no place."""
    return lambda x: code if x.call.function == function and x.could_succeed else None


_POLICY: Final = functions_where(lambda f: any(r.id == POLICY_PERHAPS_BARS.id for r in f.rules))


def _policy(x: Scene) -> CKR | None:
    barred = x.call.function in _POLICY and x.session is not None
    there = barred and object_reachable(x.state, x.call.args.session, x.call.args.object)
    return CKR.ACTION_PROHIBITED if there and (x.call.args.object % 2 == 0) else None


def _restores_anywhere(x: Scene) -> CKR | None:
    restores = x.call.function == "C_SetOperationState" and x.session is not None and x.state.saved.valid
    return CKR.OK if restores and x.call.args.blob == Blob.SAVED and x.could_succeed else None


def _one_at_a_time(x: Scene) -> CKR | None:
    begins = x.call.function in _INITS | {"C_FindObjectsInit"}
    return CKR.OPERATION_ACTIVE if x.busy and begins and x.could_succeed else None


def _stays_initialized(x: Scene, code: CKR, states: Sequence[State]) -> State:
    return x.state if code == CKR.OK and x.call.function == "C_Finalize" else states[0]


def _stubs(x: Scene) -> CKR | None:
    return CKR.FUNCTION_NOT_SUPPORTED if x.call.function in _KEYS | {"C_GetMechanismList"} else None


def _slots_unlisted(x: Scene) -> CKR | None:
    """No slot is known before the list of slots was asked for."""
    if x.call.function == "C_GetSlotList" or not x.state.initialized:
        x.counts["listed"] = int(x.state.initialized)
    by_slot = "slot" in TABLE[x.call.function].uses and x.state.initialized
    shown = x.counts["listed"] or any(s.open for s in x.state.sessions)
    return CKR.SLOT_ID_INVALID if by_slot and not shown else None


def _generic_code(x: Scene) -> CKR | None:
    bad = {CKR.SLOT_ID_INVALID, CKR.USER_TYPE_INVALID, CKR.MECHANISM_INVALID, CKR.KEY_HANDLE_INVALID}
    bad |= {CKR.OBJECT_HANDLE_INVALID, CKR.ATTRIBUTE_TYPE_INVALID}
    return CKR.ARGUMENTS_BAD if x.forbidding and x.forbidding <= bad else None


def _short_of_memory(x: Scene) -> CKR | None:
    x.counts["calls"] += 1
    own = x.counts["calls"] % 5 == 0 and x.could_succeed and x.call.function not in ("C_Initialize", "C_Finalize")
    return CKR.DEVICE_MEMORY if own else None


def _expires(x: Scene) -> CKR | None:
    """A PIN that the SO set is to be changed before anything else."""
    if x.session is None or x.slot is None:
        return None
    expired = f"expired in {x.session.slot}"
    if x.call.function == "C_InitPIN" and x.could_succeed:
        x.counts[expired] = 1
        return CKR.OK
    if x.call.function == "C_SetPIN" and x.could_succeed and x.slot.login != Login.SO:
        x.counts[expired] = 0
        return CKR.OK
    works = x.call.function in _WORKING | _MAKING and x.slot.login == Login.USER
    return CKR.PIN_EXPIRED if works and x.counts[expired] and x.could_succeed else None


def _legacy_runs(x: Scene) -> CKR | None:
    legacy = not TABLE[x.call.function].returns_ok
    return CKR.FUNCTION_NOT_PARALLEL if legacy and x.state.initialized else None


def _token_first(x: Scene) -> CKR | None:
    """No token is there before C_Initialize."""
    signature = SIGNATURES[x.call.function]
    by_slot = signature.uses_token and not signature.takes_session
    return CKR.TOKEN_NOT_PRESENT if by_slot and not x.state.initialized else None


def _saves_nothing(x: Scene) -> CKR | None:
    """A state in which nothing is active is saved, and is empty; an empty state is refused."""
    if x.session is None or x.call.args.null:
        return None
    if x.call.function == "C_GetOperationState":
        return CKR.OK if x.could_succeed else None
    empty = x.call.args.blob == Blob.SAVED and x.state.saved.operations == Operations()
    refused = x.call.function == "C_SetOperationState" and empty
    return CKR.ARGUMENTS_BAD if refused and CKR.ARGUMENTS_BAD in permitted(x.model, x.state, x.call) else None


def _one_more(_name: str, values: Sequence[int]) -> int:
    """Of a length that may exceed the need."""
    return values[1] if isinstance(values, range) else values[0]


def _one_less(_name: str, values: Sequence[int]) -> int:
    return values[0] - 1 if isinstance(values, range) else values[0]


# What modules of v3.0 and v3.2 do of their own.


def _wherever(code: CKR, when: Callable[[Scene], bool]) -> Answer:
    """A code wherever the text permits it, and something holds."""
    return lambda x: code if when(x) and code in permitted(x.model, x.state, x.call) else None


def _always(scene: Scene) -> bool:  # noqa: ARG001
    return True


def _in_process(x: Scene) -> bool:
    return x.session is not None and x.session.operations.process.kind != Messages.NONE


def _processes(s: State) -> int:
    """How many message-based processes there are, those with a message under way counting twice."""
    running = [x.operations.process for x in s.sessions if x.operations.process.kind != Messages.NONE]
    return len(running) + sum(p.parted for p in running)


def _process_ends(x: Scene, code: CKR, states: Sequence[State]) -> State:  # noqa: ARG001
    """What the text lets an error end is ended."""
    return min(states, key=_processes)


def _begins_parts(x: Scene) -> bool:
    return x.call.function.endswith("MessageBegin")


def _parts_of_signature(x: Scene) -> bool:
    begins = x.call.function == VERIFYING_SIGNATURE.init and not x.call.args.null
    return begins and x.call.args.signature in (Data.CUT, Data.EMPTY)


def _wraps(x: Scene) -> bool:
    return x.call.function.endswith(("KeyAuthenticated", "capsulateKey"))


def _no_place(x: Scene) -> bool:
    return x.call.function == "C_EncapsulateKey" and x.call.args.buffer == Buffer.NULL


def _not_validated(x: Scene) -> bool:
    return x.could_succeed and x.call.args.mechanism in (Mech.SHA_1, Mech.AES_ECB, Mech.EC_KEY_PAIR_GEN)


PRACTICES_SINCE_V3_0: Final = (
    Practice(
        "nothing is cancelled",
        "What is active ends when it is done, and not before.",
        "5.1.6 of v3.0 CKR_OPERATION_CANCEL_FAILED",
        Behaviour(_wherever(CKR.OPERATION_CANCEL_FAILED, _always)),
        "C_SessionCancel answers as if it had to have something to cancel.",
        Behaviour(_everywhere("C_SessionCancel", CKR.OPERATION_NOT_INITIALIZED)),
        "C_SessionCancel",
    ),
    Practice(
        "a process is alone",
        "A session with a message-based process begins nothing else.",
        "5.1.6 CKR_OPERATION_ACTIVE",
        Behaviour(_wherever(CKR.OPERATION_ACTIVE, _in_process)),
        "A message is encrypted that no process was begun for.",
        Behaviour(_forbidden_succeeds("C_EncryptMessage", CKR.OPERATION_NOT_INITIALIZED)),
        "C_EncryptMessage",
    ),
    Practice(
        "errors end processes",
        "A message that fails takes its process with it.",
        "5.9 of v3.0",
        Behaviour(settle=_process_ends),
        "A message that was tampered with is decrypted.",
        Behaviour(_forbidden_succeeds("C_DecryptMessage", CKR.AEAD_DECRYPT_FAILED)),
        "C_DecryptMessage",
    ),
    Practice(
        "messages at once",
        "No mechanism takes messages in parts.",
        "3.5 of v3.0, CKF_MULTI_MESSAGE",
        Behaviour(_wherever(CKR.MECHANISM_INVALID, _begins_parts)),
        "A message goes on that was never begun.",
        Behaviour(_forbidden_succeeds("C_EncryptMessageNext", CKR.OPERATION_NOT_INITIALIZED)),
        "C_EncryptMessageNext",
    ),
    Practice(
        "no names",
        "Users have no names, and no other user is known by one.",
        "5.6 of v3.0 C_LoginUser",
        Behaviour(_wherever(CKR.ARGUMENTS_BAD, lambda x: x.call.args.named)),
        "A wrong PIN is accepted of a user with a name.",
        Behaviour(_forbidden_succeeds("C_LoginUser", CKR.PIN_INCORRECT)),
        "C_LoginUser",
    ),
    Practice(
        "signatures looked at first",
        "A signature of an impossible length is refused when it is given.",
        "5.15 of v3.2 C_VerifySignatureInit",
        Behaviour(_wherever(CKR.SIGNATURE_LEN_RANGE, _parts_of_signature)),
        "A signature that was tampered with is valid.",
        Behaviour(_forbidden_succeeds("C_VerifySignature", CKR.SIGNATURE_INVALID)),
        "C_VerifySignature",
    ),
    Practice(
        "general codes of keys",
        "Keys that are wrapped and encapsulated with have the codes of all other keys.",
        "5.1.6, 5.18 of v3.2",
        Behaviour(_wherever(CKR.KEY_TYPE_INCONSISTENT, _wraps)),
        "A key comes out of what nobody sealed.",
        Behaviour(_forbidden_succeeds("C_UnwrapKeyAuthenticated", CKR.AEAD_DECRYPT_FAILED)),
        "C_UnwrapKeyAuthenticated",
    ),
    Practice(
        "no query of capsules",
        "C_EncapsulateKey wants a place for the ciphertext.",
        "5.18 of v3.2 C_EncapsulateKey",
        Behaviour(_wherever(CKR.ARGUMENTS_BAD, _no_place)),
        "A key serves for what its attribute does not let it.",
        Behaviour(_forbidden_succeeds("C_EncapsulateKey", CKR.KEY_FUNCTION_NOT_PERMITTED)),
        "C_EncapsulateKey",
    ),
    Practice(
        "a policy of validation",
        "The token refuses what it is not validated for.",
        "5.1.1 of v3.2 CKR_OPERATION_NOT_VALIDATED",
        Behaviour(lambda x: CKR.OPERATION_NOT_VALIDATED if _not_validated(x) else None),
        "A call is pending in a session that is not for such calls.",
        Behaviour(_everywhere("C_GenerateRandom", CKR.PENDING)),
        "C_GenerateRandom",
    ),
    Practice(
        "factory tokens",
        "A token that was never initialised does nothing but that.",
        "5.1.3 of v3.2 CKR_TOKEN_NOT_INITIALIZED",
        Behaviour(_wherever(CKR.TOKEN_NOT_INITIALIZED, _always)),
        "A call is joined that nobody made.",
        Behaviour(_forbidden_succeeds("C_AsyncJoin", CKR.SAVED_STATE_INVALID)),
        "C_AsyncJoin",
    ),
)
"""Those of modules that have the interface of v3.2."""


PRACTICES: Final = (
    Practice(
        "login first",
        "Nothing but sessions and logins works until the user is logged in.",
        "5.1.6 CKR_USER_NOT_LOGGED_IN",
        Behaviour(_login_first),
        "Private objects are made for nobody.",
        Behaviour(_private_objects_for_nobody),
        "C_CreateObject",
    ),
    Practice(
        "token objects only",
        "The token refuses session objects.",
        "4.1.1 rule 5",
        Behaviour(_only(token=True)),
        "A handle of no object is valid.",
        Behaviour(_forbidden_succeeds("C_GetObjectSize", CKR.OBJECT_HANDLE_INVALID)),
        "C_GetObjectSize",
    ),
    Practice(
        "session objects only",
        "The token keeps no objects of the application's.",
        "4.1.1 rule 5",
        Behaviour(_only(token=False)),
        "An attribute is read that no object has.",
        Behaviour(_forbidden_succeeds("C_GetAttributeValue", CKR.ATTRIBUTE_TYPE_INVALID)),
        "C_GetAttributeValue",
    ),
    Practice(
        "read-only sessions only",
        "The token is not written to.",
        "5.1.6 CKR_TOKEN_WRITE_PROTECTED",
        Behaviour(_no_writing_sessions, token=lambda slot: replace(slot, write_protected=True)),
        "A read-only session writes to the token.",
        Behaviour(_writes_through_read_only_sessions),
        "C_CreateObject",
    ),
    Practice(
        "templates of its own",
        "The token refuses keys that nothing protects.",
        "4.1.1 rule 5",
        Behaviour(_own_templates),
        "A sensitive value is given out.",
        Behaviour(_shows_secrets),
        "C_GetAttributeValue",
    ),
    Practice(
        "labels stay",
        "Attributes that may be modified cannot be on this token.",
        "4.1.2",
        Behaviour(_labels_stay),
        "An object that is not modifiable is modified.",
        Behaviour(_forbidden_succeeds("C_SetAttributeValue", CKR.ACTION_PROHIBITED)),
        "C_SetAttributeValue",
    ),
    Practice(
        "mechanisms are uses",
        "A mechanism that a key is not for is refused as a use that it is not for.",
        "4.7 CKA_ALLOWED_MECHANISMS",
        Behaviour(_not_permitted),
        "A key is used with a mechanism that it is not for.",
        Behaviour(_lets_pass("C_EncryptInit", _NOT_ALLOWED)),
        "C_EncryptInit",
    ),
    Practice(
        "once and for all",
        "What protects a key cannot be set to what it is already, either.",
        "4.1.2",
        Behaviour(_once_and_for_all),
        "A sensitive key becomes one that is not.",
        Behaviour(_lets_pass("C_SetAttributeValue", "attribute-set-back")),
        "C_SetAttributeValue",
    ),
    Practice(
        "unknown attributes let be",
        "What is known of a template is set, and what is not is let be.",
        "4.1.1 rule 1",
        Behaviour(_unknown_let_be),
        "A call that fails sets what comes before the attribute that it fails for.",
        Behaviour(_type_invalid, _sets_in_turn),
        "C_GetAttributeValue",
    ),
    Practice(
        "searches in batches",
        "A call of C_FindObjects gives fewer handles than there is room for.",
        "5.7 C_FindObjects",
        Behaviour(settle=_batches),
        "A search finds nothing.",
        Behaviour(give=_finds_nothing),
        "C_FindObjects",
    ),
    Practice(
        "handles outlive C_Finalize",
        "A handle on a token object is the same for as long as the object is there.",
        "3.4 CK_OBJECT_HANDLE",
        Behaviour(settle=_among(max, _known, "C_Finalize")),
        "A login outlives C_Finalize.",
        Behaviour(settle=_logins_outlive("C_Finalize")),
        "C_Login",
    ),
    Practice(
        "handles die with the last session",
        "Handles on token objects are forgotten when the last session is closed.",
        "3.4 CK_OBJECT_HANDLE",
        Behaviour(settle=_among(min, _known, "C_CloseSession", "C_CloseAllSessions")),
        "A session is closed twice.",
        Behaviour(_forbidden_succeeds("C_CloseSession", CKR.SESSION_HANDLE_INVALID)),
        "C_CloseSession",
    ),
    Practice(
        "lengths overstated",
        "What a query tells somewhat exceeds what is needed.",
        "5.2",
        Behaviour(_overstates),
        "A buffer of the length that a query told is too small.",
        Behaviour(_never_enough),
        "C_Digest",
    ),
    Practice(
        "empty PINs",
        "The token's shortest PIN is empty.",
        "3.2 CK_TOKEN_INFO, ulMinPinLen",
        Behaviour(_empty_pins, token=lambda slot: replace(slot, empty_pin_legal=True)),
        "The user's PIN is set by others than the SO.",
        Behaviour(_forbidden_succeeds("C_InitPIN", CKR.USER_NOT_LOGGED_IN)),
        "C_InitPIN",
    ),
    Practice(
        "an empty SO PIN",
        "The SO's PIN is empty, and NULL stands for it.",
        "3.2 CK_TOKEN_INFO, ulMinPinLen",
        Behaviour(_so_without_characters, token=lambda slot: replace(slot, empty_pin_legal=True)),
        "NULL stands for the user's PIN, too.",
        Behaviour(_user_without_characters),
        "C_Login",
    ),
    Practice(
        "a PIN locked after three",
        "Three wrong PINs in a row lock it.",
        "5.6 C_Login",
        Behaviour(_locks),
        "A wrong PIN is accepted.",
        Behaviour(_forbidden_succeeds("C_Login", CKR.PIN_INCORRECT)),
        "C_Login",
    ),
    Practice(
        "read-only sessions beside the SO",
        "The SO logs in while read-only sessions exist.",
        "5.6 C_Login, and 2.6.2 of the usage guide",
        Behaviour(_ro_sessions_beside_so),
        "The SO logs in while the user is logged in.",
        Behaviour(_forbidden_succeeds("C_Login", CKR.USER_ANOTHER_ALREADY_LOGGED_IN)),
        "C_Login",
    ),
    Practice(
        "an Init replaces",
        "An operation begun takes the place of what is active.",
        "5.1.6 CKR_OPERATION_ACTIVE",
        Behaviour(_replaces),
        "An operation ends that was never begun.",
        Behaviour(_forbidden_succeeds("C_DigestFinal", CKR.OPERATION_NOT_INITIALIZED)),
        "C_DigestFinal",
    ),
    Practice(
        "operations end at logout",
        "C_Logout ends what is active.",
        "5.6 C_Logout",
        Behaviour(settle=_among(min, _running, "C_Login", "C_Logout")),
        "Nobody is logged out.",
        Behaviour(_forbidden_succeeds("C_Logout", CKR.USER_NOT_LOGGED_IN)),
        "C_Logout",
    ),
    Practice(
        "operations outlive logout",
        "C_Logout leaves active what needs no user.",
        "5.6 C_Logout",
        Behaviour(settle=_among(max, _running, "C_Login", "C_Logout")),
        "C_Logout leaves the user logged in.",
        Behaviour(settle=_logins_outlive("C_Logout")),
        "C_Login",
    ),
    Practice(
        "arguments first",
        "A NULL pointer is told before the session is looked for.",
        "5.1.7",
        Behaviour(_arguments_first),
        "A NULL pointer is as good as any.",
        Behaviour(_forbidden_succeeds("C_GetSessionInfo", CKR.ARGUMENTS_BAD)),
        "C_GetSessionInfo",
    ),
    Practice(
        "sessions first",
        "The session is looked for before anything else.",
        "5.1.7",
        Behaviour(_sessions_first),
        "A session goes on when it is closed.",
        Behaviour(_forbidden_succeeds("C_GetSessionInfo", CKR.SESSION_HANDLE_INVALID)),
        "C_GetSessionInfo",
    ),
    Practice(
        "self-tests fail",
        "Now and then a self-test of the token fails.",
        "5.1.6 CKR_FIPS_SELF_TEST_FAILED",
        Behaviour(_self_tests_fail),
        "A code of self-tests comes from where none is made.",
        Behaviour(_everywhere("C_GetSlotInfo", CKR.FIPS_SELF_TEST_FAILED)),
        "C_GetSlotInfo",
    ),
    Practice(
        "a policy of its own",
        "The token bars some objects from being copied, changed and destroyed.",
        "5.1.6 CKR_ACTION_PROHIBITED",
        Behaviour(_policy),
        "An object that is not destroyable is destroyed.",
        Behaviour(_forbidden_succeeds("C_DestroyObject", CKR.ACTION_PROHIBITED)),
        "C_DestroyObject",
    ),
    Practice(
        "states restored anywhere",
        "A saved state can be restored in another session, as another user.",
        "5.6 C_SetOperationState",
        Behaviour(_restores_anywhere),
        "An operation goes on that was never begun.",
        Behaviour(_forbidden_succeeds("C_DigestUpdate", CKR.OPERATION_NOT_INITIALIZED)),
        "C_DigestUpdate",
    ),
    Practice(
        "one operation at a time",
        "A session has one operation at most, of any kind.",
        "5.1.6 CKR_OPERATION_ACTIVE",
        Behaviour(_one_at_a_time),
        "A search goes on that was never begun.",
        Behaviour(_forbidden_succeeds("C_FindObjects", CKR.OPERATION_NOT_INITIALIZED)),
        "C_FindObjects",
    ),
    Practice(
        "stubs",
        "Key management and the list of mechanisms are not supported.",
        "5.1.6 CKR_FUNCTION_NOT_SUPPORTED",
        Behaviour(_stubs),
        "The library is initialised after C_Finalize.",
        Behaviour(settle=_stays_initialized),
        "C_Initialize",
    ),
    Practice(
        "slots settled by C_GetSlotList",
        "No slot ID is valid before the list of slots was asked for.",
        "5.5 C_GetSlotList",
        Behaviour(_slots_unlisted),
        "A slot ID that no slot has is valid.",
        Behaviour(_forbidden_succeeds("C_GetSlotInfo", CKR.SLOT_ID_INVALID)),
        "C_GetSlotInfo",
    ),
    Practice(
        "templates refused by the generic code",
        "CKR_ARGUMENTS_BAD is said of a template that the token does not want.",
        "5.1.6 CKR_ARGUMENTS_BAD",
        Behaviour(_own_templates_by_the_generic_code),
        "A template is refused by a code that tells of a handle.",
        Behaviour(_everywhere("C_CreateObject", CKR.KEY_HANDLE_INVALID)),
        "C_CreateObject",
    ),
    Practice(
        "the generic code",
        "CKR_ARGUMENTS_BAD is said of every bad argument.",
        "5.1.6 CKR_ARGUMENTS_BAD",
        Behaviour(_generic_code),
        "A function does nothing and says so by no code of its own.",
        Behaviour(_everywhere("C_GetSessionInfo", CKR.KEY_HANDLE_INVALID)),
        "C_GetSessionInfo",
    ),
    Practice(
        "short of memory",
        "The device is out of memory now and then.",
        "5.1.3 CKR_DEVICE_MEMORY",
        Behaviour(_short_of_memory),
        "A list of slots has a wrong PIN.",
        Behaviour(_everywhere("C_GetSlotList", CKR.PIN_INCORRECT)),
        "C_GetSlotList",
    ),
    Practice(
        "PINs of the SO expire",
        "A PIN that the SO set is to be changed first.",
        "3.2 on CKF_USER_PIN_TO_BE_CHANGED",
        Behaviour(_expires),
        "The user's PIN is changed by who does not know it.",
        Behaviour(_forbidden_succeeds("C_SetPIN", CKR.PIN_INCORRECT)),
        "C_SetPIN",
    ),
    Practice(
        "legacy functions",
        "The functions of parallel sessions answer as 5.15 has it.",
        "5.15",
        Behaviour(_legacy_runs),
        "A function of today answers as those of parallel sessions do.",
        Behaviour(_everywhere("C_GetTokenInfo", CKR.FUNCTION_NOT_PARALLEL)),
        "C_GetTokenInfo",
    ),
    Practice(
        "tokens looked for first",
        "Before C_Initialize there is no token in a slot.",
        "5.1.3 CKR_TOKEN_NOT_PRESENT",
        Behaviour(_token_first),
        "There is no token that a session could be with.",
        Behaviour(_everywhere("C_GetSessionInfo", CKR.TOKEN_NOT_PRESENT)),
        "C_GetSessionInfo",
    ),
    Practice(
        "empty states",
        "Where nothing is active an empty state is saved, which cannot be restored.",
        "5.6 C_GetOperationState, paragraph on no active operation",
        Behaviour(_saves_nothing),
        "A state is restored in a session that is closed.",
        Behaviour(_forbidden_succeeds("C_SetOperationState", CKR.SESSION_HANDLE_INVALID)),
        "C_SetOperationState",
    ),
    Practice(
        "room to spare",
        "What a query tells is one more than what is needed.",
        "5.2 first way to call",
        Behaviour(give=_one_more),
        "What a query tells is one less than what is needed.",
        Behaviour(give=_one_less),
        "C_GetSlotList",
    ),
)
"""The catalogue."""
