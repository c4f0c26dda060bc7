"""Encryption, decryption, digesting, signing, verifying, and two of them at once (5.8 to 5.12)."""

from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from typing import Final, TypeAlias

from ...model.call import Args, Buffer
from ...model.mechanisms import Role
from ...model.vocabulary import CKR
from ..application import Application
from ..kept import CIPHERTEXT, SIGNATURE
from ..lane import Lane
from ..memory import Room
from ..parameters import mechanism
from ..values import Bytes, given, plain, sealed, signature
from .concrete import Arguments, Concrete, Outputs, length, object_at, output, pointer, session

# Beginning an operation.


def _init(role: Role, *, keyed: bool = True) -> Concrete:
    def build(app: Application, _lane: Lane, a: Args) -> Arguments:
        key = (object_at(app, a.key),) if keyed else ()
        return session(app, a), pointer(a, mechanism(a)), *key

    def begun(app: Application, _lane: Lane, a: Args) -> Outputs:
        app.kept.begin(a.session, role, a.mechanism, a.key if keyed else None)
        return ()

    return Concrete(build, begun)


# Going on with it, and ending it.


_Input: TypeAlias = Callable[[Application, Args, Role], Bytes]


def _plain(app: Application, a: Args, role: Role) -> Bytes:
    return given(a.data, plain(app.kept.mechanism(a.session, role)))


def _sealed(app: Application, a: Args, role: Role) -> Bytes:
    return given(a.data, sealed(app.kept.mechanism(a.session, role)), app.kept.output[CIPHERTEXT])


def _signature(app: Application, a: Args, role: Role) -> Bytes:
    return given(a.signature, signature(app.kept.mechanism(a.session, role)), app.kept.output[SIGNATURE])


def _keep_nothing(app: Application, _a: Args, _output: bytes) -> None:
    """The application does not need this output again."""


def _keep_ciphertext(app: Application, _a: Args, made: bytes) -> None:
    app.kept.keep(CIPHERTEXT, made)


def _keep_part(app: Application, a: Args, made: bytes) -> None:
    app.kept.add_part(a.session, made)


def _keep_last_part(app: Application, a: Args, made: bytes) -> None:
    app.kept.keep(CIPHERTEXT, app.kept.add_part(a.session, made))


def _keep_signature(app: Application, _a: Args, made: bytes) -> None:
    app.kept.keep(SIGNATURE, made)


def _init_with_signature() -> Concrete:
    """The verification that is begun with its signature."""
    plain_init = _init(Role.VERIFY)

    def build(app: Application, lane: Lane, a: Args) -> Arguments:
        made_up = signature(a.mechanism)
        return *plain_init.build(app, lane, a), *given(a.signature, made_up, app.kept.output[SIGNATURE])

    return Concrete(build, plain_init.done, remembers=True)


@dataclass(frozen=True, slots=True)
class _Step:
    """A call on an active operation: its kind, the input that it takes, and whether it gives output.

    `keep` is what becomes of the output. `last` says that success ends the operation.
    """

    role: Role
    inputs: tuple[_Input, ...] = ()
    gives: bool = False
    keep: Callable[[Application, Args, bytes], None] = _keep_nothing
    last: bool = False


_LEAVES_ACTIVE: Final = frozenset({CKR.OK, CKR.BUFFER_TOO_SMALL})
"""Codes that may leave an operation active; every other one ends it (5.8 to 5.12)."""


def _step(step: _Step) -> Concrete:
    def build(app: Application, _lane: Lane, a: Args) -> Arguments:
        inputs = (word for take in step.inputs for word in take(app, a, step.role))
        return session(app, a), *inputs

    def seen(app: Application, lane: Lane, a: Args, code: int) -> Outputs:
        if code not in _LEAVES_ACTIVE:
            app.kept.end(a.session, step.role)
            return ()
        asked = step.gives and a.buffer == Buffer.NULL
        if code == CKR.OK and step.last and not asked:
            app.kept.end(a.session, step.role)
        return length(app, lane, a, code) if step.gives else ()

    def done(app: Application, lane: Lane, a: Args) -> Outputs:
        if step.gives and (made := output(lane, a)) is not None:
            step.keep(app, a, made)
        return ()

    def busy(app: Application, a: Args) -> Sized:
        return app.kept.active(a.session, step.role)

    return Concrete(
        build,
        done,
        seen,
        room=Room.BYTES if step.gives else None,
        heeded=_LEAVES_ACTIVE,
        busy=busy,
        remembers=bool(step.inputs),
    )


_STEPS: Mapping[str, _Step] = {
    "C_Encrypt": _Step(Role.ENCRYPT, (_plain,), True, _keep_ciphertext, last=True),
    "C_EncryptUpdate": _Step(Role.ENCRYPT, (_plain,), True, _keep_part),
    "C_EncryptFinal": _Step(Role.ENCRYPT, (), True, _keep_last_part, last=True),
    "C_Decrypt": _Step(Role.DECRYPT, (_sealed,), True, last=True),
    "C_DecryptUpdate": _Step(Role.DECRYPT, (_sealed,), True),
    "C_DecryptFinal": _Step(Role.DECRYPT, (), True, last=True),
    "C_Digest": _Step(Role.DIGEST, (_plain,), True, last=True),
    "C_DigestUpdate": _Step(Role.DIGEST, (_plain,)),
    "C_DigestFinal": _Step(Role.DIGEST, (), True, last=True),
    "C_Sign": _Step(Role.SIGN, (_plain,), True, _keep_signature, last=True),
    "C_SignUpdate": _Step(Role.SIGN, (_plain,)),
    "C_SignFinal": _Step(Role.SIGN, (), True, _keep_signature, last=True),
    "C_SignRecover": _Step(Role.SIGN_RECOVER, (_plain,), True, _keep_signature, last=True),
    "C_Verify": _Step(Role.VERIFY, (_plain, _signature), last=True),
    "C_VerifyUpdate": _Step(Role.VERIFY, (_plain,)),
    "C_VerifyFinal": _Step(Role.VERIFY, (_signature,), last=True),
    "C_VerifySignature": _Step(Role.VERIFY, (_plain,), last=True),
    "C_VerifySignatureUpdate": _Step(Role.VERIFY, (_plain,)),
    "C_VerifySignatureFinal": _Step(Role.VERIFY, (), last=True),
    "C_VerifyRecover": _Step(Role.VERIFY_RECOVER, (_signature,), True, last=True),
    "C_DigestEncryptUpdate": _Step(Role.ENCRYPT, (_plain,), True, _keep_part),
    "C_DecryptDigestUpdate": _Step(Role.DECRYPT, (_sealed,), True),
    "C_SignEncryptUpdate": _Step(Role.ENCRYPT, (_plain,), True, _keep_part),
    "C_DecryptVerifyUpdate": _Step(Role.DECRYPT, (_sealed,), True),
}


def _c_digest_key(app: Application, _lane: Lane, a: Args) -> Arguments:
    return session(app, a), object_at(app, a.key)


CALLS: Final[Mapping[str, Concrete]] = {
    "C_EncryptInit": _init(Role.ENCRYPT),
    "C_DecryptInit": _init(Role.DECRYPT),
    "C_DigestInit": _init(Role.DIGEST, keyed=False),
    "C_SignInit": _init(Role.SIGN),
    "C_SignRecoverInit": _init(Role.SIGN_RECOVER),
    "C_VerifyInit": _init(Role.VERIFY),
    "C_VerifyRecoverInit": _init(Role.VERIFY_RECOVER),
    "C_VerifySignatureInit": _init_with_signature(),
    "C_DigestKey": Concrete(_c_digest_key),
    **{name: _step(step) for name, step in _STEPS.items()},
}
