"""A check by the workers of a dask cluster: each holds the module, a token of its own, and a worker on it.

What goes there and back is encoded as all is that crosses a pipe; verdicts are reached here. PINs go in an argument of
an actor's method: that is no task, so that no dashboard and no log of a task has it, and its text form tells no PIN.
"""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from threading import Lock
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit
from weakref import finalize

import psutil
from distributed import Client
from msgspec import Struct

from . import subject
from .adapters.base import Adapter, ModuleUnusable
from .adapters.census import Census
from .adapters.private import sweep
from .adapters.wire import decode, encode
from .crew import RemoteWorker, joined
from .exits import fail
from .messages import Briefing, Do, Ran, Rerun, Task, Tell, briefing, item_of, order_of
from .model.call import Call
from .model.oracle import Model, build
from .model.state import State
from .model.vocabulary import Version
from .opened import measured, profiled
from .options import Opening, Token
from .properties.engine.verdict import Steps
from .properties.policy import Rights
from .properties.run.work import Done, Item

CONNECT: Final = 10
"""Seconds in which the scheduler has to answer."""

START: Final = 60
"""Seconds that a dask worker has to load p11conform."""

LOOK: Final = 5
"""Seconds between two looks whether a dask worker that owes an answer is there."""

PROGRAM: Final = "p11conform"


class Described(Struct, frozen=True):
    """What is tested on a dask worker, as `Subject` has it, and the version of p11conform there."""

    version: str
    about: dict[str, str]
    initial: State
    rights: Rights
    token: dict[str, str]
    shown: tuple[Steps, ...]
    counted: bool


class Station:
    """What a dask worker holds of a check: an actor, so that its calls are made one after the other.

    A tester that goes away says nothing: what is open then ends with this object, or with the process.
    """

    def __init__(self) -> None:
        self._at_end = ExitStack()
        self._tested: subject.Subject
        self._worker: RemoteWorker
        self._closed = finalize(self, self._at_end.close)

    def open(self, opening: Opening, token: Token, spec: Version) -> bytes:
        """Make the module ready, for a model of a version: a `Described`.

        Raises:
            ModuleUnusable: if it or its token cannot be used.
        """
        sweep()
        self._tested = tested = measured(opening, token, build(spec), 0)
        self._at_end.callback(tested.discard)
        about = {name: str(value) for name, value in tested.about.items()}
        counted = tested.census is not None
        here = version(PROGRAM)
        return encode(Described(here, about, tested.initial, tested.rights, dict(tested.token), tested.shown, counted))

    def census(self, *, remove: bool = False) -> bytes:
        """What the token holds now: a `Census`."""
        assert self._tested.census is not None, "only a stranger's token is counted"
        return encode(self._tested.census(remove=remove))

    def begin(self, given: bytes) -> None:
        """Have a worker begin, on a `Briefing`."""
        told: Briefing = decode(Briefing, given)
        assert self._tested.isolated is not None, "it is in a process of its own"
        self._worker = RemoteWorker(told.task, told.calls, self._tested.isolated)

    def do(self, news: bytes, order: bytes) -> bytes:
        """Do a piece of work, told a `Tell` before: a `Done`."""
        told: Do = decode(Do, order)
        self._worker.tell(decode(Tell, news))
        return encode(self._worker.do(item_of(told), told.seconds))

    def rerun(self, news: bytes, order: bytes, *, fresh: bool) -> bytes:
        """Run a sequence again, told a `Tell` before: a `Ran`."""
        told: Rerun = decode(Rerun, order)
        self._worker.tell(decode(Tell, news))
        return encode(self._worker.rerun(told.calls, fresh=fresh))

    def end(self) -> None:
        """Have the worker put the token back and go."""
        self._worker.close()

    def close(self) -> None:
        """Take down all that was made."""
        self._closed()


@dataclass(frozen=True, slots=True)
class _Line:
    """The line to a station, by the address of its dask worker."""

    client: Client
    address: str
    actor: Any

    def ask(self, method: str, *given: Any, **named: Any) -> Any:
        """What a method of the station returns.

        Raises:
            ModuleUnusable: as the method does, or if the dask worker is gone.
        """
        try:
            answer = getattr(self.actor, method)(*given, **named)
        except RuntimeError as error:
            self._lost(error)
        while True:
            try:
                return answer.result(timeout=LOOK)
            except TimeoutError as error:
                if not self._is_there():
                    self._lost(error)
            except (OSError, CancelledError) as error:
                self._lost(error)

    def _is_there(self) -> bool:
        try:
            return self.address in self.client.nthreads()
        except (OSError, CancelledError):
            return False

    def _lost(self, error: BaseException) -> NoReturn:
        text = " ".join(str(error).split()) or type(error).__name__
        raise ModuleUnusable(f"{self.address}: the dask worker is gone ({text}); look at its log") from None

    def close(self) -> None:
        """Take down what is there, where it still is."""
        with suppress(ModuleUnusable):
            self.ask("close")


class Distant:
    """A worker on a station (implements `crew.Hand`)."""

    def __init__(self, task: Task, calls: tuple[Call, ...], line: _Line) -> None:
        self._line, self._lock, self._untold = line, Lock(), Tell()
        line.ask("begin", briefing(task, calls))

    def do(self, item: Item, seconds: float) -> Done:
        """Do a piece of work within some seconds."""
        done: Done = decode(Done, self._line.ask("do", self._news(), encode(order_of(item, seconds))))
        return done

    def rerun(self, calls: Sequence[Call], *, fresh: bool) -> Ran:
        """Run a sequence from a fresh start; if it is to be `fresh` in a new process, by itself."""
        ran: Ran = decode(Ran, self._line.ask("rerun", self._news(), encode(Rerun(tuple(calls))), fresh=fresh))
        return ran

    def tell(self, news: Tell) -> None:
        """Tell it something before its next piece of work."""
        with self._lock:
            self._untold = joined(self._untold, news)

    def close(self) -> None:
        """Put the token back, and give the module up."""
        self._line.ask("end")

    def _news(self) -> bytes:
        with self._lock:
            news, self._untold = self._untold, Tell()
        return encode(news)


@contextmanager
def reached(address: str, opening: Opening, model: Model, jobs: int | None) -> Iterator[tuple[subject.Subject, ...]]:
    """What is tested on the workers of a cluster, once for each of them, or for so many.

    Raises:
        Failure: if the cluster cannot be reached, or not with this module.
        ModuleUnusable: if the module or a token cannot be used there.
    """
    by_path = opening.module not in subject.known()
    if by_path and not os.path.isabs(opening.module):
        fail(f"{opening.module}: with --cluster a library is found on other machines; give its whole path")
    with ExitStack() as stack:
        client = stack.enter_context(_client(address))
        chosen = _chosen(address, client, jobs)
        see_that_pins_may_go(address, opening, (str(client.scheduler_info()["address"]), *chosen))
        lines = []
        for worker in chosen:
            lines.append(_station(client, worker))
            stack.callback(lines[-1].close)
        tokens = _tokens(address, opening, chosen) if by_path else {x: Token() for x in chosen}
        found = [_subject(line, opening, tokens[line.address], model) for line in lines]
        subject.see_that_alike(found, strangers=by_path)
        yield (profiled(found[0], opening), *found[1:])


@contextmanager
def _client(address: str) -> Iterator[Client]:
    # What is logged of a lost cluster is told in a line of ours. Actors find this client by its being the default one.
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)
    try:
        client = Client(address, timeout=CONNECT)
    except (OSError, ValueError, TypeError, KeyError) as error:
        said = " ".join(str(error).split())
        fail(f"--cluster {address}: no scheduler of dask answers there ({said}); start one with: dask scheduler")
    with client:
        yield client


def _chosen(address: str, client: Client, jobs: int | None) -> list[str]:
    """The addresses of the dask workers that are to work."""
    there = sorted(client.nthreads())
    if not there:
        fail(f"--cluster {address}: no worker is there; start one with: dask worker {address}")
    if jobs is not None and jobs > len(there):
        fail(f"--cluster {address}: --jobs {jobs}, but {len(there)} workers are there; start more, or give fewer jobs")
    return there[:jobs]


def _host(address: str) -> str:
    return urlsplit(address).hostname or address


def see_that_pins_may_go(address: str, opening: Opening, addresses: Sequence[str]) -> None:
    """See that no PIN crosses a network in the clear.

    Raises:
        Failure: if one would.
    """
    here = {x.address.partition("%")[0] for known in psutil.net_if_addrs().values() for x in known}
    open_ones = [x for x in addresses if urlsplit(x).scheme not in ("tls", "wss", "inproc") and _host(x) not in here]
    if open_ones and (opening.user_pin is not None or opening.so_pin is not None):
        fail(
            f"--cluster {address}: the PINs would go to {open_ones[0]} in the clear; have the cluster use TLS, "
            "or give no PIN"
        )


def _tokens(address: str, opening: Opening, workers: Sequence[str]) -> Mapping[str, Token]:
    """The token of each dask worker: those of one machine have the tokens in their order."""
    most = max(Counter(map(_host, workers)).values())
    named = len(opening.tokens)
    if most != named:
        fail(
            f"--cluster {address}: a machine has {most} workers, each of which wants a token of its own, and {named} "
            f"can be had; name {most} by --token-label or --slot"
        )
    of_host: Counter[str] = Counter()
    found = {}
    for worker in workers:
        found[worker] = opening.tokens[of_host[_host(worker)]]
        of_host[_host(worker)] += 1
    return found


def _station(client: Client, worker: str) -> _Line:
    """A new station at a dask worker.

    Raises:
        Failure: if p11conform is not there.
    """
    try:
        future = client.submit(Station, actor=True, workers=[worker], allow_other_workers=False, pure=False)
        return _Line(client, worker, future.result(timeout=START))
    except Exception as error:  # whatever a machine without the package, or with another one, comes up with
        said = " ".join(str(error).split())
        fail(f"{worker}: {PROGRAM} does not begin there ({said}); {_install()}")


def _install() -> str:
    return f"install {PROGRAM}[cluster] {version(PROGRAM)} on the machines of the scheduler and of all workers"


def _subject(line: _Line, opening: Opening, token: Token, model: Model) -> subject.Subject:
    """What a station has to test.

    Raises:
        Failure: if it has another version of p11conform.
        ModuleUnusable: if the module or the token cannot be used there.
    """
    there: Described = decode(Described, line.ask("open", opening, token, model.version))
    if there.version != version(PROGRAM):
        fail(f"{line.address}: {PROGRAM} {there.version} is there; {_install()}")

    def taken(*, remove: bool = False) -> Census:
        counted: Census = decode(Census, line.ask("census", remove=remove))
        return counted

    census: Callable[..., Census] | None = taken if there.counted else None
    return subject.Subject(
        opening.module,
        there.about,
        there.initial,
        there.rights,
        _elsewhere,
        None,
        line.close,
        there.token,
        census,
        there.shown,
        partial(Distant, line=line),
    )


def _elsewhere() -> Adapter:
    raise RuntimeError("the module is on another machine, where only a worker calls it")
