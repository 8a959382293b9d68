"""Ctrl-C and SIGTERM that wait until what is being added up is whole, so that it can be kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Stop:
    """Whether the process was told to stop.

    Args:
        signal: The signal that waits; None: there is none.
    """

    signal: int | None = None
    _restore: Callable[[], None] = lambda: None

    def follow(self) -> None:
        """Do what the signal would have done at once: raise KeyboardInterrupt, or end the process."""
        waiting, self.signal = self.signal, None
        self._restore()
        if waiting is not None:
            signal.raise_signal(waiting)


@contextmanager
def delayed(stop: Stop) -> Iterator[None]:
    """Within it the first SIGINT or SIGTERM waits for :meth:`Stop.follow`, or for the end; a second does not.

    Handlers belong to the main thread: elsewhere nothing is changed. What ignores a signal goes on doing so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {n: handler for n, handler in before.items() if handler not in (None, signal.SIG_IGN)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def wait(number: int, frame: object) -> None:
        again, stop.signal = stop.signal is not None, number
        if again:
            stop.follow()

    stop._restore = restore
    for number in before:
        signal.signal(number, wait)
    try:
        yield
    finally:
        stop.follow()
