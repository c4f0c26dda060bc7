"""NSS softokn: a token in a database, and one that keeps nothing, is always there and wants no login."""

from typing import Final

from ..base import Binding
from .access import Access
from .module import NEW_TOKEN, Module, pins, snapshot
from .provider import CHANGED, FORKED, STOPPED, Need, Provider, Site, libraries
from .storage import Storage

_LABEL: Final = "p11conform-1"
_SO, _USER, _OTHER, _WRONG = b"", b"user pin", b"another one", b"a wrong one"
"""A new database has an empty SO PIN, and its C_InitToken takes no other."""

_GENERIC, _DATABASE = 1, 2
"""The slots, whose numbers are part of the library."""


def _build(library: str, site: Site) -> Module:
    database = site.home / "database"
    database.mkdir()
    reserved = (
        f"configdir='sql:{database}' certPrefix='' keyPrefix='' secmod='secmod.db' flags= dbTokenDescription='{_LABEL}'"
        " updatedir='' updateCertPrefix='' updateKeyPrefix='' updateid='' updateTokenDescription=''"
    )
    access = Access(library, init_reserved=reserved)
    slots = {slot.id: slot for slot in access.measure().slots}
    binding = Binding(
        slots=(_DATABASE, _GENERIC),
        labels=(_LABEL, slots[_GENERIC].label),
        pins=pins(slots[_DATABASE], _SO, _USER, _OTHER, _WRONG),
        init_reserved=reserved,
    )
    access.perform(binding, NEW_TOKEN)
    storage, database_as_it_was = Storage(database), snapshot(database)

    def restore() -> None:
        storage.give_back()
        database_as_it_was()

    events = {**access.others(binding), **access.stops(storage.take, storage.give_back)}
    return access.module(binding, restore, events)


PROVIDER: Final = Provider(
    "nss",
    "NSS softokn, a token in a database",
    Need("libnss3", libraries("libsoftokn3.so")),
    _build,
    events=CHANGED | STOPPED | FORKED,
)
