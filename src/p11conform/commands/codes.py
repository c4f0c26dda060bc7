"""The table of codes: `python -m p11conform.commands.codes docs/codes.md` writes it again.

For every return value: who yields it and why, what it goes before and behind, a shortest way to it on the model, and
the modules that it was really seen on. The last comes from `docs/observed.json`, which `--observe REPORT` adds to.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from ..exits import Exit, fail
from ..model.environment import STEPS, expose
from ..model.interface import COVERED, SIGNATURES
from ..model.oracle import build
from ..model.precedence import EXPLICIT, RELATIONS
from ..model.table import TABLE
from ..model.vocabulary import CKR
from ..properties.reports.findings import show_call
from ..properties.reports.results import read_report
from ..properties.search.goals import Goal, Witness, witnesses
from ..properties.search.orders import shown
from ..properties.text.lint import NO_ROW
from ..subject import SIMULATED_STATE

OBSERVED = "observed.json"

_HEAD = """\
# The return values

Written by `./run docs` from `model/`; change that, not this page. What was observed comes from reports of real runs.

The order of the classes of section 5.1.7 (universal, session, token, others) is not repeated at each code.
"""


def _relations(code: CKR) -> Iterator[str]:
    before = sorted({str(r.lower) for r in EXPLICIT if r.higher is code and r.lower is not CKR.OK})
    behind = sorted({str(r.higher) for r in EXPLICIT if r.lower is code})
    if before:
        yield f"Before {', '.join(before)}."
    if behind:
        yield f"Behind {', '.join(behind)}."
    total = sum(code in (r.higher, r.lower) for r in RELATIONS)
    yield f"In {total} relations, those of its class counted."


def _ways(found: tuple[Witness, ...]) -> Mapping[CKR, Witness]:
    """For each code a shortest sequence at whose end a row yields it."""
    best: dict[CKR, Witness] = {}
    for w in found:
        code = CKR.OK if w.rule is None else w.rule.code
        if code not in best or len(w.calls) < len(best[code].calls):
            best[code] = w
    return best


def _section(code: CKR, way: Witness | None, seen: Mapping[str, list[str]]) -> Iterator[str]:
    yield from ("", f"## {code}", "")
    rows = {f.name: [r for r in f.rules if r.code is code] for f in TABLE.values()}
    yielding = {name: found for name, found in rows.items() if found}
    reasons = sorted({r.condition for found in yielding.values() for r in found})
    if yielding:
        yield f"Yielded by {', '.join(yielding)}."
        yield f"When: {'; '.join(reasons)}."
    elif code is CKR.OK:
        yield f"Success, of every function but {', '.join(n for n, f in TABLE.items() if not f.returns_ok)} (5.1.1)."
    else:
        listed = [n for n, s in SIGNATURES.items() if any(code in codes for codes in s.listed.values())]
        why = next((text for codes, text in NO_ROW.items() if code in codes), "No function has it.")
        yield f"No rule yields it. {why}" + (f" Listed for {len(listed)} functions." if listed else "")
    yield from _relations(code)
    if way is not None:
        calls = (show_call(c, TABLE[c.function].uses) for c in way.calls)
        yield f"A shortest way: {', '.join(f'`{c}`' for c in calls)}."
    on = [name for name, codes in sorted(seen.items()) if str(code) in codes]
    yield f"Observed on {', '.join(on)}." if on else "Observed on none of the modules run so far."


_ORDERS = """\
## Which of two is returned

Every relation of two errors that a sentence or an ordered list of 5.1 states, with a short sequence in whose last call
both apply: so it can be seen which one a module returns. Events are in the sequences as they are in a trace. Where a
reading is given, the text requires the first code only under that. A relation without a sequence has a code that no
row gives, or conditions that exclude each other.

| first | rather than | section | reading | sequence |
|---|---|---|---|---|"""


def _orders() -> Iterator[str]:
    yield from ("", *_ORDERS.splitlines())
    found = {x.pair: x for x in shown(expose(SIMULATED_STATE))}
    for relation in EXPLICIT:
        pair = relation.higher, relation.lower
        if relation.lower is CKR.OK:
            continue
        way = found.get(pair)
        readings = "" if way is None else ", ".join(f"{id}={text}" for id, text in way.readings.items())
        calls = "" if way is None else ", ".join(f"`{show_call(c, STEPS[c.function].uses)}`" for c in way.calls)
        yield f"| {pair[0]} | {pair[1]} | {relation.section} | {readings} | {calls} |"


def page(observed: Mapping[str, list[str]]) -> str:
    """The whole page, as Markdown; `observed` gives the codes seen, by module."""
    ways = _ways(witnesses(build(), SIMULATED_STATE))
    newest = build(COVERED[-1])
    later = [Goal(f.name, k) for f in newest.functions.values() for k, r in enumerate(f.rules) if r.code not in ways]
    ways = {**ways, **_ways(witnesses(newest, SIMULATED_STATE, wanted=later))}
    lines = [_HEAD.rstrip("\n")]
    for code in CKR:
        lines += _section(code, ways.get(code), observed)
    lines += _orders()
    return "\n".join(lines) + "\n"


def read_observed(path: Path) -> dict[str, list[str]]:
    """The codes seen so far, by module."""
    found: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


@click.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--check", is_flag=True, help="Write nothing; fail if the page is out of date.")
@click.option("--observe", multiple=True, type=click.Path(path_type=Path), help="Add what a report saw; repeatable.")
def command(path: Path, check: bool, observe: tuple[Path, ...]) -> None:
    """Write the table of codes to PATH. Exits with 1 if --check finds another page there."""
    store = path.parent / OBSERVED
    observed = read_observed(store)
    for report in observe:
        data = read_report(report)
        module = data["module"]
        name = f"{module['name']} {module.get('library_version', '')}".strip()
        observed[name] = sorted({*observed.get(name, ()), *data["coverage"]["codes"]})
    if observe:
        store.write_text(json.dumps(observed, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    text = page(observed)
    if not check:
        path.write_text(text, encoding="utf-8")
    elif not path.is_file() or path.read_text(encoding="utf-8") != text:
        fail(f"{path}: out of date; run ./run docs", Exit.FINDINGS)


if __name__ == "__main__":
    command()
