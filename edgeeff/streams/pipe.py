"""What is read from a pipe: with a time-out, and a way to end a wait from another thread."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import time
from types import TracebackType

from edgeeff.streams.kinds import LostError

#: Seconds after which a wait looks whether it is to end.
_LOOK = 0.25
#: Bytes that a pipe holds: the system's default is a small part of a frame.
_HOLDS = 1 << 20


class Pipe:
    """The reading end of a pipe, or a file; closed when its block is left.

    Args:
        number: Its descriptor, which is owned from here on.
        patience: Seconds without a byte after which it counts as lost; None: it is waited for.
    """

    def __init__(self, number: int, patience: float | None) -> None:
        self._number, self._patience = number, patience
        self.stopped = False
        with contextlib.suppress(OSError, AttributeError):  # a file, or more than this user may have
            fcntl.fcntl(number, fcntl.F_SETPIPE_SZ, _HOLDS)
        self._poll = select.poll()
        self._poll.register(number, select.POLLIN)

    def __enter__(self) -> Pipe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._number >= 0:
            os.close(self._number)
            self._number = -1

    def __del__(self) -> None:
        self.__exit__(None, None, None)

    def stop(self) -> None:
        """Have a wait end as if the pipe had; called by another thread."""
        self.stopped = True

    def fill(self, buffer: bytearray) -> int:
        """Read until a buffer is full; the number of bytes, fewer at the end.

        Raises:
            LostError: Nothing came for too long.
        """
        count, view = 0, memoryview(buffer)
        while count < len(buffer) and self._wait():
            try:
                got = os.readv(self._number, [view[count:]])
            except BlockingIOError:
                continue
            if not got:
                break
            count += got
        return count

    def read(self, size: int) -> bytes:
        """Some bytes, as they come; none at the end. So PyAV reads it.

        Raises:
            LostError: Nothing came for too long.
        """
        while self._wait():
            try:
                return os.read(self._number, size)
            except BlockingIOError:
                continue
        return b""

    def _wait(self) -> bool:
        """Wait for bytes, or the end; False: somebody stopped it."""
        until = None if self._patience is None else time.monotonic() + self._patience
        while not self.stopped:
            if self._poll.poll(_LOOK * 1000):
                return True
            if until is not None and time.monotonic() > until:
                raise LostError(f"nothing came for {self._patience:g} s")
        return False
