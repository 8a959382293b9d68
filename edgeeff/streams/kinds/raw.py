"""Raw frames, one after the other: from standard input, a named pipe or a file."""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edgeeff.errors import ImageError, MissingFileError, OptionError, StreamError
from edgeeff.onboard.camera import Planes
from edgeeff.streams import container
from edgeeff.streams.frame import Decoded, Frame
from edgeeff.streams.kinds import Connection, Kind, LostError, Settings
from edgeeff.streams.pipe import Pipe
from edgeeff.streams.tally import Tally

STANDARD_INPUT = "-"
_EXAMPLE = "640x480:nv12@30"
_SPEC = re.compile(r"(\d{1,5})x(\d{1,5}):([a-z0-9]+)(?:@(\d{1,4}(?:\.\d{1,4})?))?")
#: Formats, as FFmpeg calls them: bytes for each two pixels, and what width and height are multiples of.
FORMATS = {
    "rgb24": (6, 1, 1),
    "bgr24": (6, 1, 1),
    "gray": (2, 1, 1),
    "nv12": (3, 2, 2),
    "yuv420p": (3, 2, 2),
    "yuyv422": (4, 2, 1),
}
#: How files begin that are no raw frames: at which byte, and what they are.
_BEGINNINGS = (
    (0, b"\xff\xd8\xff\xe0", "a JPEG"),
    (0, b"\xff\xd8\xff\xe1", "a JPEG"),
    (0, b"\xff\xd8\xff\xdb", "a JPEG"),
    (0, b"\x89PNG\r\n", "a PNG"),
    (4, b"ftyp", "an MP4"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (8, b"AVI LIST", "an AVI"),
    (0, b"YUV4MPEG2", "YUV4MPEG, which has headers"),
)
#: Sides of a frame at most: four times 8K.
_LARGEST = 4 * 7680 * 4320


@dataclass(frozen=True)
class Layout:
    """What a raw frame is.

    Args:
        width, height: Pixels.
        format: Of :data:`FORMATS`.
        rate: Frames a second; None: it is not known, and frames have no times.
    """

    width: int
    height: int
    format: str
    rate: float | None

    @property
    def bytes(self) -> int:
        """Of one frame."""
        return self.width * self.height * FORMATS[self.format][0] // 2


@dataclass(frozen=True)
class Bytes:
    """A raw frame.

    Args:
        layout: What it is.
        data: Its bytes, rows without gaps.
    """

    layout: Layout
    data: bytes | bytearray

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.layout.width, self.layout.height

    def image(self) -> Image.Image:
        """RGB; grey of a grey frame. YUV is converted as FFmpeg does: BT.601, limited range."""
        form = self.layout.format
        if form in ("rgb24", "bgr24"):
            return Image.frombytes("RGB", self.size, self.data, "raw", form[:3].upper(), 0, 1)
        if form == "gray":
            return Image.frombytes("L", self.size, self.data)
        return self._decoded().image()

    def nv12(self, matrix: str, range_: str) -> Planes | None:
        """Its own bytes, whose matrix and range whoever wants them has to know; other YUV is converted."""
        (width, height), form = self.size, self.layout.format
        if form != "nv12":
            return self._decoded().nv12(matrix, range_) if form in ("yuv420p", "yuyv422") else None
        pixels = np.frombuffer(self.data, np.uint8)
        y, uv = pixels[: width * height], pixels[width * height :]
        return Planes(y.reshape(1, height, width, 1), uv.reshape(1, height // 2, width // 2, 2))

    def _decoded(self) -> Decoded:
        form, (width, height) = self.layout.format, self.size
        shape = (height, width, 2) if form == "yuyv422" else (height * 3 // 2, width)
        av = container.library()
        pixels = np.frombuffer(self.data, np.uint8)
        return Decoded(av.VideoFrame.from_ndarray(pixels.reshape(shape), format=form))


def layout(text: str) -> Layout:
    """What ``--raw`` says.

    Raises:
        OptionError: It is not written so, or no frame is of that size.
    """
    found = _SPEC.fullmatch(text)
    if found is None or found[3] not in FORMATS:
        raise OptionError(
            f"--raw {text!r:.60} is no size and format",
            mend=f"write it as {_EXAMPLE}; formats are {', '.join(FORMATS)}",
        )
    width, height, rate = int(found[1]), int(found[2]), None if found[4] is None else float(found[4])
    if rate == 0:
        raise OptionError(
            f"--raw {text}: no frame comes at a rate of 0",
            mend=f"leave out @{found[4]}, or give frames a second",
        )
    _, across, down = FORMATS[found[3]]
    if not 0 < width * height <= _LARGEST or width % across or height % down:
        even = "of even sides, " if down > 1 else "of even width, " if across > 1 else ""
        raise OptionError(
            f"--raw {text}: there is no such frame",
            mend=f"frames of {found[3]} are {even}of 1 to {_LARGEST} pixels",
        )
    return Layout(width, height, found[3], rate)


def _claims(text: str, settings: Settings) -> bool:
    return settings.raw is not None or text == STANDARD_INPUT or _is_pipe(text)


def _is_pipe(text: str) -> bool:
    try:
        return stat.S_ISFIFO(Path(text).stat().st_mode)
    except (OSError, ValueError):
        return False


def _connect(text: str, settings: Settings, tally: Tally) -> Connection:
    if settings.raw is None:
        raise OptionError(
            f"{_called(text)} is a pipe of raw frames, and their size and format are not known",
            mend=f"say what comes: --raw {_EXAMPLE}",
        )
    of = layout(settings.raw)
    if of.format not in ("rgb24", "bgr24", "gray"):
        container.library()
    if text == STANDARD_INPUT:
        if sys.stdin.isatty():
            raise StreamError(
                "standard input is a terminal, and no pipe of frames",
                mend=f"ffmpeg … -f rawvideo -pix_fmt {of.format} - | edgeeff run … - --raw {settings.raw}",
            )
        pipe = Pipe(os.dup(sys.stdin.fileno()), settings.patience)
    else:
        if not _is_pipe(text) and not Path(text).is_file():
            raise MissingFileError(
                f"no pipe or file {text}",
                mend="--raw is for standard input (-), a named pipe or a file of raw frames",
            )
        # Without waiting: a pipe that nobody writes to yet is waited for where it is read.
        pipe = Pipe(os.open(text, os.O_RDONLY | os.O_NONBLOCK), settings.patience)
    return Connection(_read(pipe, of, _called(text)), abort=pipe.stop)


def _called(text: str) -> str:
    return "standard input" if text == STANDARD_INPUT else text


def _refuse_coded(name: str, first: bytearray) -> None:
    """Pixels can be taken from any bytes: a video or photo that is passed as raw frames would be answered."""
    for at, beginning, what in _BEGINNINGS:
        if first[at : at + len(beginning)] == beginning:
            raise ImageError(
                f"{name} holds no raw frames: it begins as {what} does", mend="pass the file without --raw"
            )


def _read(pipe: Pipe, of: Layout, name: str) -> Iterator[Frame]:
    number = 0
    with pipe:
        while True:
            came = time.perf_counter()
            data = bytearray(of.bytes)
            count = pipe.fill(data)
            if not number:
                _refuse_coded(name, data)
            if count < of.bytes:
                break
            seconds = None if of.rate is None else round(number / of.rate, 6)
            yield Frame(number, seconds, Bytes(of, data), came=came)
            number += 1
    if count and not pipe.stopped:
        raise LostError(
            f"it ended in the middle of frame {number}, after {count} of its {of.bytes} bytes; "
            f"are frames {of.width}x{of.height}:{of.format}?"
        )
    if not number and not pipe.stopped:
        raise LostError("it ended at once")


KIND = Kind("raw frames", f"- --raw {_EXAMPLE}", _claims, _connect)
