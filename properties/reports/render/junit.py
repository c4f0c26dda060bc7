"""A report as JUnit's XML: a suite a function, a test case a row of its rules, and one for each failure of no row.

A row passes where it decided a call and the module did as it says, fails where a finding goes against it, and is
skipped, with the reason, where the run does not say.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree as Xml

from ....model.oracle import Model, build
from ....model.vocabulary import Version
from ..phrases import ended, module_name, steps
from ..results import Unreadable, seen

SUFFIX: Final = ".xml"

_NO_LETTER: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write; a module may say anything."""


@dataclass(frozen=True, slots=True)
class _Case:
    """A test case; `failures` are findings against it, `skipped` is why nothing is known of it, empty where it is."""

    name: str
    failures: tuple[Mapping[str, Any], ...] = ()
    skipped: str = ""


def render(report: Mapping[str, Any]) -> str:
    """The whole report.

    Raises:
        Unreadable: if its rows are not those of today's table.
    """
    suites = {name: list(cases) for name, cases in _suites(report)}
    everything = _counts([x for cases in suites.values() for x in cases])
    top = Xml.Element("testsuites", {"name": "p11conform", **everything, "time": f"{report['seconds']:.3f}"})
    for name, cases in suites.items():
        began = report["run"]["date"].removesuffix("Z")
        told = {"name": name, **_counts(cases), "errors": "0", "time": "0", "timestamp": began}
        suite = Xml.SubElement(top, "testsuite", told)
        properties = Xml.SubElement(suite, "properties")
        for key, value in _about(report):
            Xml.SubElement(properties, "property", name=key, value=_letters(value))
        for case in cases:
            _add(suite, name, case)
    Xml.indent(top, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(top, encoding="unicode")}\n'


def _counts(cases: list[_Case]) -> dict[str, str]:
    failed = sum(bool(case.failures) for case in cases)
    skipped = sum(bool(case.skipped) for case in cases)
    return {"tests": str(len(cases)), "failures": str(failed), "skipped": str(skipped)}


def _about(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What was tested, and how."""
    yield "module", module_name(report)
    yield "PKCS#11", report["spec"]
    yield "p11conform", report["run"]["p11conform"]
    yield "seed", str(report["seed"])
    yield "calls", str(report["calls"])
    yield "ended", ended(report)


def _suites(report: Mapping[str, Any]) -> Iterator[tuple[str, Iterator[_Case]]]:
    """The functions with their cases."""
    try:
        model = build(Version(report["spec"]), report["readings"])
    except ValueError as error:
        raise Unreadable(f"the report is of another version of p11conform: {error}") from None
    total = sum(len(f.rules) for f in model.functions.values())
    if total != report["coverage"]["rules"]["total"]:
        raise Unreadable(
            f"the report is of another table of rules, with {report['coverage']['rules']['total']} rows and not "
            f"{total}; show it with p11conform {report['run']['p11conform']}"
        )
    for name in model.functions:
        yield name, _cases(model, name, report)


def _cases(model: Model, name: str, report: Mapping[str, Any]) -> Iterator[_Case]:
    """The rows of a function, then what went wrong in it that no row of it speaks of."""
    own = [f for f in report["findings"] if name in f["functions"]]
    unfired = {
        (row["code"], row["condition"]) for row in report["coverage"]["rules"]["unfired"] if row["function"] == name
    }
    told = set()
    for rule in model.functions[name].rules:
        against = tuple(f for f in own if any((r["id"], r["code"]) == (rule.id, str(rule.code)) for r in f["rules"]))
        told |= {f["id"] for f in against}
        skipped = ""
        if not against and (str(rule.code), rule.condition) in unfired:
            skipped = _unheeded(report, name, rule.id) or _unknown(report, name)
        yield _Case(f"{rule.code} when {rule.condition} ({rule.id})", against, skipped)
    for finding in own:
        if finding["id"] not in told:
            yield _Case(f"{finding['kind']} ({finding['id']})", (finding,))


def _unheeded(report: Mapping[str, Any], name: str, row: str) -> str:
    """The advice that was given where a row was not followed."""
    given = (x for x in report["advice"] if x["rule"]["id"] == row and name in x["functions"])
    return next((f"advice {x['id']}: the text recommends it, and the module does otherwise" for x in given), "")


def _unknown(report: Mapping[str, Any], name: str) -> str:
    """Why a run says nothing of a row of a function."""
    if name not in report["coverage"]["functions"]:
        return "never called"
    never = (report["reach"] or {}).get("never", {}).get(name)
    return f"never returned CKR_OK: {never}" if never else "in no call that was made did the module answer by this row"


def _add(suite: Xml.Element, function: str, case: _Case) -> None:
    element = Xml.SubElement(suite, "testcase", classname=function, name=_letters(case.name), time="0")
    for finding in case.failures:
        lines = [finding["text"], f"permitted: {', '.join(finding['permitted']) or 'nothing'}"]
        lines += [f"{n}. {call} → {seen}" for n, (call, seen) in enumerate(steps(finding), 1)]
        answers = " or ".join(answer for name, answer in seen(finding) if name == function) or finding["observed"]
        message = f"{finding['id']} {finding['kind']}: {function} → {answers}"
        failure = Xml.SubElement(element, "failure", message=_letters(message), type=finding["severity"])
        failure.text = _letters("\n".join(lines))
    if case.skipped:
        Xml.SubElement(element, "skipped", message=_letters(case.skipped))


def _letters(text: str) -> str:
    return _NO_LETTER.sub("\N{REPLACEMENT CHARACTER}", text)
