"""The modules that p11conform makes ready by itself, by their names: our own, and those of other packages."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from ..base import ModuleUnusable
from . import nss, opencryptoki, opensc, p11_kit, p11_kit_trust, softhsm2, tpm2
from .provider import Provider

GROUP: Final = "p11conform.modules"
"""The group of entry points by which other packages add modules; each is named as its module is."""

OWN: Final[tuple[Provider, ...]] = tuple(
    module.PROVIDER for module in (softhsm2, nss, opencryptoki, opensc, p11_kit, p11_kit_trust, tpm2)
)


@cache
def added() -> Mapping[str, EntryPoint]:
    """What other packages add, not loaded before it is wanted; no name of ours can be taken."""
    own = {provider.name for provider in OWN}
    return {point.name: point for point in sorted(entry_points(group=GROUP)) if point.name not in own}


def names() -> tuple[str, ...]:
    """The names of all modules, our own first."""
    return (*(provider.name for provider in OWN), *added())


def provider(name: str) -> Provider:
    """The provider of a module.

    Raises:
        KeyError: if no module has this name.
        ModuleUnusable: if the package that adds it is at fault.
    """
    for own in OWN:
        if own.name == name:
            return own
    point = added()[name]
    try:
        loaded: object = point.load()
    except Exception as error:
        raise _broken(point, f"does not load: {type(error).__name__}: {error}") from None
    if not isinstance(loaded, Provider) or loaded.name != name:
        raise _broken(point, f"is no Provider of the name {name}")
    return loaded


def _broken(point: EntryPoint, why: str) -> ModuleUnusable:
    package = f" of {point.dist.name}" if point.dist else ""
    return ModuleUnusable(f"{point.name}: the entry point {point.value}{package} {why}; mend or remove that package")


def obstacle(name: str) -> str | None:
    """Why a module cannot be had here, and what to do about it, in a line; None if it can be had."""
    try:
        return provider(name).obstacle()
    except ModuleUnusable as error:
        return str(error)
