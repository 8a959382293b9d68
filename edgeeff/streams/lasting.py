"""One stream of frames out of as many connections as it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from threading import Event

from edgeeff.errors import StreamError
from edgeeff.streams.frame import Frame
from edgeeff.streams.kinds import Connection, LostError, Settings
from edgeeff.streams.tally import Tally

#: Seconds before a lost source is tried again; they double up to the last, and begin anew after a connection
#: that held so long.
_SOON, _LATE, _HELD = 0.25, 5.0, 5.0


class Lasting:
    """A source that is connected to again where it is lost.

    Args:
        name: For messages.
        connect: Opens it; it was opened once already.
        connection: The first one.
        settings: How long it is tried.
        read: Its tally gets the number of reconnections.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection],
        connection: Connection,
        settings: Settings,
        read: Tally,
    ) -> None:
        self._name, self._connect, self._settings, self._read = name, connect, settings, read
        self.connection = connection
        #: Whether it is lost just now, and tried again.
        self.lost = False
        self._stopped = Event()
        self._next = 0
        self._last = 0.0
        self._brief = 0

    def stop(self) -> None:
        """Have the frames end soon; called by another thread."""
        self._stopped.set()
        self.connection.abort()

    def frames(self, say: Callable[[str], None]) -> Iterator[Frame]:
        """All frames; numbers and seconds go on over a reconnection.

        Args:
            say: Called with what happens to the connection.

        Raises:
            StreamError: It was lost, and was not there again in time.
            EdgeeffError: What the source's kind raises.
        """
        begun: float | None = None
        try:
            while not self._stopped.is_set():
                opened, first, offset = time.monotonic(), self._next, 0.0
                reason = "it ended"
                try:
                    for frame in self.connection.frames:
                        before, self._last = self._last, time.monotonic()
                        if begun is None:
                            begun = self._last
                        elif first == self._next:
                            self._read.reconnections += 1
                            offset = self._last - begun
                            say(f"{self._name} is there again, after {self._last - before:.1f} s")
                        self._next = first + frame.number + 1
                        yield _moved(frame, first, offset)
                    ended = not (self.connection.again and self._settings.reconnect)
                    if ended and begun is not None:
                        return
                except LostError as error:
                    reason = str(error)
                if self._stopped.is_set():
                    return
                self._brief = 0 if self._last - opened > _HELD else self._brief + 1
                self._return(reason, never=begun is None, say=say)
        finally:
            self.connection.close()

    def _return(self, reason: str, *, never: bool, say: Callable[[str], None]) -> None:
        """Connect again.

        Raises:
            StreamError: It cannot be, or could not in time.
        """
        self.connection.close()
        if never:
            raise StreamError(
                f"{self._name} gave not one frame: {reason}", mend="check that something is sent there"
            )
        where = f"{self._name} was lost after frame {self._next - 1}"
        if not (self.connection.again and self._settings.reconnect):
            raise StreamError(f"{where}: {reason}", mend="what was answered until then is kept")
        self.lost = True
        if self._brief <= 1:
            say(f"{where}: {reason}; it is tried again for {self._settings.reconnect:g} s")
        until = self._last + self._settings.reconnect
        while True:
            delay = min(_SOON * 2 ** max(self._brief - 1, 0), _LATE)
            if self._stopped.wait(max(0.0, min(delay, until - time.monotonic()))):
                return
            try:
                self.connection = self._connect()
                self.lost = False
                return
            except StreamError as error:
                reason = error.what
            self._brief += 1
            if time.monotonic() >= until:
                raise StreamError(
                    f"{where}, and was not there again within {self._settings.reconnect:g} s: {reason}",
                    mend="check the source; --reconnect says for how long it is tried",
                )


def _moved(frame: Frame, number: int, seconds: float) -> Frame:
    """A frame of a later connection, as one of the whole stream."""
    if not number:
        return frame
    later = None if frame.seconds is None else round(frame.seconds + seconds, 6)
    return replace(frame, number=frame.number + number, seconds=later)
