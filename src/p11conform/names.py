"""Arguments that are names, which a shell completes: functions, return values, modules, scopes."""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem


class Name(click.ParamType[str]):
    """A name out of some; it is checked by the command, which knows the version of the standard."""

    name = "text"

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names = names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """The names that begin as what is there."""
        return [CompletionItem(x) for x in self._names() if x.startswith(incomplete)]


def _functions() -> Iterable[str]:
    from .model.interface import SIGNATURES

    return SIGNATURES


def _codes() -> Iterable[str]:
    from .model.vocabulary import CKR

    return map(str, CKR)


def _modules() -> Iterable[str]:
    from .subject import known

    return known()


def _scopes() -> Iterable[str]:
    from .properties.search.graph import SCOPES

    return SCOPES


FUNCTION, CODE, MODULE, SCOPE = map(Name, (_functions, _codes, _modules, _scopes))
