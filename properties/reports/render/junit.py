"""A report as JUnit's XML: a suite a function, a test case a row of its rules, and one for each failure of no row.

A row passes where it decided a call and the module did as it says, fails where a finding goes against it, and is
skipped, with the reason, where the run does not say.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from xml.etree import ElementTree as Xml

from ..phrases import ended, module_name, steps
from ..results import seen
from ..rows import Case, cases, model_of

SUFFIX: Final = ".xml"

_NO_LETTER: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write; a module may say anything."""


def render(report: Mapping[str, Any]) -> str:
    """The whole report.

    Raises:
        Unreadable: if its rows are not those of today's table.
    """
    suites = {name: list(own) for name, own in _suites(report)}
    everything = _counts([x for own in suites.values() for x in own])
    top = Xml.Element("testsuites", {"name": "p11conform", **everything, "time": f"{report['seconds']:.3f}"})
    for name, own in suites.items():
        began = report["run"]["date"].removesuffix("Z")
        told = {"name": name, **_counts(own), "errors": "0", "time": "0", "timestamp": began}
        suite = Xml.SubElement(top, "testsuite", told)
        properties = Xml.SubElement(suite, "properties")
        for key, value in _about(report):
            Xml.SubElement(properties, "property", name=key, value=_letters(value))
        for case in own:
            _add(suite, name, case)
    Xml.indent(top, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(top, encoding="unicode")}\n'


def _counts(own: list[Case]) -> dict[str, str]:
    failed = sum(bool(case.failures) for case in own)
    skipped = sum(bool(case.skipped) for case in own)
    return {"tests": str(len(own)), "failures": str(failed), "skipped": str(skipped)}


def _about(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What was tested, and how."""
    yield "module", module_name(report)
    yield "PKCS#11", report["spec"]
    yield "p11conform", report["run"]["p11conform"]
    yield "seed", str(report["seed"])
    yield "calls", str(report["calls"])
    yield "ended", ended(report)


def _suites(report: Mapping[str, Any]) -> Iterator[tuple[str, Iterator[Case]]]:
    """The functions with their cases."""
    model = model_of(report)
    for name in model.functions:
        yield name, cases(model, name, report)


def _add(suite: Xml.Element, function: str, case: Case) -> None:
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
