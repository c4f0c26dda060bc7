"""A report as SARIF 2.1.0: findings as results, each with its trace as a code flow; advice as what is for information.

A result lies in the library, at the function that failed; what is no finding of ours is not in it.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ....model.table import TABLE
from ..phrases import cut_short, ended, made, module_name, steps

SUFFIX: Final = ".sarif"

_LEVELS: Final = {"high": "error", "medium": "warning", "low": "note"}
_RANKS: Final = {"high": 90.0, "medium": 50.0, "low": 10.0}


def render(report: Mapping[str, Any]) -> str:
    """The findings and the advice of the report."""
    told = [(finding, _rule_id(finding)) for finding in report["findings"]]
    told += [(advice, _row_id(advice["rule"])) for advice in report["advice"]]
    rules: dict[str, dict[str, Any]] = {}
    for finding, id in told:
        rules.setdefault(id, _rule(id, finding))
    numbers = {id: n for n, id in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "p11conform",
                "version": report["run"]["p11conform"],
                "semanticVersion": report["run"]["p11conform"],
                "shortDescription": {"text": "Holds PKCS#11 modules against an executable model of the standard."},
                "rules": list(rules.values()),
            }
        },
        "invocations": [_invocation(report)],
        "artifacts": [{"location": {"uri": _uri(report)}, "roles": ["analysisTarget"]}],
        "automationDetails": {"id": f"p11conform/{report['module']['name']}/{report['spec']}/"},
        "columnKind": "unicodeCodePoints",
        "results": [_result(report, finding, id, numbers[id]) for finding, id in told],
        "properties": {
            "tested": f"{module_name(report)} against PKCS#11 {report['spec']}",
            "made": made(report),
            "readings": report["readings"],
        },
    }
    shape = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": shape, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _row_id(row: Mapping[str, str]) -> str:
    return f"{row['id']}/{row['code']}"


def _rule_id(finding: Mapping[str, Any]) -> str:
    """The row that a finding goes against, or what sort of failure it is where it goes against none."""
    return _row_id(finding["rules"][0]) if finding["rules"] else finding["kind"].replace(" ", "-")


def _rule(id: str, finding: Mapping[str, Any]) -> dict[str, Any]:
    rows = finding["rules"] if "rules" in finding else [finding["rule"]]
    first = rows[0] if rows else None
    says = first["says"] if first else f"A failure of the sort '{finding['kind']}'."
    rule: dict[str, Any] = {"id": id, "shortDescription": {"text": says}}
    if first:
        rule["fullDescription"] = {"text": first["why"]}
        rule["help"] = {"text": f"PKCS#11 v2.40, section {first['section']}"}
    severity = finding.get("severity")
    rule["defaultConfiguration"] = {"level": _LEVELS[severity] if severity else "none"}
    if severity:
        rule["properties"] = {"tags": ["pkcs11", finding["kind"]]}
    return rule


def _result(report: Mapping[str, Any], finding: Mapping[str, Any], id: str, number: int) -> dict[str, Any]:
    severity = finding.get("severity")
    place = _place(report, finding["function"])
    result: dict[str, Any] = {
        "ruleId": id,
        "ruleIndex": number,
        "kind": "fail" if severity else "informational",
        "level": _LEVELS[severity] if severity else "none",
        "message": {"text": finding["text"]},
        "locations": [place],
        "partialFingerprints": {"cause/v1": finding["id"]},
        "properties": {"id": finding["id"], "functions": finding["functions"], "observed": finding["observed"]},
    }
    if severity:
        result["rank"] = _RANKS[severity]
        result["properties"] |= {"permitted": finding["permitted"], "confirmed": finding["confirmed"]}
    flow = list(_flow(report, finding))
    if flow:
        result["codeFlows"] = [{"threadFlows": [{"locations": flow}]}]
    return result


def _flow(report: Mapping[str, Any], finding: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for n, ((call, seen), step) in enumerate(zip(steps(finding), finding["trace"], strict=True), 1):
        last = n == len(finding["trace"])
        yield {
            "executionOrder": n,
            "importance": "essential" if last else "important",
            "location": _place(report, step["function"]) | {"message": {"text": f"{call} → {seen}"}},
        }


def _place(report: Mapping[str, Any], function: str) -> dict[str, Any]:
    name = {"name": function, "fullyQualifiedName": function, "kind": "function"}
    return {
        "physicalLocation": {"artifactLocation": {"uri": _uri(report), "index": 0}},
        "logicalLocations": [name | {"decoratedName": f"{function} (section {TABLE[function].signature.section})"}],
    }


def _uri(report: Mapping[str, Any]) -> str:
    """The library, as an address; a module without one by its name."""
    library = report["module"].get("library", "")
    path = Path(library)
    return path.as_uri() if path.is_absolute() else Path("/", report["module"]["name"]).as_uri().rpartition("/")[2]


def _invocation(report: Mapping[str, Any]) -> dict[str, Any]:
    stopped = cut_short(report)
    notes = [{"level": "error", "message": {"text": ended(report)}}] if stopped else []
    notes += [
        {"level": "warning", "message": {"text": f"this run proves little: {line}"}}
        for line in (report["reach"] or {}).get("poor", ())
    ]
    return {
        "executionSuccessful": not stopped,
        "startTimeUtc": report["run"]["date"],
        "toolExecutionNotifications": notes,
    }
