"""Checks of SoftHSM2 with one planted defect at a time: by what it is found, after how many calls, and what diff says.

    python tests/long/defects.py [--calls N] [DEFECT...]

A defect counts as found by a finding that a check of SoftHSM2 as it is does not have, and as named where that is about
the function, and blames the call, that tests/planted.py says, or says that the call always succeeds. It exits with 1
if one is not found.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from planted import PLANTED, Planted, planted  # noqa: E402

from p11conform.model.oracle import Model, build  # noqa: E402
from p11conform.opened import workers  # noqa: E402
from p11conform.properties.engine.verdict import Kind  # noqa: E402
from p11conform.properties.reports.findings import Finding, explain  # noqa: E402
from p11conform.properties.run.campaign import Budget, Campaign  # noqa: E402


@contextmanager
def library() -> Iterator[str]:
    with TemporaryDirectory() as directory:
        made, source = Path(directory) / "libplanted.so", ROOT / "tests/modules_c/planted.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
        yield str(made)


def checked(model: Model, built: str, name: str, calls: int) -> tuple[Finding, ...]:
    tested = planted(built, name)
    try:
        with workers(model, (tested,)) as crew:
            budget = Budget(seconds=3600, calls=calls)
            campaign = Campaign(model, tested.initial, crew, policy=tested.rights.policy, seed=11, budget=budget)
            return campaign.run().findings
    finally:
        tested.discard()


def named(found: Finding, defect: Planted) -> bool:
    lapse = found.verdict.lapse
    if defect.lapse is None:
        return lapse is None and defect.function in found.functions
    if found.verdict.kind is Kind.ALWAYS:
        return found.functions == (defect.lapse[0],)
    return lapse is not None and (lapse.function, lapse.row) == defect.lapse


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("defects", nargs="*", metavar="DEFECT")
    given = parser.parse_args()
    model, first = build(), []
    with library() as built:
        plain = {x.symptom.id for found in checked(model, built, "", given.calls) for x in found.symptoms}
        for defect in PLANTED:
            if given.defects and defect.name not in given.defects:
                continue
            findings = checked(model, built, defect.name, given.calls)
            new = [f for f in findings if any(x.symptom.id not in plain for x in f.symptoms)]
            right = [f for f in new if named(f, defect)]
            first.append(min((f.first_call for f in right or new), default=given.calls))
            told = "named" if right else "found" if new else "NOT FOUND"
            print(f"{defect.name}: {told}, {len(new)} findings of its own, first after {first[-1]} calls", flush=True)
            for found in new:
                says = explain(model, found.verdict).splitlines()
                print(f"    {found.id} {', '.join(found.functions)}: {says[0]} {says[-1]}", flush=True)
    print(f"median: {median(first):.0f} calls")
    return int(any(calls == given.calls for calls in first))


if __name__ == "__main__":
    sys.exit(main())
