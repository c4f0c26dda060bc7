"""Modules opened as the options say."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from . import subject
from .adapters.isolated import Kind
from .adapters.library import interface_of
from .adapters.modules import registry
from .adapters.modules.library import Request
from .crew import Hands
from .exits import fail
from .messages import Task
from .model.oracle import Model
from .options import Opening, Token
from .profile import read_profile
from .properties.run.campaign import Alone, numbered_calls
from .properties.run.campaign import Crew as AnyCrew
from .properties.run.driver import Driver


def opened(opening: Opening, model: Model, seed: int) -> subject.Subject:
    """What is tested, on the first of the tokens, its slots as the profile has them where one is given.

    Raises:
        Failure: for a profile that does not fit.
        ModuleUnusable: if the module or its token cannot be used.
        Unreadable: for a file that is no profile.
    """
    if opening.profile is None:
        return measured(opening, opening.tokens[0], model, seed)
    slots = read_profile(opening.profile)
    if opening.module == subject.SIMULATED:
        return subject.simulated(model, seed, replace(subject.SIMULATED_STATE, slots=slots))
    return profiled(measured(opening, opening.tokens[0], model, seed), opening)


def profiled(tested: subject.Subject, opening: Opening) -> subject.Subject:
    """A module with its slots as the profile has them, where one is given; discarded if the profile does not fit.

    Raises:
        Failure, Unreadable: as `opened` does.
    """
    if opening.profile is None:
        return tested
    slots = read_profile(opening.profile)
    if len(slots) != len(tested.initial.slots):
        tested.discard()
        fail(f"{opening.profile}: {len(slots)} slots, but the module is tested with {len(tested.initial.slots)}")
    return replace(tested, initial=replace(tested.initial, slots=slots))


def measured(opening: Opening, token: Token, model: Model, seed: int) -> subject.Subject:
    """What is tested on one token.

    Raises:
        ModuleUnusable: if the module or its token cannot be used.
    """
    if opening.module == subject.SIMULATED:
        return subject.simulated(model, seed)
    newest = opening.automatic and opening.kind is not Kind.PYKCS11
    interface = None if newest else interface_of(model.version)
    if interface is not None and opening.kind is Kind.PYKCS11:
        fail(f"--adapter pykcs11: calls no interface of version {interface}; leave it out, or choose --spec 2.40")
    if opening.module in registry.names():
        return subject.own_module(
            opening.module, opening.kind, opening.timeout, opening.faults, interface, model.events, newest=newest
        )
    request = Request(
        library=opening.module,
        slot=token.slot,
        label=token.label,
        user_pin=opening.user_pin,
        so_pin=opening.so_pin,
        init_reserved=opening.init_reserved,
        timeout=opening.timeout,
        interface=interface,
        newest=newest,
    )
    return subject.user_module(request, opening.kind, opening.level, opening.faults)


@contextmanager
def others(opening: Opening, model: Model, first: subject.Subject, jobs: int) -> Iterator[tuple[subject.Subject, ...]]:
    """What the workers beside the first one have, each on a token of its own that is like the first.

    Raises:
        ModuleUnusable: if a token cannot be used, or is not like the first.
    """
    by_path = opening.module not in subject.known()
    with ExitStack() as stack:
        made: list[subject.Subject] = []
        for k in range(1, jobs):
            made.append(measured(opening, opening.tokens[k] if by_path else Token(), model, 0))
            stack.callback(made[-1].discard)
        # A profile is for all of them.
        alike = [replace(x, initial=first.initial) for x in made] if opening.profile else made
        subject.see_that_alike((first, *alike), strangers=by_path)
        yield tuple(made)


@contextmanager
def workers(model: Model, subjects: Sequence[subject.Subject]) -> Iterator[AnyCrew]:
    """Those who work on a module: one on each token that it was opened with."""
    tested, begins = subjects[0], [x.begin for x in subjects if x.begin is not None]
    if begins:
        with Hands(Task(model, tested.initial, tested.rights), begins) as hands:
            yield hands
        return
    with tested.open() as adapter:
        calls, rights = numbered_calls(model, tested.initial), tested.rights
        yield Alone(
            Driver(
                model,
                tested.initial,
                adapter,
                rights.policy,
                calls=calls,
                rights=rights,
            )
        )
