"""Section 5.21 of v3.2: asynchronous calls.

No session is opened for them here, so that no call is ever pending: what is told is what the functions say to that.
"""

from ..call import Args, Awaited
from ..rule import Function, Rule, Strength
from ..state import State
from ..vocabulary import CKR
from .common import SESSION
from .conditions import pointer_null, session_valid

_PLACE = "5.21 of v3.2"
_NOT_ASYNCHRONOUS = (
    CKR.OPERATION_NOT_INITIALIZED,
    CKR.ARGUMENTS_BAD,
    CKR.SESSION_ASYNC_NOT_SUPPORTED,
)
"""What may be said of a call that is not pending, in a session that has none."""


def nothing_pending(s: State, a: Args) -> bool:
    return session_valid(s, a)


def function_unknown(s: State, a: Args) -> bool:
    return a.awaited == Awaited.UNKNOWN


def _of_function(name: str) -> tuple[Rule, ...]:
    """Rows of every function that asks about another by its name."""
    return (
        *SESSION,
        *(
            Rule(
                "function-unknown",
                code,
                function_unknown,
                f"{_PLACE} {name}, on pFunctionName",
                "It is the name of a function; nothing is said of a name that no function has.",
                Strength.UNSAID,
                "A-115",
                unguarded=True,
            )
            for code in (CKR.ARGUMENTS_BAD, CKR.FUNCTION_NOT_SUPPORTED)
        ),
    )


C_ASYNC_COMPLETE = Function(
    "C_AsyncComplete",
    ("session", "awaited", "null"),
    (
        *_of_function("C_AsyncComplete"),
        *(
            Rule(
                "nothing-pending",
                code,
                nothing_pending,
                f"{_PLACE} C_AsyncComplete, on return values",
                "They are those of the function that is named; nothing is said of a call that is not pending.",
                Strength.UNSAID,
                "A-115",
            )
            for code in _NOT_ASYNCHRONOUS
        ),
        Rule(
            "result-null",
            CKR.ARGUMENTS_BAD,
            pointer_null,
            f"{_PLACE} C_AsyncComplete, on pResult",
            "The example gives no place for the result of a function that has none; otherwise nothing is said of it.",
            Strength.UNSAID,
            "A-115",
            unguarded=True,
        ),
    ),
    given=session_valid,
)


C_ASYNC_GET_ID = Function(
    "C_AsyncGetID",
    ("session", "awaited", "null"),
    (
        *_of_function("C_AsyncGetID"),
        Rule(
            "nothing-pending",
            CKR.OPERATION_NOT_INITIALIZED,
            nothing_pending,
            f"{_PLACE} C_AsyncGetID, on functions that perform no such operation",
            "To ask for the identifier of a call that is not asynchronous should fail with the code, says the prose.",
            Strength.SHOULD,
        ),
        *(
            Rule(
                "nothing-to-persist",
                code,
                nothing_pending,
                f"{_PLACE} C_AsyncGetID, list of return values",
                "The list lacks the code of the prose, and has others that tell that there is nothing to keep.",
                Strength.UNSAID,
                "A-115",
            )
            for code in (CKR.STATE_UNSAVEABLE, CKR.ARGUMENTS_BAD, CKR.SESSION_ASYNC_NOT_SUPPORTED)
        ),
        Rule(
            "pointer-null",
            CKR.ARGUMENTS_BAD,
            pointer_null,
            "5.1.6 CKR_ARGUMENTS_BAD",
            "An argument that is not fit for the call; the identifier needs a place.",
            Strength.INFERRED,
            "A-50",
            unguarded=True,
        ),
    ),
    given=session_valid,
)


C_ASYNC_JOIN = Function(
    "C_AsyncJoin",
    ("session", "awaited"),
    (
        *_of_function("C_AsyncJoin"),
        *(
            Rule(
                "nothing-to-join",
                code,
                nothing_pending,
                f"{_PLACE} C_AsyncJoin, the first sentence",
                "The identifier is one that was never given, so that there is nothing to be joined to.",
                Strength.INFERRED,
                "A-116",
            )
            for code in (CKR.SAVED_STATE_INVALID, CKR.ARGUMENTS_BAD)
        ),
        *(
            Rule(
                "nothing-pending",
                code,
                nothing_pending,
                f"{_PLACE} C_AsyncJoin, list of return values",
                "Other codes tell as well that nothing is pending; the prose names none.",
                Strength.UNSAID,
                "A-116",
            )
            for code in (CKR.OPERATION_NOT_INITIALIZED, CKR.SESSION_ASYNC_NOT_SUPPORTED, CKR.BUFFER_TOO_SMALL)
        ),
    ),
    given=session_valid,
)

FUNCTIONS = (C_ASYNC_COMPLETE, C_ASYNC_GET_ID, C_ASYNC_JOIN)
