"""Opening whatever gives frames."""

from __future__ import annotations

import math
from collections.abc import Callable

from edgeeff.errors import OptionError, StreamError
from edgeeff.streams.kinds import Settings, kind_of, kinds
from edgeeff.streams.naming import shown
from edgeeff.streams.source import Source

_TIMEOUT, _RECONNECT = Settings().timeout, Settings().reconnect


def is_stream(source: str, raw: str | None = None) -> bool:
    """Whether a text names a stream of frames, and no photos."""
    return kind_of(source, Settings(raw=raw)) is not None


def is_video(source: str) -> bool:
    """The same, of a source that says itself what its frames are."""
    return is_stream(source)


def open_source(
    source: str,
    *,
    raw: str | None = None,
    latest: bool | None = None,
    timeout: float = _TIMEOUT,
    reconnect: float = _RECONNECT,
    turn: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Source:
    """Open a stream of frames.

    Args:
        source: A video file; ``/dev/video0`` or a camera's number; ``rtsp://…``; ``http://…`` of MJPEG or of
            a video file; ``gst:`` and a pipeline; ``-``, a named pipe or a file with ``raw``.
        raw: What raw frames are: ``640x480:nv12@30``; rgb24, bgr24, gray, nv12, yuv420p or yuyv422.
        latest: Drop frames rather than give them late; None: of a source that does not wait for its reader.
        timeout: Seconds without a frame after which a source counts as lost; 0: it is waited for.
        reconnect: Seconds for which a camera or server that was lost is tried again; 0: not at all.
        turn: Turn a video's frames as the file says they are to be shown, as ``Preprocess.exif`` wants it.
        tell: Called, by whoever iterates, with what happens to the source meanwhile.

    Raises:
        StreamError: It cannot be opened, or nothing here opens such a source.
        MissingFileError: There is no such file.
        MissingRuntimeError: PyAV or GStreamer is not installed.
        OptionError: A value makes no sense.
    """
    for name, value in (("timeout", timeout), ("reconnect", reconnect)):
        if not (0 <= value < math.inf):
            raise OptionError(f"--{name} {value:g}", mend="give seconds, or 0")
    settings = Settings(raw, timeout, reconnect, turn)
    kind = kind_of(source, settings)
    if kind is None:
        known = ", ".join(each.example for each in kinds())
        raise StreamError(
            f"{shown(source)!r} is no stream of frames",
            mend=f"streams are written as {known}; photos and folders go to Predictor.each",
        )
    return Source(kind, source, settings, latest, tell)
