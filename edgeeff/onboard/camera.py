"""Frames as cameras give them: NV12 and BGR, from RGB pixels and back. Python 3.8 and numpy.

NV12 is a plane Y of brightness and a plane UV with two values for each square of 2×2 pixels, so colours have
half the resolution across and half down (4:2:0). Everything here that turns one form into the other is one
arithmetic, and a session on a board has it too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

#: How an artifact may take colours.
COLOURS = ("rgb", "bgr", "nv12")
#: Shares of red and blue in the brightness: ITU-R BT.601 (SD video, JPEG, most USB cameras) and BT.709 (HD).
MATRICES = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
#: ``limited``: Y is 16…235 and UV 16…240, as in video; ``full``: 0…255, as in JPEG.
RANGES = ("limited", "full")
#: Names of the artifact's inputs, where it takes two planes.
PLANES = ("y", "uv")


class Camera(NamedTuple):
    """How an artifact takes its frames, where it is not RGB pixels of the network's size.

    Args:
        colours: Of :data:`COLOURS`.
        frame: Height and width of the frames, which the artifact resizes itself; None: the network's size.
        matrix: Of :data:`MATRICES`; says nothing where ``colours`` is not ``nv12``.
        range: Of :data:`RANGES`; the same.
    """

    colours: str = "rgb"
    frame: Any = None
    matrix: str = "bt601"
    range: str = "limited"

    @property
    def planar(self) -> bool:
        """Whether a frame is two planes."""
        return self.colours == "nv12"


class Planes:
    """Frames in NV12: ``y`` uint8 [N, H, W, 1] and ``uv`` uint8 [N, H/2, W/2, 2].

    It has a length and takes slices, as an array of images does; a session runs it as it is.
    """

    def __init__(self, y: Any, uv: Any) -> None:
        self.y, self.uv = y, uv

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, part: slice) -> Planes:
        return Planes(self.y[part], self.uv[part])

    def filled(self, size: int) -> Planes:
        """So many frames: these, and behind them the last one again."""
        missing = size - len(self)
        if missing <= 0:
            return self
        return Planes(*(np.concatenate([p, np.repeat(p[-1:], missing, axis=0)]) for p in (self.y, self.uv)))


def forward(matrix: str, range_: str) -> tuple[Any, Any]:
    """From RGB on 0…255 to YUV: a matrix float64 [3, 3] and what is added, [3]."""
    red, blue = MATRICES[matrix]
    green = 1 - red - blue
    y, uv = (219 / 255, 224 / 255) if range_ == "limited" else (1.0, 1.0)
    rows = np.array(
        [
            [red * y, green * y, blue * y],
            [-red * uv / (2 - 2 * blue), -green * uv / (2 - 2 * blue), uv / 2],
            [uv / 2, -green * uv / (2 - 2 * red), -blue * uv / (2 - 2 * red)],
        ]
    )
    return rows, np.array([16.0 if range_ == "limited" else 0.0, 128.0, 128.0])


def backward(matrix: str, range_: str) -> tuple[Any, Any]:
    """From YUV to RGB on 0…255: a matrix float64 [3, 3] and what is added, [3]."""
    rows, added = forward(matrix, range_)
    inverse = np.linalg.inv(rows)
    # No rounding of the inversion stays: no blue in red, and the same share of Y in all three.
    inverse[:, 0] = inverse[0, 0]
    inverse[0, 1] = inverse[2, 2] = 0.0
    return inverse, -inverse @ added


def nv12_of_rgb(pixels: Any, matrix: str = "bt601", range_: str = "limited") -> Planes:
    """RGB pixels uint8 [N, H, W, 3] of even height and width as NV12.

    The one way in which photos become frames: the four colours of a square are averaged, so that chroma lies
    in the middle of it.
    """
    rows, added = (part.astype(np.float32) for part in forward(matrix, range_))
    count, height, width, _ = pixels.shape
    y = pixels @ rows[0] + np.float32(added[0] + 0.5)
    squares = pixels.reshape(count, height // 2, 2, width // 2, 2, 3).sum(axis=(2, 4), dtype=np.uint16)
    uv = squares @ (rows[1:].T / 4) + (added[1:] + np.float32(0.5)).astype(np.float32)
    return Planes(_bytes(y)[..., None], _bytes(uv))


def rgb_of_nv12(planes: Planes, matrix: str = "bt601", range_: str = "limited") -> Any:
    """NV12 as RGB pixels uint8 [N, H, W, 3]; each square has its one colour (nearest neighbour)."""
    rows, added = (part.astype(np.float32) for part in backward(matrix, range_))
    uv = planes.uv.repeat(2, axis=1).repeat(2, axis=2)
    yuv = np.concatenate([planes.y, uv], axis=-1).astype(np.float32)
    return _bytes(yuv @ rows.T + (added + 0.5).astype(np.float32))


def native(pixels: Any, camera: Camera) -> tuple[Any, ...]:
    """Frames as an artifact's own inputs, in the order of its planes.

    Args:
        pixels: RGB, uint8 [N, H, W, 3], or :class:`Planes` for an artifact that takes them.
        camera: How it takes them.
    """
    if camera.planar:
        planes = pixels if isinstance(pixels, Planes) else nv12_of_rgb(pixels, camera.matrix, camera.range)
        return np.ascontiguousarray(planes.y), np.ascontiguousarray(planes.uv)
    return (np.ascontiguousarray(pixels[..., ::-1] if camera.colours == "bgr" else pixels),)


def _bytes(values: Any) -> Any:
    """Values to which a half was added, rounded down and kept within 0…255."""
    return np.clip(values, 0, 255, out=values).astype(np.uint8)
