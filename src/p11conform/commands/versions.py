"""The command `versions`: what two versions of the standard permit differently."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from ..console import Display, out
from ..exits import fail
from ..files import try_place, write_json
from ..model.interface import COVERED
from ..model.oracle import Model
from ..model.precedence import Relation
from ..model.rule import Rule
from ..model.table import TABLE
from ..model.vocabulary import CKR, Version
from ..options import model_of, readings_option
from ..properties.reports.findings import explain_rule, show_call
from ..properties.text.versions import Comparison, Difference, compare
from ..subject import SIMULATED_STATE


@click.command("versions")
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@readings_option
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the result there.")
def command(old: str, new: str, readings: tuple[str, ...], json_file: Path | None) -> None:
    """Show the calls of which versions A and B of the standard permit different codes, by the rules that differ."""
    try_place("--json", json_file)
    before, after = (model_of(str(_version(x)), readings) for x in (old, new))
    display = Display()
    with display.context():
        found = compare(before, after, SIMULATED_STATE, display.say)
    for line in _text(found, before, after):
        out.print(line, markup=False)
    write_json("--json", json_file, comparison_json(found, before, after))


def _version(text: str) -> Version:
    known = {str(v): v for v in COVERED}
    if text not in known:
        fail(f"the model has no version {text!r}; it has {', '.join(known)}")
    return known[text]


def _names(codes: Iterable[CKR]) -> tuple[str, ...]:
    return tuple(map(str, sorted(codes)))


def _listed(codes: Iterable[CKR]) -> str:
    return ", ".join(_names(codes)) or "nothing"


def _relation(r: Relation) -> str:
    return f"{r.higher} before {r.lower} (section {r.section})"


def _calls(d: Difference) -> tuple[str, ...]:
    return tuple(show_call(c, TABLE[c.function].uses) for c in d.calls)


def _came(d: Difference) -> tuple[str, ...]:
    """The arguments of the last call that the later version alone knows."""
    call = d.calls[-1]
    return tuple(show_call(call, (name,)).partition("(")[2].removesuffix(")") for name, _ in d.came)


def _later(old: Model, new: Model) -> Version:
    return new.version if old.version <= new.version else old.version


def _text(found: Comparison, old: Model, new: Model) -> Iterator[str]:
    """What differs, in lines."""
    for d in found.differences:
        yield d.function
        for model, rows in ((old, d.old_rows), (new, d.new_rows)):
            yield from (f"    only {model.version}: {explain_rule(r)}" for r in rows)
        yield from (f"    only {_later(old, new)} knows {given}" for given in _came(d))
        for r in d.relations:
            only = old if (r.higher, r.lower) in old.orders[d.function].decide else new
            yield f"    only {only.version}: {_relation(r)}"
        yield from (f"    {n}. {text}" for n, text in enumerate(_calls(d), 1))
        yield f"    {old.version}: {_listed(d.old)}"
        yield f"    {new.version}: {_listed(d.new)}"
    for x in found.lists:
        for model, codes in ((old, x.old), (new, x.new)):
            if codes:
                yield f"{x.function}: listed in {model.version} only: {_listed(codes)}"
    for model, names in ((old, found.gone), (new, found.come)):
        if names:
            yield f"functions of {model.version} only: {', '.join(names)}"
    if found.mechanisms:
        yield f"mechanisms of {_later(old, new)} only: {', '.join(m.name for m in found.mechanisms)}"
    for name, rule, version in found.idle:
        yield f"{name}: no difference seen by a rule of {version} only: {explain_rule(rule)}"
    if not (found.differences or found.lists or found.idle or found.gone or found.come):
        yield f"{old.version} and {new.version}: nothing differs"
    else:
        n = len(found.differences)
        yield f"{n} difference{'' if n == 1 else 's'} in what is permitted, {len(found.lists)} in lists"


def comparison_json(found: Comparison, old: Model, new: Model) -> dict[str, Any]:
    """The same as data."""
    return {
        "old": str(old.version),
        "new": str(new.version),
        "differences": [
            {
                "function": d.function,
                "old_rules": _rules(d.old_rows),
                "new_rules": _rules(d.new_rows),
                "relations": list(map(_relation, d.relations)),
                "came": list(_came(d)),
                "calls": list(_calls(d)),
                "old": list(_names(d.old)),
                "new": list(_names(d.new)),
            }
            for d in found.differences
        ],
        "lists": [
            {"function": x.function, "old": list(_names(x.old)), "new": list(_names(x.new))} for x in found.lists
        ],
        "mechanisms": [m.name for m in found.mechanisms],
        "old_functions": list(found.gone),
        "new_functions": list(found.come),
        "no_difference_seen": [
            {"function": name, "version": str(version), **_rules((rule,))[0]} for name, rule, version in found.idle
        ],
    }


def _rules(rows: Iterable[Rule]) -> list[dict[str, str]]:
    return [
        {"code": str(r.code), "condition": r.condition, "section": r.place, "strength": r.strength.value} for r in rows
    ]
