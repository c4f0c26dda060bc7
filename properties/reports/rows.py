"""A report as cases: a row of a function's rules each, and one for each failure of no row.

A row passes where it decided a call and the module did as it says, fails where a finding goes against it, and is
skipped, with the reason, where the run does not say.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...model.oracle import Model, build
from ...model.rule import Rule
from ...model.vocabulary import Version
from .results import Unreadable


@dataclass(frozen=True, slots=True)
class Case:
    """A case; `failures` are findings against it, `skipped` is why nothing is known of it, empty where it is."""

    name: str
    failures: tuple[Mapping[str, Any], ...] = ()
    skipped: str = ""


def row_name(rule: Rule) -> str:
    """The name of the case of a row."""
    return f"{rule.code} when {rule.condition} ({rule.id})"


def model_of(report: Mapping[str, Any]) -> Model:
    """The model whose rows a report is about.

    Raises:
        Unreadable: if its rows are not those of today's table.
    """
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
    return model


def cases(model: Model, name: str, report: Mapping[str, Any]) -> Iterator[Case]:
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
        yield Case(row_name(rule), against, skipped)
    for finding in own:
        if finding["id"] not in told:
            yield Case(f"{finding['kind']} ({finding['id']})", (finding,))


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
