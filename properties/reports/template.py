"""Pages of HTML from templates; whatever is put into one is escaped."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import jinja2

_NONE: Final[Mapping[str, Callable[..., Any]]] = {}


def page(template: Path, filters: Mapping[str, Callable[..., Any]] = _NONE, **given: Any) -> str:
    """The whole page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    text = environment.get_template(template.name).render(given)
    # A lone surrogate, or a letter that no page may have, is no reason to have no page.
    return text.encode("utf-8", "replace").decode() + "\n"
