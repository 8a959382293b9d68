"""Video files, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeeff.errors import MissingFileError
from edgeeff.streams import clock, container
from edgeeff.streams.frame import Frame
from edgeeff.streams.kinds import Connection, Kind, Settings
from edgeeff.streams.tally import Tally

SUFFIXES = frozenset(
    {*(".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mjpeg", ".3gp", ".wmv", ".flv", ".ogv", ".y4m")}
    | {*(".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".h264", ".h265", ".hevc")}
)


def is_file(text: str) -> bool:
    """Whether a text names a video file, by its suffix."""
    return "://" not in text and Path(text).suffix.lower() in SUFFIXES and not Path(text).is_dir()


def frames(source: str, tally: Tally | None = None, *, turn: bool = False) -> Iterator[Frame]:
    """The frames of a video file, in order, read as they are asked for.

    Args:
        source: The file.
        tally: Filled with what was read, skipped and missing; its ``end`` is set when the source has ended.
        turn: Turn frames as the file says they are to be shown: phones write upright videos as turned ones.

    Raises:
        MissingRuntimeError: PyAV is not installed.
        MissingFileError: There is no such file.
        ImageError: It holds no video, or not one frame can be decoded.
    """
    tally = Tally() if tally is None else tally
    for frame in _read(source, tally, turn):
        tally.count(frame)
        yield frame


def _read(source: str, tally: Tally, turn: bool) -> Iterator[Frame]:
    av = container.library()
    if not Path(source).is_file():  # a pipe would be waited for
        raise MissingFileError(f"no video {source}", mend="pass a video file or /dev/video0")
    tally.varies = varies(av, source)
    try:
        with av.open(source, metadata_errors="replace") as opened:
            yield from container.read(opened, source, tally, turn=turn)
    except (av.FFmpegError, UnicodeDecodeError) as error:
        raise container.undecodable(source, error) from None


def varies(av: Any, source: Any) -> bool:
    """Whether a file's rate is not constant; of what cannot be looked at so, reading it says what is wrong.

    Args:
        av: PyAV.
        source: The file's name, or a file object.
    """
    try:
        with av.open(source, metadata_errors="replace") as opened:
            return bool(opened.streams.video) and clock.varies(opened)
    except (av.FFmpegError, UnicodeDecodeError):
        return False


def _connect(text: str, settings: Settings, tally: Tally) -> Connection:
    return Connection(_read(text, tally, settings.turn))


KIND = Kind(
    "video file",
    "clip.mp4",
    lambda text, settings: settings.raw is None and is_file(text),
    _connect,
)
