"""One frame, its pixels in the layout in which they came: RGB is made where somebody asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from PIL import Image

from edgeeff.onboard.camera import Planes
from edgeeff.streams.traits import UPRIGHT, Turn

#: FFmpeg's numbers of matrices and ranges; of the matrices that a frame may name, those that are as good,
#: and 2: it names none.
_SPACES, _RANGES = {"bt709": 1, "bt601": 5}, {"limited": 1, "full": 2}
_SPACE = {1: 1, 5: 5, 6: 5, 2: None}


class Raster(Protocol):
    """The pixels of a frame as its source gave them."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        ...

    def image(self) -> Image.Image:
        """As RGB, or grey where the source has no colours."""
        ...

    def nv12(self, matrix: str, range_: str) -> Planes | None:
        """As NV12, without RGB between; None: it is no YUV.

        Args:
            matrix: Of :data:`edgeeff.onboard.camera.MATRICES`; of a source that does not say its own too.
            range_: Of :data:`edgeeff.onboard.camera.RANGES`; the same.
        """
        ...


@dataclass(frozen=True)
class Frame:
    """One frame of a stream.

    Attributes:
        number: From 0. Of a video file by its timestamp where the frame rate is constant: frames that are
            missing keep their numbers. Otherwise the count of frames that came, those that were dropped
            among them.
        seconds: From the stream's start; None where the source tells no times.
        missing: Frames that are missing directly before it, by the timestamps.
        damaged: The decoder says that parts of the picture are not what was recorded.
        raster: Its pixels.
        dropped: Frames directly before it that came and were dropped, so that this one is no older than it
            has to be.
        came: ``time.perf_counter()`` when its decoding began.
        decoding: Seconds that its decoding took.
    """

    number: int
    seconds: float | None
    raster: Raster
    missing: int = 0
    damaged: bool = False
    dropped: int = 0
    came: float = 0.0
    decoding: float = 0.0

    @cached_property
    def image(self) -> Image.Image:
        """RGB, or grey where the source has no colours; converted when it is first asked for."""
        return self.raster.image()


@dataclass(frozen=True)
class Decoded:
    """Pixels of a decoder of FFmpeg's.

    Args:
        frame: PyAV's.
        turn: How the picture is to be turned.
    """

    frame: Any
    turn: Turn = UPRIGHT

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, before it is turned."""
        return self.frame.width, self.frame.height

    def image(self) -> Image.Image:
        """By FFmpeg's scaler, and read row by row from its memory: PyAV's ``to_image`` copies three times."""
        plane = self.frame.reformat(format="rgb24").planes[0]
        if plane.line_size < 0:  # bottom up
            found: Image.Image = self.frame.to_image()
        else:
            size = (plane.width, plane.height)
            found = Image.frombytes("RGB", size, memoryview(plane), "raw", "RGB", plane.line_size, 1)
        if self.turn.mirrored:
            found = found.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return found.rotate(self.turn.degrees, expand=True) if self.turn.degrees else found

    def nv12(self, matrix: str, range_: str) -> Planes | None:
        """By FFmpeg's scaler, which converts matrix and range only where they differ."""
        frame = self.frame
        if self.turn != UPRIGHT or not frame.format.name.startswith(("yuv", "yuyv", "uyvy", "nv")):
            return None
        width, height = self.size
        if width % 2 or height % 2 or frame.colorspace not in _SPACE:  # BT.2020 among them: by RGB
            return None
        wanted = _SPACES[matrix], _RANGES[range_]
        full = _RANGES["full"] if frame.format.name.startswith("yuvj") else 0
        given = _SPACE[frame.colorspace] or wanted[0], full or frame.color_range or wanted[1]
        made = frame.reformat(
            format="nv12",
            src_colorspace=given[0],
            dst_colorspace=wanted[0],
            src_color_range=given[1],
            dst_color_range=wanted[1],
        )
        y, uv = (
            np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:rows, :width]
            for plane, rows in zip(made.planes, (height, height // 2), strict=True)
        )
        return Planes(y.reshape(1, height, width, 1), uv.reshape(1, height // 2, width // 2, 2))


@dataclass(frozen=True)
class Still:
    """A picture that Pillow decoded."""

    picture: Image.Image

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.picture.size

    def image(self) -> Image.Image:
        """The picture itself."""
        return self.picture

    def nv12(self, matrix: str, range_: str) -> Planes | None:
        """It is no YUV any more."""
        return None
