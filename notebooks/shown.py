"""How the notebooks beside it show tables and codes."""

from collections.abc import Iterable, Sequence

from IPython.display import Markdown


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Markdown:
    """A table, as Markdown."""
    lines = (headings, ["---"] * len(headings), *rows)
    return Markdown("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))


def names(codes: Iterable[object]) -> str:
    """Return values by name, in order."""
    return ", ".join(sorted(map(str, codes)))
