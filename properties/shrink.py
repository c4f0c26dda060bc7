"""Delta debugging of call sequences: the fewest and plainest calls that still show the same failure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ..model.call import Args, Call

Fails = Callable[[Sequence[Call]], bool]

_PLAIN = Args()


def shrink(calls: Sequence[Call], uses: Mapping[str, tuple[str, ...]], fails: Fails) -> tuple[Call, ...]:
    """A sequence that fails like `calls`, from which no single call and no single argument can be taken away.

    `fails` replays a sequence and says whether it shows the failure; `uses` names the arguments of each function.
    The result depends on the arguments only.
    """
    best = tuple(calls)
    while True:
        shorter = _simplify(_remove(best, fails), uses, fails)
        if shorter == best:
            return best
        best = shorter


def _remove(calls: tuple[Call, ...], fails: Fails) -> tuple[Call, ...]:
    size = len(calls)
    while size:
        start = 0
        while start < len(calls):
            rest = calls[:start] + calls[start + size :]
            if rest and fails(rest):
                calls = rest
            else:
                start += size
        size //= 2
    return calls


def _simplify(calls: tuple[Call, ...], uses: Mapping[str, tuple[str, ...]], fails: Fails) -> tuple[Call, ...]:
    for i, call in enumerate(calls):
        for name in uses[call.function]:
            plain = getattr(_PLAIN, name)
            if getattr(calls[i].args, name) == plain:
                continue
            changed = replace(calls[i].args, **{name: plain})
            trial = (*calls[:i], Call(call.function, changed), *calls[i + 1 :])
            if fails(trial):
                calls = trial
    return calls
