"""Where the text is ambiguous, silent or against itself: each place has a name, readings, and a default.

A row, an effect or a precedence relation names the interpretation that it depends on. A profile chooses readings; a
verdict cites them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .rule import Strength


@dataclass(frozen=True, slots=True)
class Interpretation:
    """One open question of the text, by its number in the project's list (A-01 …).

    `readings` names its answers, the default first. `strengths` holds the strength that a reading gives to the rows
    that name the interpretation, where it differs from the strength in the table. Under the `loose` readings the
    effects that name it may happen or not; under the `void` ones the rows that name it do not hold.
    """

    id: str
    question: str
    section: str
    readings: tuple[str, ...] = ("any",)
    strengths: Mapping[str, Strength] = field(default_factory=dict)
    loose: tuple[str, ...] = ()
    void: tuple[str, ...] = ()

    @property
    def default(self) -> str:
        """The reading in force where a profile chooses none."""
        return self.readings[0]


SHOULD = "A-00"

_ROWS = (
    Interpretation(
        SHOULD,
        "Is a code that a function 'should' return required of it?",
        "5",
        ("advice", "required"),
        {"required": Strength.MUST},
    ),
    Interpretation(
        "A-01",
        "CKR_CRYPTOKI_NOT_INITIALIZED is of the lowest class, yet no session handle can be valid then.",
        "5.1.7",
        ("either", "first", "literal"),
        {"literal": Strength.MUST},
    ),
    Interpretation(
        "A-02",
        "Codes 'should' be returned in the order of 5.1.1 to 5.1.3 and of the classes, 'in general': must they?",
        "5.1.1, 5.1.2, 5.1.3, 5.1.7",
        ("advice", "class order"),
    ),
    Interpretation("A-03", "A stub answers CKR_FUNCTION_NOT_SUPPORTED whatever else is wrong.", "5.1.6"),
    Interpretation("A-04", "Several login errors together have no order.", "5.6"),
    Interpretation(
        "A-05",
        "May read-only sessions exist while the SO is logged in? From v2.40 on 5.6 denies it, and sends its reader to "
        "2.6.2 of the usage guide, which says how they behave, and that it is older modules which refuse them.",
        "5.6",
        ("usage guide", "base text"),
        {"base text": Strength.MUST},
    ),
    Interpretation("A-06", "A session with an uninitialised token has no code before v3.2.", "5.6"),
    Interpretation("A-07", "A key whose usage attribute forbids wrapping, unwrapping or deriving has no code.", "5.13"),
    Interpretation("A-08", "C_InitToken lists no code for an unacceptable PIN or a NULL label.", "5.5"),
    Interpretation("A-09", "C_InitPIN lists CKR_SESSION_READ_ONLY beside what its prose demands.", "5.5"),
    Interpretation("A-10", "C_SetPIN in a public session before the user PIN is set has no code.", "5.5"),
    Interpretation(
        "A-11",
        "All the data at once after a part of it is forbidden, by no code; Finals without parts are not discussed.",
        "5.8",
        ("an error", "any"),
        {"any": Strength.MAY},
    ),
    Interpretation("A-12", "A private object without the user: its handle is dead, or the user is missing.", "5.7"),
    Interpretation("A-13", "Which template code stands for which fault is open, where several fit.", "4.1.1"),
    Interpretation(
        "A-15",
        "Errors always end an operation, by the text; does one in the arguments, CKR_ARGUMENTS_BAD?",
        "5.8",
        ("ends", "lenient"),
        loose=("lenient",),
    ),
    Interpretation(
        "A-16",
        "An Init while another operation is active: refuse, or drop the old one?",
        "5.1.6",
        ("refuse or replace", "refuse"),
        {"refuse": Strength.MUST},
    ),
    Interpretation("A-18", "Whether an error of C_DigestKey or of a dual update ends operations is unsaid.", "5.12"),
    Interpretation("A-19", "Whether an error ends a search is unsaid, and what fetching no handles means.", "5.7"),
    Interpretation("A-20", "An operation whose key is gone goes on, or fails.", "5.7"),
    Interpretation("A-22", "Whether a slot event is pending after C_Initialize is a race.", "5.5"),
    Interpretation(
        "A-23",
        "A bad handle of a key is CKR_KEY_HANDLE_INVALID; it is a bad handle of an object as well.",
        "5.1.6",
        ("either", "key handle"),
        void=("key handle",),
    ),
    Interpretation(
        "A-25",
        "A wrong type outranks a forbidden use; against a wrong mechanism it has no order.",
        "5.1.6",
        ("type first",),
    ),
    Interpretation("A-26", "A bad mechanism parameter has a code of its own, and is a bad argument too.", "5.1.6"),
    Interpretation(
        "A-27",
        "A NULL mechanism at an Init has no code before v3.0, which lets it end what is active; from when on does it?",
        "5.8",
        ("an error", "cancels"),
        {"cancels": Strength.UNSAID},
    ),
    Interpretation("A-28", "Input of length 0 is input, or a bad argument.", "5.2"),
    Interpretation(
        "A-30",
        "What CKF_WRITE_PROTECTED forbids is for the token to define.",
        "3.2",
        ("token decides", "all writing"),
        {"all writing": Strength.MUST},
    ),
    Interpretation(
        "A-31",
        "A NULL PIN without a protected path has no code; where ulMinPinLen is 0 it is an empty PIN.",
        "5.5, 5.6",
    ),
    Interpretation("A-32", "A context-specific login with nobody logged in fits two codes.", "5.6"),
    Interpretation("A-33", "Whether operations survive C_Login and C_Logout is left open.", "5.6"),
    Interpretation("A-34", "Objects need not have a size.", "5.7"),
    Interpretation("A-35", "An object without a template lacks its attributes, or the call an argument.", "5.7"),
    Interpretation("A-36", "C_Initialize with several faults: any of their codes.", "5.4"),
    Interpretation("A-37", "The legacy functions may look at the session handle first.", "5.15"),
    Interpretation(
        "A-39",
        "A length query may overstate; do lengths that everybody knows count as exact all the same?",
        "5.2",
        ("any", "known lengths exact"),
        {"known lengths exact": Strength.INFERRED},
    ),
    Interpretation("A-40", "A copy with less protection may be refused.", "4.1.3"),
    Interpretation("A-43", "How many wrong PINs lock a PIN, and for how long, is left to the token.", "5.5"),
    Interpretation("A-45", "The checks of C_OpenSession have no order, the token class apart.", "5.6"),
    Interpretation(
        "A-46",
        "An attribute given twice: with one value it counts once or is an error; with two, which should fail, either.",
        "4.1.1",
    ),
    Interpretation("A-48", "Cryptography in one call, while an operation is active: either answer.", "5.1.6"),
    Interpretation("A-49", "C_CloseAllSessions on a slot without a token: either answer.", "5.6"),
    Interpretation("A-50", "A NULL pointer where one is needed has no code of its own.", "5.1.6"),
    Interpretation("A-55", "Codes that are defined and stand in no list apply where their definition does.", "5.1.6"),
    Interpretation(
        "A-57",
        "What C_Finalize does is unsaid: it ends sessions and logins, and handles on token objects or not.",
        "5.4",
    ),
    Interpretation("A-58", "The SO logging in through a read-only session is the session that exists.", "5.6"),
    Interpretation("A-59", "Do handles on token objects outlive the last session with the token?", "5.6"),
    Interpretation(
        "A-60",
        "A bad argument that has a code of its own is an unsuitable argument too: does CKR_ARGUMENTS_BAD stand for it?",
        "5.1.6",
        ("permitted", "specific code only"),
        void=("specific code only",),
    ),
    Interpretation(
        "A-61",
        "A saved state of another session state or token fails where the library can tell: must it be able to?",
        "5.6",
        ("where it can tell", "always"),
        {"always": Strength.MUST},
    ),
    Interpretation(
        "A-62",
        "Where no login is required, and there is no PIN to log in with, C_Login has nothing to do, or no code for it.",
        "5.6",
    ),
    Interpretation(
        "A-63",
        "The set of slots is settled when C_GetSlotList is asked for their number (5.5): is an ID valid before?",
        "5.5",
        ("not necessarily", "valid"),
        void=("valid",),
    ),
    Interpretation(
        "A-64",
        "The model knows of no CKA_ALWAYS_AUTHENTICATE: a context-specific login beside an operation that may need "
        "the user is in its place, or is not.",
        "4.9",
    ),
    Interpretation(
        "A-70",
        "An Update that was a length query, or whose buffer was too small: is it a call that intervenes, or none?",
        "5.8",
    ),
    Interpretation(
        "A-71",
        "An error from before the operation (no user, a PIN to be changed, a stub, the device) ends it, or leaves it.",
        "5.8",
    ),
    Interpretation(
        "A-80",
        "What may be written or looked at before the user logs in, session objects too, is the token's policy.",
        "3.2, 5.1.6",
    ),
    Interpretation(
        "A-81",
        "May C_FindObjects give fewer handles than there is room for, before it has given all?",
        "5.7",
        ("batches", "all at once"),
        loose=("batches",),
    ),
    Interpretation("A-82", "The handle of an object that is no key: an invalid handle, or a key of no type.", "5.1.6"),
    Interpretation("A-83", "Whether a key can be wrapped by itself is unsaid.", "5.13"),
    Interpretation(
        "A-88",
        "A flag of C_SessionCancel that stands for no operation: nothing to cancel, a bad argument, or a failure.",
        "5.6",
    ),
    Interpretation(
        "A-89",
        "Where C_SessionCancel ends one half of a dual operation the other half should stay active: does it?",
        "5.6",
    ),
    Interpretation(
        "A-72",
        "Does a message-based process keep operations from beginning, or another process, or they it?",
        "5.9 of v3.0",
    ),
    Interpretation(
        "A-73",
        "A message at once in the middle of one in parts is forbidden, by no code.",
        "5.9 of v3.0",
        ("an error", "any"),
        {"any": Strength.MAY},
    ),
    Interpretation(
        "A-74",
        "A Begin while a message is under way in parts: refuse, or drop that message?",
        "5.9 of v3.0",
        ("refuse or begin anew", "refuse"),
        {"refuse": Strength.MUST},
    ),
    Interpretation(
        "A-75",
        "Does an error end the message that is under way, or the process? It does not end the process of a signature, "
        "says 5.14; of the others nothing is said.",
        "5.9 of v3.0",
    ),
    Interpretation(
        "A-76",
        "C_MessageEncryptInit says that no mechanism ends the process, the other three Inits do not, though one lists "
        "the code for a process that cannot be cancelled.",
        "5.11 of v3.0",
    ),
    Interpretation(
        "A-77", "The Final of a process while a message is under way in parts: either answer.", "5.9 of v3.0"
    ),
    Interpretation(
        "A-78",
        "C_SignMessageNext ends the message unless it 'is a successful call': the sentence elsewhere goes on 'to "
        "determine the length', without which the message would never end.",
        "5.14 of v3.0",
        ("a length query", "literal"),
        loose=("literal",),
    ),
    Interpretation(
        "A-79", "C_LoginUser does not say what a name is to a token without names, nor none to one with them.", "5.6"
    ),
    Interpretation("A-84", "C_GetInterface has no code for an interface that there is not.", "5.4"),
    Interpretation(
        "A-90",
        "5.1.6 orders the two codes of ciphertext, 5.9 lets decryption return either for a bad length.",
        "5.1.6, 5.9",
        ("either", "ordered"),
    ),
    Interpretation(
        "A-91",
        "Must a function that uses a token by 5.1.3 fail when the token does, though it may need nothing of it?",
        "5.1.3",
        ("it fails", "if it asks the token"),
        {"if it asks the token": Strength.MAY},
    ),
    Interpretation(
        "A-92",
        "Whether a token was removed before a call or during it need not be told apart.",
        "5.1.2, 5.1.3",
    ),
    Interpretation(
        "A-93",
        "What becomes of a call whose session another thread closes is undefined.",
        "5.1.2 CKR_SESSION_CLOSED",
    ),
    Interpretation(
        "A-110",
        "C_VerifySignatureInit is given the signature: may it refuse one whose length tells that it is none? Its list "
        "has no code for that; a later draft adds one.",
        "5.15 of v3.2",
    ),
    Interpretation(
        "A-111",
        "Functions of v3.2 list the codes of wrapping and unwrapping keys, which 5.1.6 keeps for C_WrapKey and "
        "C_UnwrapKey: the listed ones or the general ones.",
        "5.1.6, 5.18 of v3.2",
    ),
    Interpretation(
        "A-112",
        "By which code C_UnwrapKeyAuthenticated refuses what is not authentic is not said.",
        "5.18 of v3.2",
    ),
    Interpretation(
        "A-113",
        "C_EncapsulateKey without a place for the ciphertext: a query for its length, or an error.",
        "5.2, 5.18 of v3.2",
    ),
    Interpretation(
        "A-114",
        "By which code C_DecapsulateKey refuses a ciphertext that can be none is left to its list, which has those of "
        "wrapped keys.",
        "5.18 of v3.2",
    ),
    Interpretation(
        "A-115",
        "What C_AsyncComplete and C_AsyncGetID say of a call that is not pending, or of no function, is open: the list "
        "of one is that of another function, that of the other lacks the code of its prose.",
        "5.21 of v3.2",
    ),
    Interpretation(
        "A-116",
        "By which code C_AsyncJoin refuses an identifier that was never given: its list has the one that 5.1.6 keeps "
        "for C_SetOperationState.",
        "5.1.6, 5.21 of v3.2",
    ),
    Interpretation(
        "A-117",
        "v3.2 lists CKR_OK for C_GetFunctionStatus and C_CancelFunction, which 5.1.1 says cannot return it.",
        "5.1.1, 5.20 of v3.2",
    ),
    Interpretation(
        "A-118",
        "C_GetSessionValidationFlags lists no code for an argument that is not fit.",
        "5.6 of v3.2",
    ),
    Interpretation(
        "A-119",
        "By which code a key refuses a mechanism that its CKA_ALLOWED_MECHANISMS leaves out is not said.",
        "4.7, 5.1.6",
    ),
    Interpretation(
        "A-95",
        "The child of a process that had initialised the library is another application, says the usage guide, which "
        "was a part of the standard up to v2.20: must its C_Initialize succeed?",
        "5.1.6 CKR_CRYPTOKI_ALREADY_INITIALIZED, and 2.5.2 of the usage guide",
        ("either", "it must"),
        void=("it must",),
    ),
    Interpretation(
        "A-94",
        "May a token refuse a read-only session a session object, by the code for what such a session cannot do?",
        "5.1.6, 5.7",
        ("it may", "it may not"),
        void=("it may not",),
    ),
)

INTERPRETATIONS: Mapping[str, Interpretation] = {row.id: row for row in _ROWS}


def resolve(chosen: Mapping[str, str]) -> Mapping[str, str]:
    """Every interpretation's reading, the chosen ones over the defaults.

    Raises:
        ValueError: for an interpretation or a reading that does not exist.
    """
    for id, reading in chosen.items():
        if id not in INTERPRETATIONS:
            known = f"{_ROWS[0].id} to {_ROWS[-1].id}"
            raise ValueError(f"no interpretation is called {id!r}; docs/rules.md lists them, {known}")
        if reading not in INTERPRETATIONS[id].readings:
            known = ", ".join(INTERPRETATIONS[id].readings)
            raise ValueError(f"{id} has no reading {reading!r}; choose one of: {known}")
    return {id: chosen.get(id, i.default) for id, i in INTERPRETATIONS.items()}
