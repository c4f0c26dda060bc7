"""Section 5.15: what is left of functions that ran in parallel."""

from ..call import Args
from ..rule import Function, Rule, Strength
from ..state import State
from ..vocabulary import CKR, Version
from .common import LIBRARY
from .conditions import session_invalid, session_valid


def functions_never_parallel(s: State, a: Args) -> bool:
    return True


def _legacy(name: str) -> Function:
    return Function(
        name,
        ("session",),
        (
            *LIBRARY,
            Rule(
                "functions-never-parallel",
                CKR.FUNCTION_NOT_PARALLEL,
                functions_never_parallel,
                f"5.15 {name}",
                "The function is a relic that is advised to return this code and to do nothing else.",
                Strength.SHOULD,
            ),
            Rule(
                "listed-as-others",
                CKR.OPERATION_ACTIVE,
                session_valid,
                f"5.20 of v3.2 {name}, list of return values",
                "The list has CKR_OK and this code, as those of other functions; 5.1.1 bars the first as before.",
                Strength.UNSAID,
                "A-117",
                since=Version.V3_2,
            ),
            Rule(
                "session-invalid",
                CKR.SESSION_HANDLE_INVALID,
                session_invalid,
                "5.1.2 CKR_SESSION_HANDLE_INVALID",
                "The handle was not valid when the function was called; one that does nothing need not look.",
                Strength.MAY,
                "A-37",
            ),
        ),
        returns_ok=False,
        ok_since=Version.V3_2,
    )


C_GET_FUNCTION_STATUS = _legacy("C_GetFunctionStatus")
C_CANCEL_FUNCTION = _legacy("C_CancelFunction")

FUNCTIONS = (C_GET_FUNCTION_STATUS, C_CANCEL_FUNCTION)
