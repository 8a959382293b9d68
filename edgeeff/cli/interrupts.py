"""A Ctrl-C that is not lost.

Python raises KeyboardInterrupt wherever the main thread is. In a finaliser, or in a function that a C
library calls, an exception leads nowhere: Python prints "Exception ignored in", and the verb works on as if
nobody had stopped it. Such an interrupt is raised again as soon as the main thread has left that place.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Seconds until then. Where it meets a finaliser once more, it is raised once more.
_LATER = 0.02


@contextmanager
def kept() -> Iterator[None]:
    """While a verb runs, an interrupt that Python drops comes again."""
    before, waiting = sys.unraisablehook, list[threading.Timer]()

    def again(dropped: Any) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            before(dropped)
            return
        timer = threading.Timer(_LATER, _thread.interrupt_main)
        timer.daemon = True
        waiting.append(timer)
        timer.start()

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in waiting:
            timer.cancel()


@contextmanager
def terminated() -> Iterator[None]:
    """Within it SIGTERM and SIGHUP are as Ctrl-C, so that what was begun is ended well; once each.

    Where one of them has been given another meaning (``nohup``), or in another thread, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]

    def interrupt(number: int, _: Any) -> None:
        for each in ours:  # the work is being ended: one who cannot wait has SIGKILL
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
