"""The journal that tells a parent what its child was doing, with a child that is killed."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from p11conform.adapters.journal import CAPACITY, Journal

CHILD = """
import sys
from p11conform.adapters.journal import Journal
journal = Journal(int(sys.argv[1]))
for line in sys.stdin:
    numbers = [int(word) for word in line.split()]
    if numbers[0] == 0:
        journal.begin()
    for i, number in enumerate(numbers[1:], start=numbers[0]):
        journal.entries[i] = number + 1
    print("made", flush=True)
"""


@contextmanager
def writer(journal: Journal) -> "Iterator[subprocess.Popen[str]]":
    """A child that writes what it is told: where to begin, and the numbers of calls."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(journal.descriptor)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        pass_fds=[journal.descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        yield child
        child.kill()


def write(child: "subprocess.Popen[str]", first: int, *numbers: int) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    print(first, *numbers, file=child.stdin, flush=True)
    assert child.stdout.readline() == "made\n"


def test_what_a_child_was_doing_outlives_it() -> None:
    with Journal() as journal, writer(journal) as child:
        assert journal.calls() == ()
        write(child, 0, 7, 0, 7)
        assert journal.calls() == (7, 0, 7)
        write(child, 3, 2**32 - 2)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert journal.calls() == (7, 0, 7, 2**32 - 2)


def test_a_new_sequence_leaves_nothing_of_the_last_one() -> None:
    with Journal() as journal, writer(journal) as child:
        write(child, 0, 1, 2, 3)
        write(child, 0, 4)
        assert journal.calls() == (4,)
        write(child, 0)
        assert journal.calls() == ()


def test_every_step_leaves_a_mark() -> None:
    with Journal() as journal, writer(journal) as child:
        marks = [journal.mark()]
        for first, *numbers in ((0,), (0, 5), (1, 5), (0, 5), (1, 5)):
            write(child, first, *numbers)
            marks.append(journal.mark())
        assert len(set(marks)) == len(marks)
        assert journal.mark() == marks[-1]


def test_a_sequence_fills_the_journal_and_no_more() -> None:
    with Journal() as journal:
        for _ in range(2):
            journal.begin()
            for i in range(CAPACITY):
                journal.entries[i] = i + 1
            assert journal.calls() == tuple(range(CAPACITY))
            with pytest.raises(IndexError):
                journal.entries[CAPACITY] = 1
        journal.begin()
        assert journal.calls() == ()


def test_closing_gives_the_descriptor_back() -> None:
    journal = Journal()
    descriptor = journal.descriptor
    assert not os.get_inheritable(descriptor)
    journal.close()
    journal.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_what_is_no_journal_is_refused() -> None:
    with tempfile.TemporaryFile() as file, pytest.raises(ValueError, match="length"):
        Journal(os.dup(file.fileno()))
