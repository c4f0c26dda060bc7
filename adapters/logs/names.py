"""Names of constants, as logs write them: their numbers."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from ...model.vocabulary import CKR, CKS, CKU

_LISTS: Final = ("CKA", "CKK", "CKM", "CKO", "CKR")
_HEX: Final = re.compile(r"0x[0-9A-Fa-f]+")


@cache
def numbers() -> Mapping[str, int]:
    """Every constant that is known, by its name."""
    import PyKCS11  # what it knows is read when a log names something: it takes its time

    found: dict[str, int] = {}
    for name in _LISTS:
        known = getattr(PyKCS11, name)
        found.update({k: v for k, v in known.items() if isinstance(k, str) and isinstance(v, int)})
    found.update({str(code): int(code) for code in CKR})
    found.update({f"CKU_{x.name}": int(x) for x in CKU})
    found.update({f"CKS_{x.name}": int(x) for x in CKS})
    return found


def number(text: str) -> int | None:
    """The number of a constant, or the one that stands in the place of a name; None where it is neither."""
    text = text.strip()
    found = numbers().get(text)
    if found is not None:
        return found
    digits = _HEX.search(text)
    if digits is not None:
        return int(digits[0], 16)
    return int(text) if text.isascii() and text.isdigit() else None
