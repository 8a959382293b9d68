"""Trying a library on a file in a process of its own, where it may hang or crash."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import warnings
from collections.abc import Callable


def ends(work: Callable[[], object], seconds: int) -> bool:
    """Whether some work comes to its end, with or without an exception, within seconds of CPU time.

    A signal does not get a C library out of a loop, and nothing gets a process over a crash of one. So the
    work is done once in a copy of this process, whose time the system bounds.
    """
    if not hasattr(os, "fork"):  # on Windows nothing is tried
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the copy leaves alone
        child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            work()
        os._exit(0)
    try:
        _, status = os.waitpid(child, 0)
    except BaseException:  # Ctrl-C
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        raise
    return not os.WIFSIGNALED(status)
