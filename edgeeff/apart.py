"""Trying a library on a file in a process of its own, where it may hang or crash."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path


def ends(work: Callable[[], object], seconds: int, memory: int | None = None) -> bool:
    """Whether some work comes to its end, with or without an exception, within seconds of CPU time.

    A signal does not get a C library out of a loop, and nothing gets a process over a crash of one. So the
    work is done once in a copy of this process, whose time the system bounds.

    Args:
        work: What to try.
        seconds: Of the processor.
        memory: Bytes of addresses that it may add to what this process has; None: any number.
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
            if memory is not None:
                most = _addresses() + memory
                resource.setrlimit(resource.RLIMIT_AS, (most, most))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # a library's last words are no message of ours
            faulthandler.disable()
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


def _addresses() -> int:
    """Bytes of addresses that this process has; where no kernel says it, all that there are."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    except OSError:
        return sys.maxsize >> 1
    return int(pages) * resource.getpagesize()
