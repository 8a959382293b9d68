"""Cameras of Linux (v4l2), through PyAV."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeeff.errors import StreamError
from edgeeff.streams import container
from edgeeff.streams.frame import Frame
from edgeeff.streams.kinds import Connection, Kind, Settings
from edgeeff.streams.tally import Tally

FOLDER = "/dev/video"


def _claims(text: str, settings: Settings) -> bool:
    number = text.isascii() and text.isdigit() and not Path(text).exists()
    return settings.raw is None and (number or text.startswith(FOLDER))


def _connect(text: str, settings: Settings, tally: Tally) -> Connection:
    """A camera is waited for by whoever reads: the kernel's wait for a frame cannot be cut short."""
    av = container.library()
    path = f"{FOLDER}{int(text)}" if text.isdigit() else text
    if not Path(path).exists():
        others = sorted(str(each) for each in Path("/dev").glob("video*"))
        there = f"there is {', '.join(others)}" if others else "no camera is known to this system"
        raise StreamError(f"no camera {path}", mend=f"plug it in, or pass another: {there}")
    if not os.access(path, os.R_OK | os.W_OK):
        raise StreamError(
            f"{path} may not be opened by this user",
            mend="add the user to the group that owns it: sudo usermod -aG video $USER, then log in again",
        )
    try:
        opened = av.open(path, format="v4l2")
    except av.FFmpegError as error:
        why = (
            "another program uses it" if isinstance(error, OSError) and error.errno == 16 else error.strerror
        )
        raise StreamError(
            f"{path} cannot be opened as a camera: {why}",
            mend="close the program that uses it; v4l2-ctl --list-devices says which devices give pictures",
        ) from None
    return Connection(_read(opened, path, tally), live=True, again=True, watched=True)


def _read(opened: Any, path: str, tally: Tally) -> Iterator[Frame]:
    with opened:
        yield from container.read(opened, path, tally, live=True)


KIND = Kind("camera", "/dev/video0", _claims, _connect)
