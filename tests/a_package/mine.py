"""What another package has in it that adds a module to p11conform, as CONTRIBUTING describes."""

from p11conform.adapters.base import Binding
from p11conform.adapters.modules.access import Access
from p11conform.adapters.modules.module import NEW_TOKEN, Module, pins, snapshot
from p11conform.adapters.modules.provider import Need, Provider, Site


def build(library: str, site: Site) -> Module:
    tokens = site.home / "tokens"
    tokens.mkdir()
    (site.home / "mine.conf").write_text(f"directories.tokendir = {tokens}\n")
    access = Access(library, {"SOFTHSM2_CONF": str(site.home / "mine.conf")})
    (free,) = access.measure().slots
    known = pins(free, so=b"12345678", user=b"1234", other=b"567890", wrong=b"99999999")
    access.perform(Binding((free.id,), ("mine",), known), NEW_TOKEN)
    slots = access.measure().slots
    binding = Binding(tuple(slot.id for slot in slots if slot.initialized), ("mine",), known)
    return access.module(binding, snapshot(tokens))


PROVIDER = Provider("mine", "a module of mine", Need("softhsm2", ("/usr/lib/softhsm/libsofthsm2.so",)), build)
