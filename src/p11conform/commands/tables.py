"""The rule table as a page to read: `python -m p11conform.commands.tables docs/rules.md` writes it again."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from ..exits import Exit, fail
from ..model.attributes import ATTRIBUTES, KINDS, AttributeFacts, KindFacts
from ..model.environment import EVENTS, LOCKED, OF_SESSIONS, OF_SLOTS
from ..model.interpretations import INTERPRETATIONS, SHOULD, Interpretation
from ..model.mechanisms import MECHANISMS, NOUNS, Mechanism
from ..model.precedence import CONTRADICTIONS, EITHER_READING, RELATIONS
from ..model.rule import Effect, Function, Rule, Strength, never
from ..model.table import TABLE
from ..model.vocabulary import Version

_OLDEST, *_, _NEWEST = Version

_HEAD = """\
# The rule table

Written by `./run docs` from `model/`; change that, not this page.

A row reads: where the condition holds, the code applies. Sections are those of PKCS#11 v2.40, or of the later
version that is named with them.

| strength | what the text says | forbids success |
|---|---|---|
| must | it requires the code | yes |
| inferred | several passages leave nothing else | yes |
| should | it recommends the code | no |
| may | it permits the code | no |
| unsaid | it neither gives nor excludes the code | no |

An interpretation in force may give its rows another strength; see [Interpretations](#interpretations).
"""


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A Markdown table and the empty line before it; nothing where there are no rows."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    if lines:
        columns = tuple(header)
        yield from ("", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *lines)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _versions(since: Version, until: Version = _NEWEST) -> str:
    if since is _OLDEST:
        return "all" if until is _NEWEST else f"up to {until}"
    return f"from {since}" if until is _NEWEST else f"{since} to {until}"


def _rule(r: Rule) -> tuple[str, ...]:
    return (
        str(r.code),
        r.id,
        r.condition,
        r.strength.value,
        r.place,
        r.says,
        _versions(r.since, r.until),
        r.reading or "",
    )


def _effect(e: Effect) -> tuple[str, ...]:
    certain = "yes" if e.certain else "or nothing changes"
    return e.id, e.name, ", ".join(map(str, sorted(e.on))), certain, e.place, _versions(e.since), e.reading or ""


_ROW = ("code", "id", "when", "strength", "section", "what it says", "versions", "interpretation")


def _function(f: Function) -> Iterator[str]:
    yield from ("", f"## {f.name}", "")
    given = ", ".join(f"`{name}`" for name in f.uses)
    since = f.signature.since
    came = "" if since is _OLDEST else f" It came with v{since}, and so do its rows."
    yield f"Section {f.signature.section}.{came} Arguments of the model: {given}."
    if not f.returns_ok:
        yield "It never returns CKR_OK."
    if f.out_of_scope is not never:
        yield f"Not followed by the model, and so never called, when {_words(f.out_of_scope.__name__)}."
    yield from _table(_ROW, map(_rule, f.rules))
    yield from _table(
        ("id", "effect", "on", "certain", "section", "versions", "interpretation"), map(_effect, f.effects)
    )
    yield from _table(("output", "section"), ((_words(o.name), o.place) for o in f.outputs))


def _mechanism(name: str, m: Mechanism) -> tuple[str, ...]:
    kinds = ", ".join(dict.fromkeys(kind.name for kind in (*m.public, *m.private)))
    lengths = (("block", m.block), ("digest", m.digest), ("ciphertext", m.ciphertext), ("signature", m.signature))
    facts = [f"{words} of {n} bytes" for words, n in lengths if n > 1]
    return name, f"0x{m.number:X}", ", ".join(NOUNS[role] for role in m.roles), kinds, ", ".join(facts)


def _kind(k: KindFacts) -> tuple[str, ...]:
    key_type = "" if k.key_type is None else f"0x{k.key_type:X}"
    facts = ("value guarded" if k.guarded else "", f"with {k.half_of.name} a pair" if k.half_of is not None else "")
    return k.kind.name, k.cls.name, key_type, ", ".join(filter(None, facts)), k.place


def _attribute(x: AttributeFacts) -> tuple[str, ...]:
    number = "" if x.number is None else f"0x{x.number:X}"
    kinds = "all" if set(x.kinds) == set(KINDS) else ", ".join(kind.name for kind in x.kinds)
    facts = {"read only": x.read_only, "changes one way": x.one_way, "guarded": x.guarded}
    return x.attribute.name, number, kinds, ", ".join(words for words, holds in facts.items() if holds), x.place


def _named_by(id: str) -> Iterator[str]:
    """What depends on an interpretation."""
    for f in TABLE.values():
        by_rules = {SHOULD if r.strength is Strength.SHOULD else r.reading for r in f.rules}
        if id in by_rules | {e.reading for e in f.effects}:
            yield f.name
    if any(r.reading == id for r in (*OF_SESSIONS, *OF_SLOTS, *LOCKED.values())):
        yield "events"
    if id == EITHER_READING[0] or any(r.only_under is not None and r.only_under[0] == id for r in RELATIONS):
        yield "precedence"


def _interpretation(i: Interpretation) -> tuple[str, ...]:
    rows = ", ".join(f"under '{reading}': {strength.value}" for reading, strength in i.strengths.items())
    return i.id, i.section, i.question, "; ".join(i.readings), rows, ", ".join(_named_by(i.id))


_EVENTS = "What may happen beside calls, to the first slot or object of a scope. Without events none of this applies."


def page() -> str:
    """The whole page, as Markdown."""
    lines = [_HEAD.rstrip("\n")]
    for f in TABLE.values():
        lines += _function(f)
    lines += ("", "## Events", "", _EVENTS)
    lines += _table(
        ("event", "of", "section"),
        ((e.name, ", ".join(e.uses), e.effects[0].place) for e in EVENTS.values()),
    )
    lines += ("", "What they leave to see, in functions with a session handle, or that use the token in a slot:")
    lines += _table(
        ("id", "code", "when", "strength", "section", "what stands there", "interpretation"),
        (
            (r.id, str(r.code), r.condition, r.strength.value, r.place, r.says, r.reading or "")
            for r in (*OF_SESSIONS, *OF_SLOTS, *LOCKED.values())
        ),
    )
    lines += ("", "## Mechanisms", "", "What each is for, as far as the model follows it.")
    lines += _table(
        ("mechanism", "number", "for", "keys", "lengths"),
        (_mechanism(m.name, facts) for m, facts in MECHANISMS.items()),
    )
    lines += ("", "## Kinds of object", "", "What an object can be.")
    lines += _table(("kind", "class", "key type", "facts", "section"), map(_kind, KINDS.values()))
    lines += ("", "## Attributes", "", "Those that calls name, with the kinds of object that have them.")
    lines += _table(("attribute", "number", "kinds", "facts", "section"), map(_attribute, ATTRIBUTES.values()))
    lines += ("", "## Interpretations", "", "Open questions of the text. The first reading is the default.")
    lines += _table(
        ("id", "section", "question", "readings", "strength of its rows", "used by"),
        map(_interpretation, INTERPRETATIONS.values()),
    )
    lines += ("", "## Contradictions", "", "Relations between codes that run against each other.")
    lines += _table(
        ("codes", "why", "what the model does"),
        ((", ".join(map(str, c.codes)), c.why, c.resolution) for c in CONTRADICTIONS),
    )
    return "\n".join(lines) + "\n"


@click.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--check", is_flag=True, help="Write nothing; fail if the page is out of date.")
def command(path: Path, check: bool) -> None:
    """Write the rule table to PATH. Exits with 1 if --check finds another page there."""
    if not check:
        path.write_text(page(), encoding="utf-8")
    elif not path.is_file() or path.read_text(encoding="utf-8") != page():
        fail(f"{path}: out of date; run ./run docs", Exit.FINDINGS)


if __name__ == "__main__":
    command()
