"""Modules opened as the options say."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from . import subject
from .adapters.isolated import Kind
from .adapters.library import interface_of
from .adapters.modules import registry
from .adapters.modules.library import Request
from .crew import Crew
from .exits import fail
from .messages import Task
from .model.oracle import Model
from .options import Opening
from .profile import read_profile
from .properties.run.campaign import Alone, numbered_calls
from .properties.run.campaign import Crew as AnyCrew
from .properties.run.driver import Driver


def opened(opening: Opening, model: Model, seed: int) -> subject.Subject:
    """What is tested, its slots as the profile has them where one is given.

    Raises:
        Failure: for a profile that does not fit.
        ModuleUnusable: if the module or its token cannot be used.
        Unreadable: for a file that is no profile.
    """
    if opening.profile is None:
        return _measured(opening, model, seed)
    slots = read_profile(opening.profile)
    if opening.module == subject.SIMULATED:
        return subject.simulated(model, seed, replace(subject.SIMULATED_STATE, slots=slots))
    tested = _measured(opening, model, seed)
    if len(slots) != len(tested.initial.slots):
        tested.discard()
        fail(f"{opening.profile}: {len(slots)} slots, but the module is tested with {len(tested.initial.slots)}")
    return replace(tested, initial=replace(tested.initial, slots=slots))


def _measured(opening: Opening, model: Model, seed: int) -> subject.Subject:
    if opening.module == subject.SIMULATED:
        return subject.simulated(model, seed)
    interface = interface_of(model.version)
    if interface is not None and opening.kind is Kind.PYKCS11:
        fail(f"--adapter pykcs11: calls no interface of version {interface}; leave it out, or choose --spec 2.40")
    if opening.module in registry.names():
        return subject.own_module(opening.module, opening.kind, opening.timeout, opening.faults, interface)
    request = Request(
        library=opening.module,
        slot=opening.slot,
        label=opening.label,
        user_pin=opening.user_pin,
        so_pin=opening.so_pin,
        init_reserved=opening.init_reserved,
        timeout=opening.timeout,
        interface=interface,
    )
    return subject.user_module(request, opening.kind, opening.level, opening.faults)


@contextmanager
def workers(model: Model, tested: subject.Subject, jobs: int, opening: Opening) -> Iterator[AnyCrew]:
    """Those who work on a module: as many as there are to be, on tokens made for them where one is not enough."""
    if tested.isolated is None:
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
        return
    with ExitStack() as stack:
        modules = [tested.isolated]
        for _ in range(jobs - 1):
            more = _measured(opening, model, 0)
            stack.callback(more.discard)
            assert more.isolated is not None
            modules.append(more.isolated)
        yield stack.enter_context(Crew(Task(model, tested.initial, tested.rights), modules))
