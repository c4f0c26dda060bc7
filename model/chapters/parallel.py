"""Section 5.15: what is left of functions that ran in parallel."""

from ..call import Args
from ..rule import Function, Rule, Strength
from ..state import State
from ..vocabulary import CKR
from .common import LIBRARY
from .conditions import session_invalid


def functions_never_parallel(s: State, a: Args) -> bool:
    return True


_ROWS = (
    *LIBRARY,
    Rule("functions-never-parallel", CKR.FUNCTION_NOT_PARALLEL, functions_never_parallel, "5.15", "", Strength.SHOULD),
    Rule("session-invalid", CKR.SESSION_HANDLE_INVALID, session_invalid, "5.1.2", "", Strength.MAY, "A-37"),
)

FUNCTIONS = tuple(
    Function(name, ("session",), _ROWS, returns_ok=False) for name in ("C_GetFunctionStatus", "C_CancelFunction")
)
