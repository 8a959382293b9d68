"""The kinds of sources, one file each, found by listing; the first that claims a text opens it.

A kind's module holds ``KIND``. What it reads, how it fails and whether it waits for its reader are its own;
reconnection, dropping and reading ahead are common to all (:mod:`edgeeff.streams.source`).
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module

from edgeeff.streams.frame import Frame
from edgeeff.streams.tally import Tally


class LostError(Exception):
    """A connection gives no more frames, and has not ended as it was to; its text says why."""


@dataclass(frozen=True)
class Settings:
    """What is known of a source beside its text.

    Args:
        raw: Size, format and rate of raw frames, such as ``640x480:nv12@30``; None: the source says it.
        timeout: Seconds without a frame after which a source counts as lost; 0: it is waited for.
        reconnect: Seconds for which a lost source is tried again; 0: not at all.
        turn: Turn frames as a file says they are to be shown.
    """

    raw: str | None = None
    timeout: float = 10.0
    reconnect: float = 60.0
    turn: bool = False

    @property
    def patience(self) -> float | None:
        """The time-out, as libraries take it: None waits for ever."""
        return self.timeout or None


def _nothing() -> None:
    """Nothing has to be done."""


@dataclass(frozen=True)
class Connection:
    """An open source.

    Args:
        frames: They come numbered from 0. Raises ``LostError`` or an ``EdgeeffError``; its end is that of the
            source. Closing it lets go of the source.
        live: Frames come when they come: who is slow is to get the newest.
        again: Where it ends or is lost it can be connected to again.
        abort: Called by another thread, has ``frames`` end soon, where that can be done.
        watched: Nothing in it ends a wait for a frame: whoever waits for it has to count the seconds.
    """

    frames: Iterator[Frame]
    live: bool = False
    again: bool = False
    abort: Callable[[], None] = _nothing
    watched: bool = False

    def close(self) -> None:
        """Let go of it; by the thread that reads it."""
        if isinstance(self.frames, Generator):
            self.frames.close()
        self.abort()


@dataclass(frozen=True)
class Kind:
    """A kind of source.

    Args:
        name: What it is, for messages.
        example: How a source of this kind is written.
        claims: Whether a text, with these settings, is of this kind.
        connect: Opens it. The tally gets what is skipped, and what is expected.
    """

    name: str
    example: str
    claims: Callable[[str, Settings], bool]
    connect: Callable[[str, Settings, Tally], Connection]


@lru_cache(maxsize=1)
def kinds() -> tuple[Kind, ...]:
    """All kinds, by the names of their files."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name[0] != "_")
    return tuple(import_module(f"{__name__}.{name}").KIND for name in names)


def kind_of(text: str, settings: Settings) -> Kind | None:
    """The kind that claims a text; None: no stream is written so."""
    return next((kind for kind in kinds() if kind.claims(text, settings)), None)
