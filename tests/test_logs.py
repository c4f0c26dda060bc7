"""What tools write of the calls of an application is read; and whatever is no such log is told in a line."""

import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from p11conform import cli
from p11conform.adapters.logs import trace
from p11conform.adapters.logs.registry import FORMS, open_log
from p11conform.adapters.logs.step import BadLog, Entry, Step
from p11conform.exits import Exit
from p11conform.judging import Answer, Judge, judge
from p11conform.model.oracle import Model
from p11conform.properties.engine import partial as engine
from p11conform.properties.engine.partial import Partial

LOGS = Path(__file__).parent / "logs"
SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "trace.schema.json").read_text(encoding="utf-8"))

SAMPLES = {
    "spy.log": "pkcs11-spy",
    "p11-kit.log": "p11-kit log-calls",
    "logger.log": "PKCS11-LOGGER",
    "nss.log": "nss_mod_log",
    "trace.jsonl": trace.SCHEMA,
}


@pytest.fixture(scope="module")
def partial(model: Model) -> Partial:
    return Partial(model)


def steps_of(name: str) -> list[Step]:
    return list(open_log(LOGS / name).steps)


def read(text: str) -> Iterator[Step]:
    return open_log(Path("log"), io.StringIO(text)).steps


def test_every_form_has_a_sample() -> None:
    assert {*SAMPLES.values()} == {form.name for form in FORMS}


@pytest.mark.parametrize(("name", "form"), SAMPLES.items())
def test_a_log_is_known_by_how_it_begins(name: str, form: str) -> None:
    assert open_log(LOGS / name).form == form


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_is_held_against_softhsm_in_what_was_recorded(partial: Partial, name: str) -> None:
    found = list(Judge(partial).all(steps_of(name)))
    assert [(x.number, x.opinion) for x in found if x.opinion.answer is Answer.NOT_PERMITTED] == []
    assert sum(x.opinion.answer is not Answer.UNKNOWN for x in found) > len(found) / 2


def first(steps: list[Step], function: str) -> Step:
    return next(x for x in steps if x.function == function)


@pytest.mark.parametrize("name", SAMPLES)
def test_sessions_logins_and_searches_are_read(name: str) -> None:
    steps = steps_of(name)
    handle = first(steps, "C_OpenSession").outputs["phSession"]
    assert handle
    login = first(steps, "C_Login")
    assert (login.arguments["userType"], login.arguments["pPin"]) == (1, True)
    assert {x.arguments["hSession"] for x in steps if x.function.startswith("C_Find")} >= {handle}
    assert all(x.returned is not None for x in steps)
    assert isinstance(first(steps, "C_FindObjectsInit").arguments["pTemplate"], list)


@pytest.mark.parametrize(
    ("name", "function", "entry"),
    [
        ("spy.log", "C_GetAttributeValue", Entry(0x100, length=8, null=False)),
        ("p11-kit.log", "C_GetAttributeValue", Entry(0x102)),
        ("logger.log", "C_GenerateKeyPair", Entry(0x1, length=1, null=False, value=True)),
        ("nss.log", "C_FindObjectsInit", Entry(0x1, length=1, value=True)),
        ("trace.jsonl", "C_FindObjectsInit", None),
    ],
)
def test_templates_are_read(name: str, function: str, entry: Entry | None) -> None:
    found = [
        x
        for s in steps_of(name)
        if s.function == function
        for t in s.arguments.values()
        if isinstance(t, list)
        for x in t
    ]
    assert entry is None or entry in found


def test_pins_and_data_are_left_where_they_are() -> None:
    log = """
0: C_Login
2026-11-28 17:25:54.711
[in] hSession = 0x1
[in] userType = CKU_USER
[in] pPin[ulPinLen] 00007fffc187da75 / 4
    00000000  39 37 35 33                                      9753
Returned:  0 CKR_OK
"""
    (step,) = read(log)
    assert step.arguments == {"hSession": 1, "userType": 1, "pPin": True, "ulPinLen": 4}
    assert "9753" not in trace.line(step)
    p11_kit = 'C_Login\n  IN: hSession = S1\n  IN: userType = CKU_USER\n  IN: pPin = (4) "9753"\nC_Login = CKR_OK\n'
    assert "9753" not in "".join(map(trace.line, read(p11_kit)))


THREADS = """
0x00000101 : 0x0000000000000001 : 2026-11-28 18:00:03.500000 - Entered C_Logout
0x00000101 : 0x0000000000000001 : Input
0x00000101 : 0x0000000000000001 :  hSession: 1
0x00000101 : 0x0000000000000002 : 2026-11-28 18:00:03.500001 - Entered C_GetSessionInfo
0x00000101 : 0x0000000000000002 : Input
0x00000101 : 0x0000000000000002 :  hSession: 2
0x00000202 : 0x0000000000000003 : 2026-11-28 18:00:03.500002 - Entered C_GetInfo
0x00000202 : 0x0000000000000003 : 2026-11-28 18:00:03.500003 - Returning 0 (CKR_OK)
0x00000101 : 0x0000000000000002 : 2026-11-28 18:00:03.500004 - Returning 179 (CKR_SESSION_HANDLE_INVALID)
0x00000101 : 0x0000000000000001 : 2026-11-28 18:00:03.500005 - Returning 0 (CKR_OK)
"""


def test_threads_and_processes_are_kept_apart() -> None:
    found = [(x.function, x.process, x.thread, x.returned, x.concurrent) for x in read(THREADS)]
    assert found == [
        ("C_GetInfo", 0x202, 3, 0, False),
        ("C_GetSessionInfo", 0x101, 2, 0xB3, True),
        ("C_Logout", 0x101, 1, 0, True),
    ]


def test_what_calls_of_threads_got_mixed_up_returned_is_not_known() -> None:
    log = (
        "0: C_Logout\n2026-11-28 1\n[in] hSession = 0x1\n\n"
        "1: C_GetInfo\n2026-11-28 1\nReturned:  0 CKR_OK\nReturned:  0 CKR_OK\n"
    )
    assert [(x.function, x.returned, x.concurrent) for x in read(log)] == [
        ("C_Logout", None, True),
        ("C_GetInfo", None, True),
    ]


def test_processes_that_append_to_one_log_are_told_apart(partial: Partial) -> None:
    """A spy without numbers of processes counts its calls from 0 on in each."""
    text = (LOGS / "spy.log").read_text(encoding="utf-8")
    found = Judge(partial)
    assert all(x.opinion.answer is not Answer.NOT_PERMITTED for x in found.all(read(text * 3)))
    assert found.processes == 3


def test_a_call_is_written_as_it_was_read() -> None:
    for name in SAMPLES:
        steps = steps_of(name)
        again = list(read("\n".join(map(trace.line, steps))))
        assert [trace.line(x) for x in again] == [trace.line(x) for x in steps]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_schema_describes_every_line(name: str) -> None:
    validator = Draft202012Validator(SCHEMA)
    lines = (LOGS / name).read_text().splitlines() if name == "trace.jsonl" else map(trace.line, steps_of(name))
    for line in lines:
        assert list(validator.iter_errors(json.loads(line))) == []


@pytest.mark.parametrize(
    "line", [{}, {"function": 1}, {"function": "C_Login", "arguments": {"pTemplate": ["x"]}}, {"schema": "x"}]
)
def test_the_schema_and_the_reader_refuse_alike(line: dict[str, object]) -> None:
    assert list(Draft202012Validator(SCHEMA).iter_errors(line))
    with pytest.raises(BadLog):
        list(trace.read([json.dumps(line), '{"function": "C_Logout"}']))


def test_a_trace_may_be_cut_short() -> None:
    lines = (LOGS / "trace.jsonl").read_text(encoding="utf-8").splitlines()
    whole = list(trace.read(lines[:20]))
    assert list(trace.read([*lines[:20], lines[20][:30]])) == whole
    with pytest.raises(BadLog, match="line 21 is no line of"):
        list(trace.read([*lines[:20], lines[20][:30], lines[21]]))


# Logs that were damaged.

PIECE = 24
"""Lines of a log that are taken to be damaged."""


def mutated(random: Random, text: str) -> str:
    """A piece of a log with some things wrong."""
    lines = text.splitlines()
    start = random.randrange(max(1, len(lines) - PIECE))
    lines = (lines[: PIECE // 2] if random.random() < 0.5 else []) + lines[start : start + PIECE]
    for _ in range(random.randint(1, 6)):
        k = random.randrange(len(lines))
        line = lines[k]
        at = random.randrange(len(line) + 1)
        match random.randrange(8):
            case 0:
                del lines[k : k + random.randint(1, 4)]
                lines = lines or [""]
            case 1:
                lines.insert(k, lines[random.randrange(len(lines))])
            case 2:
                lines[k] = line[:at]
            case 3:
                lines[k] = line[:at] + chr(random.choice([0, 10, 34, 123, 955, 0xFFFD])) + line[at:]
            case 4:
                digits = "".join(random.choice("0123456789") if x.isdigit() else x for x in line)
                lines[k] = digits
            case 5:
                lines[k] = line.replace("0", random.choice(["-1", "99999999999999999999999", "0x", "null", "[]", "{}"]))
            case 6:
                lines[k] = "".join(random.sample(line, len(line)))
            case _:
                j = random.randrange(len(lines))
                lines[k], lines[j] = lines[j], line
    return "\n".join(lines)


def test_a_thousand_damaged_logs_are_judged_or_refused_in_a_line(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few cases are followed, so that it is quick: what is given up is judged as unknown."""
    monkeypatch.setattr(engine, "MOST_CASES", 40)
    random, came = Random(5), Counter[str]()
    texts = {name: (LOGS / name).read_text(encoding="utf-8") for name in SAMPLES}
    partial = Partial(model)
    for n in range(1000):
        damaged = mutated(random, texts[[*texts][n % len(texts)]])
        try:
            judges = Judge(partial)
            judged = sum(1 for _ in judges.all(read(damaged)))
            came["judged" if judged else "empty"] += 1
        except BadLog as error:
            came["refused" if "\n" not in str(error) else "refused at length"] += 1
    assert sum(came.values()) == 1000
    assert came["refused at length"] == 0
    assert came["judged"] > 300
    assert came["refused"] > 50


# The command line.


def p11conform(*args: str | Path, text: str | None = None) -> Result:
    return CliRunner().invoke(cli.main, [*map(str, args)], input=text)


ALTERED = {"C_DigestFinal": 0x82, "C_FindObjectsFinal": 0xB3, "C_Login": 0x190}
"""Functions whose first answer is made another one, which no row permits."""


def altered(path: Path) -> list[int]:
    """Write a trace with wrong answers; the calls that have them."""
    steps, wrong = steps_of("spy.log"), []
    left = dict(ALTERED)
    lines = []
    for n, step in enumerate(steps, 1):
        if step.function in left:
            step.returned = left.pop(step.function)
            wrong.append(n)
        lines.append(trace.line(step))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return wrong


@pytest.mark.parametrize("command", ["judge", "monitor"])
def test_wrong_answers_are_found_and_no_others(tmp_path: Path, command: str) -> None:
    wrong = altered(tmp_path / "log")
    result = p11conform(command, tmp_path / "log", "--json", tmp_path / "report")
    report = json.loads((tmp_path / "report").read_text(encoding="utf-8"))
    assert result.exit_code == Exit.FINDINGS
    assert [x["call"] for x in report["violations"]] == wrong
    assert len(wrong) == len(ALTERED)
    for n in wrong:
        assert f"violation at call {n} (line {n}" in result.output
    assert f"{len(wrong)} violations" in result.output.splitlines()[-1]
    assert report["schema"] == "p11conform.judgement/1"
    assert report["counts"]["not permitted"] == 3


@pytest.mark.parametrize("name", SAMPLES)
def test_a_log_with_nothing_wrong_ends_with_0(name: str) -> None:
    result = p11conform("monitor", LOGS / name)
    assert result.exit_code == Exit.CONFORMS
    assert "no violation" in result.output.splitlines()[-1]


def test_a_log_may_come_on_standard_input() -> None:
    result = p11conform("judge", "-", text=(LOGS / "p11-kit.log").read_text(encoding="utf-8"))
    assert result.exit_code == Exit.CONFORMS
    assert "standard input: p11-kit log-calls" in result.output


FAULTY = [
    {"function": "C_Initialize", "process": 1, "returned": 0, "arguments": {"pInitArgs": None}},
    {"function": "C_GetInfo", "process": 1, "returned": 0, "arguments": {"pInfo": True}},
    {"function": "C_CloseSession", "process": 1, "returned": 179, "arguments": {"hSession": 5}},
]


def test_rules_that_the_caller_broke_are_told_and_count_where_they_are_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\n".join(map(json.dumps, FAULTY)), encoding="utf-8")
    plain = p11conform("judge", log)
    assert plain.exit_code == Exit.CONFORMS
    assert "caller at call 3 (line 3): C_CloseSession → CKR_SESSION_HANDLE_INVALID" in plain.output
    assert p11conform("judge", log, "--callers").exit_code == Exit.FINDINGS


BAD = {
    "nothing": "",
    "no log": "root:x:0:0:root\n",
    "binary": "\0\1\2\n" * 40,
    "JSON of another sort": '{"schema": "p11conform.report/2"}\n',
    "a trace of another number": '{"schema": "p11conform.trace/9"}\n{"function": "C_Logout"}\n',
    "no calls": '{"schema": "p11conform.trace/1"}\n',
    "a damaged trace": '{"schema": "p11conform.trace/1"}\n{"function": 3}\n{"function": "C_Logout"}\n',
    "deep JSON": '{"function": "C_Logout", "arguments": ' + "[" * 5000 + "\n\n{}\n",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_no_log_is_refused_in_a_line(tmp_path: Path, text: str) -> None:
    log = tmp_path / "log"
    log.write_text(text, encoding="utf-8")
    for command in ("judge", "monitor"):
        result = p11conform(command, log)
        assert result.exit_code == Exit.USAGE
        assert len(result.output.splitlines()) == 1
        assert result.output.startswith("p11conform: ")


@pytest.mark.parametrize("name", [".", "there-is-none"])
def test_a_place_without_a_log_is_named(tmp_path: Path, name: str) -> None:
    result = p11conform("judge", tmp_path / name)
    assert result.exit_code == Exit.USAGE
    assert str(tmp_path) in result.output


def test_without_a_compiler_the_shim_is_not_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    library = tmp_path / "module.so"
    library.touch()
    result = p11conform("record", library, "-o", tmp_path / "shim.so")
    assert result.exit_code == Exit.UNUSABLE
    assert "install gcc" in result.output


def test_a_module_that_is_not_there_is_not_recorded(tmp_path: Path) -> None:
    result = p11conform("record", tmp_path / "none.so")
    assert result.exit_code == Exit.USAGE
    assert result.output.startswith("p11conform: ")


def test_the_public_name_judges_a_log_by_its_path() -> None:
    judgement = judge(LOGS / "nss.log")
    assert judgement.steps > 50
    assert judgement.violations == []
