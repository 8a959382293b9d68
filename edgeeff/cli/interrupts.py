"""A Ctrl-C that is not lost.

Python raises KeyboardInterrupt wherever the main thread is. In a finaliser, or in a function that a C
library calls, an exception leads nowhere: Python prints "Exception ignored in", and the verb works on as if
nobody had stopped it. Such an interrupt is raised again as soon as the main thread has left that place.
"""

from __future__ import annotations

import _thread
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
