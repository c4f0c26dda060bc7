"""An application that goes on as the child of itself: what it was waits for it, calls no more, and ends as it does."""

import os
import signal
from typing import Final

FORKS: Final = "application-forks"
"""The event, which happens in the process of the module, and not beside it."""


def go_on_in_a_child() -> None:
    """Return in a child of this process, whose parent ends as soon as the child does, and in the same way."""
    child = os.fork()
    if not child:
        return
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
