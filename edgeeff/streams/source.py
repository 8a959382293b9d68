"""A source of frames: read by a thread, a few ahead or always the newest, connected to again if lost."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from threading import Condition, Event, Thread
from types import TracebackType
from typing import Generic, TypeVar, cast

from edgeeff.errors import StreamError
from edgeeff.streams.frame import Frame
from edgeeff.streams.kinds import Kind, Settings
from edgeeff.streams.lasting import Lasting
from edgeeff.streams.naming import called
from edgeeff.streams.tally import Tally

Made = TypeVar("Made")

#: Frames that are read before they are asked for, of a source that waits for its reader.
_AHEAD = 3
#: Seconds that closing waits for the thread: one that waits for the network ends by its own time-out.
_CLOSING = 2.0
#: Seconds after which somebody who waits for a frame looks around.
_LOOK = 0.5


@dataclass(frozen=True)
class _Item(Generic[Made]):
    """A frame on its way from the thread, what was made of it, and what had been read by then."""

    frame: Frame
    made: Made | None
    read: Tally


@dataclass(frozen=True)
class _End:
    """The end, by an error or not, and what had been read by then."""

    error: Exception | None
    read: Tally


class _Queue(Generic[Made]):
    """A few frames on their way; what is said meanwhile comes before them.

    Args:
        newest: A new frame takes the place of one that still waits; else the thread waits.
    """

    def __init__(self, *, newest: bool) -> None:
        self._newest = newest
        self._changed = Condition()
        self._items: deque[_Item[Made]] = deque()
        self._said: deque[str] = deque()
        self._end: _End | None = None
        self.closed = Event()

    def put(self, item: _Item[Made]) -> None:
        with self._changed:
            if self._newest and self._items:
                old = self._items.pop().frame
                dropped, missing = old.dropped + 1, old.missing + item.frame.missing
                item = replace(item, frame=replace(item.frame, dropped=dropped, missing=missing))
            while len(self._items) >= _AHEAD and not self.closed.is_set():
                self._changed.wait()
            self._items.append(item)
            self._changed.notify_all()

    def say(self, text: str) -> None:
        with self._changed:
            self._said.append(text)
            self._changed.notify_all()

    def finish(self, end: _End) -> None:
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self.closed.set()
            self._items.clear()
            self._changed.notify_all()

    def take(self, patience: float | None) -> str | _Item[Made] | _End:
        """The next sentence or frame, or the end.

        Raises:
            TimeoutError: So many seconds have passed.
        """
        until = None if patience is None else time.monotonic() + patience
        with self._changed:
            while not (self._said or self._items or self._end):
                if until is not None and time.monotonic() > until:
                    raise TimeoutError
                self._changed.wait(_LOOK)
            if self._said:
                return self._said.popleft()
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            assert self._end is not None
            return self._end


class Source:
    """A stream of frames. Iterate it once; leave its ``with`` block to let go of it.

    A thread reads: of a source that waits (a file, a pipe) a few frames ahead, of one that does not (a
    camera, a server) into a place for one frame, where a newer one replaces an older one.

    Args:
        kind: What reads it.
        text: The source as it was given.
        settings: What is known of it beside.
        latest: Frames are dropped rather than answered late; None: where the source is live.
        tell: Called, by whoever iterates, with what happens to the source meanwhile.

    Raises:
        EdgeeffError: It cannot be opened.
    """

    def __init__(
        self,
        kind: Kind,
        text: str,
        settings: Settings,
        latest: bool | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.name = called(text)
        self.tally = Tally()
        self._settings, self._tell = settings, tell
        self._read = Tally()  # the thread's own, ahead of what was handed out
        connect = partial(kind.connect, text, settings, self._read)
        connection = connect()
        self._lasting = Lasting(self.name, connect, connection, settings, self._read)
        self.live = connection.live
        self.latest = self.live if latest is None else latest
        self._thread: Thread | None = None
        self._queue: _Queue[object] = _Queue(newest=self.latest)

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the source; a thread that waits for the network ends by its time-out."""
        self._queue.close()
        self._lasting.stop()
        if self._thread is None:
            self._lasting.connection.close()
        else:
            self._thread.join(_CLOSING)

    def __iter__(self) -> Iterator[Frame]:
        """The frames.

        Raises:
            StreamError: The source ended, stalled or failed, and was not there again in time.
            ImageError: Not one frame can be decoded.
        """
        return (frame for frame, _ in self.prepared(lambda frame: None))

    def prepared(self, prepare: Callable[[Frame], Made]) -> Iterator[tuple[Frame, Made]]:
        """The frames, each with what a function makes of it.

        The thread calls the function, ahead of time; where frames may be dropped, whoever iterates does.

        Raises:
            EdgeeffError: As of the frames, or the function's own.
        """
        if self._thread is not None or self._queue.closed.is_set():
            raise StreamError(f"{self.name} has been read already", mend="open the source again")
        ahead = None if self.latest else prepare
        self._thread = Thread(target=self._work, args=(ahead,), name=f"edgeeff {self.name}", daemon=True)
        self._thread.start()
        patience = self._settings.patience if self._lasting.connection.watched else None
        while True:
            try:
                item = self._queue.take(patience)
            except TimeoutError:
                if self._lasting.lost:
                    continue
                raise StreamError(
                    f"{self.name} gave no frame for {self._settings.timeout:g} s", mend="plug it in again"
                ) from None
            if isinstance(item, str):
                self._said(item)
            elif isinstance(item, _Item):
                self._count(item.read)
                self.tally.count(item.frame)
                yield item.frame, prepare(item.frame) if self.latest else cast(Made, item.made)
            else:
                self._count(item.read)
                if item.error is not None:
                    raise item.error
                return

    def _count(self, read: Tally) -> None:
        self.tally.skipped, self.tally.unturned = read.skipped, read.unturned
        self.tally.traits = read.traits
        self.tally.reconnections = read.reconnections
        self.tally.expected, self.tally.end = read.expected, read.end
        self.tally.varies = read.varies

    def _said(self, text: str) -> None:
        if self._tell is not None:
            self._tell(text)

    def _work(self, prepare: Callable[[Frame], object] | None) -> None:
        """What the thread does."""
        try:
            for frame in self._lasting.frames(self._queue.say):
                made = None if prepare is None else prepare(frame)
                self._queue.put(_Item(frame, made, copy(self._read)))
                if self._queue.closed.is_set():
                    return
            self._queue.finish(_End(None, self._read))
        except Exception as error:  # raised where the frames are read
            self._queue.finish(_End(error, self._read))
