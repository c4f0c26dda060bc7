"""SoftHSM 2, a token in files: two initialised tokens and the free slot that the library always keeps after them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from ..base import Binding
from .access import Access
from .module import Module, initialize_tokens, pins, snapshot
from .provider import CHANGED, FORKED, STOPPED, Need, Provider, Site
from .storage import Storage

LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/libsofthsm2.so",
    "/usr/lib/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
"""Where distributions put the library."""

LABELS = ("p11conform-1", "p11conform-2")
_SO, _USER, _OTHER, _WRONG = b"12345678", b"1234", b"567890", b"99999999"


def configured(home: Path) -> tuple[Path, Mapping[str, str]]:
    """The new directory of tokens, and the environment in which the library uses it and nothing else."""
    tokens, conf = home / "tokens", home / "softhsm2.conf"
    tokens.mkdir()
    conf.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
    )
    return tokens, {"SOFTHSM2_CONF": str(conf)}


def _build(library: str, site: Site) -> Module:
    tokens, environment = configured(site.home)
    return with_tokens(Access(library, environment), tokens, Access(library, environment))


def with_tokens(access: Access, tokens: Path, through: Access, stop: Callable[[], object] | None = None) -> Module:
    """The module with two tokens and a free slot, made by the library itself, and used `through` it or another.

    What stops is by default the storage, which is away then.
    """
    initialize_tokens(access.library, access.environment, LABELS, _SO, _USER)
    slots = through.measure().slots
    by_label = {slot.label: slot for slot in slots if slot.initialized}
    first, second = (by_label[label] for label in LABELS)
    free = [slot.id for slot in slots if not slot.initialized]
    binding = Binding(
        slots=(first.id, second.id, *free[:1]),
        labels=LABELS,
        pins=pins(first, _SO, _USER, _OTHER, _WRONG),
    )
    storage, tokens_as_they_were = Storage(tokens), snapshot(tokens)

    def restore() -> None:
        storage.give_back()
        tokens_as_they_were()

    stops = through.stops(stop or storage.take, storage.give_back)
    return through.module(binding, restore, {**through.others(binding), **stops})


NEED: Final = Need("softhsm2", LIBRARIES)

PROVIDER: Final = Provider("softhsm2", "SoftHSM 2, tokens in files", NEED, _build, events=CHANGED | STOPPED | FORKED)

find, provision = PROVIDER.find, PROVIDER.provision
