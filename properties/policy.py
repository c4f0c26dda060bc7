"""What the tester may do to a token that it did not make."""

from collections.abc import Callable

from ..model.call import Args, Call
from ..model.state import Pin
from ..model.vocabulary import CKU

Policy = Callable[[Call], bool]
"""Whether a call may be made at all."""

WRITES_TOKEN = frozenset({"C_InitToken", "C_InitPIN", "C_SetPIN"})
"""Functions of the model that change what a token keeps."""


def anything(call: Call) -> bool:
    """Every call: for a token of our own, or one whose owner allowed it."""
    return True


def _right_pin(args: Args, users: frozenset[CKU]) -> bool:
    own = {CKU.SO: Pin.SO, CKU.USER: Pin.USER}
    return args.user in users and args.pin == own[CKU(args.user)]


def harmless(users: frozenset[CKU]) -> Policy:
    """No call that writes to the token, and no login but with the right PIN of a user whose PIN we were given."""

    def allows(call: Call) -> bool:
        if call.function in WRITES_TOKEN:
            return False
        return call.function != "C_Login" or _right_pin(call.args, users & {CKU.SO, CKU.USER})

    return allows
