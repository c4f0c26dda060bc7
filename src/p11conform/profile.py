"""Profiles: the facts about slots and tokens that the model is instantiated with, as a file to read and edit.

A profile is JSON: each slot with every fact of `Slot`, by the names of the standard where it has them.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, get_type_hints

from .model.mechanisms import Role
from .model.state import LIMIT_UNKNOWN, NO_LIMIT, Mech, Slot
from .properties.reports.results import Unreadable, content

SCHEMA = "p11conform.profile/1"
LARGEST: Final = 8_000_000
"""Bytes of a profile that are read."""

MECHANISMS = "mechanisms"
"""Each mechanism of the model that the token lists, with what the token offers it for."""

_LIMITS = {NO_LIMIT: "none", LIMIT_UNKNOWN: "unknown"}
_HINTS = get_type_hints(Slot)
_FACTS = tuple(
    f.name
    for f in fields(Slot)
    if f.name not in (MECHANISMS, "abilities", "others") and not is_dataclass(_HINTS[f.name])
)
"""Not what may befall a slot, which is a record of its own."""


def profile_json(slots: tuple[Slot, ...]) -> dict[str, Any]:
    """The profile of some slots as plain JSON values."""
    return {"schema": SCHEMA, "slots": [_slot_json(slot) for slot in slots]}


def _slot_json(slot: Slot) -> dict[str, Any]:
    offered = {mech.name: [role.name for m, role in slot.abilities if m == mech] for mech in slot.mechanisms}
    return {name: _plain(name, getattr(slot, name)) for name in _FACTS} | {MECHANISMS: offered}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, IntEnum):
        return value.name
    return _LIMITS.get(value, value) if name.endswith("_limit") else value


def read_profile(path: Path) -> tuple[Slot, ...]:
    """The slots of a profile.

    Raises:
        Unreadable: if the file is missing, is not JSON, or is not a profile; the message is one line.
    """
    try:
        data = json.loads(content(path, LARGEST, "profile"))
    except (ValueError, RecursionError):
        raise Unreadable(f"{path}: not JSON; give a profile that p11conform profile wrote") from None
    return slots_of(data, str(path))


def slots_of(data: Any, path: str) -> tuple[Slot, ...]:
    """The slots of a profile that was read from somewhere.

    Raises:
        Unreadable: if it is not a profile; the message is one line.
    """
    if not isinstance(data, dict) or data.get("schema") != SCHEMA or not isinstance(data.get("slots"), list):
        raise Unreadable(f"{path}: not a {SCHEMA}; give a profile that p11conform profile wrote")
    return tuple(_slot(path, k, slot) for k, slot in enumerate(data["slots"]))


def _slot(path: str, k: int, data: Any) -> Slot:
    wanted = {*_FACTS, MECHANISMS}
    if not isinstance(data, dict) or set(data) != wanted:
        odd = ", ".join(sorted(wanted ^ set(data))) if isinstance(data, dict) else "all of it"
        raise Unreadable(f"{path}: slot {k}: {odd} missing or unknown; compare with p11conform profile")
    facts = {name: _fact(path, k, name, data[name]) for name in _FACTS}
    offered = data[MECHANISMS]
    known = isinstance(offered, dict) and all(
        m in Mech.__members__ and isinstance(roles, list) and all(r in Role.__members__ for r in roles)
        for m, roles in offered.items()
    )
    if not known:
        raise Unreadable(f"{path}: slot {k}: {MECHANISMS}: give names of mechanisms, each with a list of its uses")
    abilities = tuple((Mech[m], Role[r]) for m, roles in offered.items() for r in roles)
    return Slot(**facts, mechanisms=tuple(Mech[m] for m in offered), abilities=abilities)


def _fact(path: str, k: int, name: str, value: Any) -> Any:
    hint = _HINTS[name]
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        choices: Mapping[Any, Any] = hint.__members__
    elif hint is bool:
        choices = {True: True, False: False} if isinstance(value, bool) else {}
    else:
        choices = {text: number for number, text in _LIMITS.items()} | (
            {value: value} if isinstance(value, int) and not isinstance(value, bool) and value > 0 else {}
        )
    if not isinstance(value, bool | int | str) or value not in choices:
        raise Unreadable(
            f"{path}: slot {k}: {name}: {json.dumps(value)} is no value of it; compare with p11conform profile"
        )
    return choices[value]
