"""The table against itself and against the lists of return values."""

import re
from collections.abc import Callable
from typing import Any, cast

import pytest
from conftest import every_call

from p11conform.model.call import ARGUMENT_NAMES, Args
from p11conform.model.interpretations import INTERPRETATIONS, resolve
from p11conform.model.oracle import Model, build, permitted
from p11conform.model.precedence import RELATIONS
from p11conform.model.rule import Function
from p11conform.model.state import Login, Operation, Saved, Session, Slot, State
from p11conform.model.table import TABLE
from p11conform.model.vocabulary import CKR, Version

V2_01 = Version.V2_01
LISTED_IN = (V2_01, Version.V2_20, Version.V2_40)

OFF_LIST = {
    ("C_Initialize", CKR.FIPS_SELF_TEST_FAILED, "library not running"): "A-55",
    ("C_Initialize", CKR.LIBRARY_LOAD_FAILED, "library not running"): "A-55",
    ("C_Login", CKR.SESSION_READ_ONLY, "so login through read only session"): "A-58",
    ("C_InitToken", CKR.PIN_LEN_RANGE, "so pin unacceptable"): "A-08: no list has a code for a bad SO PIN",
    ("C_InitToken", CKR.PIN_INVALID, "so pin chosen"): "A-08",
    ("C_InitToken", CKR.PIN_TOO_WEAK, "so pin chosen"): "A-55: 5.1.6 has the code since v2.40, no list has it",
    ("C_InitPIN", CKR.PIN_TOO_WEAK, "new pin given"): "A-55",
    ("C_InitPIN", CKR.PIN_INCORRECT, "new pin null"): "A-31",
    ("C_SetPIN", CKR.PIN_TOO_WEAK, "new pin given"): "A-55",
    ("C_SetPIN", CKR.USER_NOT_LOGGED_IN, "nobody logged in"): "v2.01 bars the R/W public session",
    ("C_SetPIN", CKR.USER_NOT_LOGGED_IN, "user pin unset in public"): "A-10",
    ("C_SetPIN", CKR.USER_PIN_NOT_INITIALIZED, "user pin unset in public"): "A-10",
    ("C_SetOperationState", CKR.KEY_HANDLE_INVALID, "key handle made up"): "5.1.6: the handle is not valid",
    ("C_Login", CKR.USER_NOT_LOGGED_IN, "context specific and nobody"): "A-32",
    ("C_Login", CKR.TOKEN_NOT_RECOGNIZED, "login to uninitialized token"): "A-06",
}
"""Rows whose code is missing from the function's list in some version that they hold in, each with the reason."""


def rows_off_list() -> set[tuple[str, CKR, str]]:
    return {
        (f.name, r.code, r.condition)
        for f in TABLE.values()
        for r in f.rules
        for v in LISTED_IN
        if r.since <= v <= r.until
        and r.code not in f.signature.listed[v]
        # v2.01 defines that code for every function, and names it in the lists of two.
        and not (v is V2_01 and r.code is CKR.ARGUMENTS_BAD)
    }


def test_codes_off_the_lists_are_those_with_a_reason() -> None:
    assert rows_off_list() == set(OFF_LIST)


def test_every_function_is_in_its_chapter_once() -> None:
    assert len(TABLE) == 22
    assert all(name == f.name for name, f in TABLE.items())
    assert {f.signature.section for f in TABLE.values()} == {"5.4", "5.5", "5.6", "5.10"}


def test_sections_are_well_formed() -> None:
    given = {
        x.section for f in TABLE.values() for rows in (f.rules, f.effects, f.outputs) for x in cast(tuple[Any], rows)
    } | {r.section for r in RELATIONS}
    assert given
    assert [s for s in given if not re.fullmatch(r"[2-5](\.\d{1,2}){1,2}", s)] == []


def test_no_row_stands_twice() -> None:
    for f in TABLE.values():
        for version in LISTED_IN:
            rows = [(r.code, r.when, r.strength) for r in f.rules if r.since <= version <= r.until]
            assert len(rows) == len(set(rows)), f.name


ABOUT_SEQUENCES = {
    "A-00": "the strength SHOULD, not a row",
    "A-03": "a stub is judged beside the table",
}
"""Interpretations that no row, effect or relation names, with what stands for them."""


def test_interpretations_exist_and_are_used() -> None:
    named = (
        {r.reading for f in TABLE.values() for r in f.rules}
        | {e.reading for f in TABLE.values() for e in f.effects}
        | {r.only_under[0] for r in RELATIONS if r.only_under}
    ) - {None}
    assert set(INTERPRETATIONS) - named == set(ABOUT_SEQUENCES)
    assert named <= set(INTERPRETATIONS)


def test_readings_that_relations_name_exist() -> None:
    for r in RELATIONS:
        if r.only_under:
            id, reading = r.only_under
            resolve({id: reading})


@pytest.mark.parametrize("bad", [{"A-99": "any"}, {"A-01": "backwards"}])
def test_unknown_readings_are_refused(bad: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        build(readings=bad)


# What a function reads of its arguments, seen by a recording stand-in for them.

SCOPES = [
    State(
        keyed_blob=keyed,
        initialized=True,
        slots=(
            Slot(login=login, initialized=initialized, shared=True, session_limit=2, protected_path=protected),
            Slot(present=False),
            Slot(recognized=False),
        ),
        sessions=(Session(True, 0, rw, operation), Session(), Session()),
        saved=Saved(True, Operation.DIGEST, 0, rw, login),
    )
    for keyed in (False, True)
    for login in Login
    for initialized in (False, True)
    for rw in (False, True)
    for operation in (Operation.NONE, Operation.DIGEST)
    for protected in (False, True)
]


class Recorder:
    """Arguments that remember which of them were read."""

    def __init__(self, args: Args, read: set[str]) -> None:
        self._args, self._read = args, read

    def __getattr__(self, name: str) -> Any:
        self._read.add(name)
        return getattr(self._args, name)


def fields_read(f: Function, model: Model) -> set[str]:
    read: set[str] = set()
    conditions: list[Callable[[State, Args], Any]] = [r.when for r in f.rules]
    for s in SCOPES:
        only_mine = Model(model.version, model.readings, {f.name: f}, model.orders)
        for call in every_call(only_mine, s):
            a = cast(Args, Recorder(call.args, read))
            for condition in conditions:
                condition(s, a)
            allowed = permitted(model, s, call)
            for e in f.effects:
                if e.on & allowed:
                    s_after = e.change(s, a)
                    for output in f.outputs if CKR.OK in e.on else ():
                        output.permitted(s_after, a)
            if CKR.OK in allowed and not f.effects:
                for output in f.outputs:
                    output.permitted(s, a)
        if read == set(f.uses):
            break
    return read


@pytest.mark.parametrize("name", TABLE)
def test_uses_names_what_the_rows_read(name: str, model: Model) -> None:
    f = TABLE[name]
    assert set(f.uses) <= set(ARGUMENT_NAMES)
    assert fields_read(f, model) == set(f.uses)


@pytest.mark.parametrize("name", TABLE)
def test_scope_depends_on_what_uses_names(name: str) -> None:
    """The PIN that a function does not have is read too, and is never NULL."""
    f = TABLE[name]
    read: set[str] = set()
    for s in SCOPES:
        f.out_of_scope(s, cast(Args, Recorder(Args(), read)))
    assert read <= {*f.uses, "pin", "new_pin"}


def test_a_row_can_be_dropped(model: Model) -> None:
    f = model.functions["C_Logout"]
    mutant = model.without("C_Logout", f.rules[-1])
    assert mutant.functions["C_Logout"].rules == f.rules[:-1]
    assert model.functions["C_Logout"] == f
