"""From a camera's frame to the network's pixels inside an artifact: what every runtime's ``emit`` builds.

RGB and BGR are resized as Pillow does it, to the same pixels. NV12 is converted behind the resize: a matrix
of 3×3 for each pixel of the network, and not for each of the frame; so its chroma is resized from half the
frame's size, and nothing is rounded. That is as near to the frame's RGB pixels as converting first. At the
network's own size each square of 2×2 pixels has its one colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeeff import resampling
from edgeeff.onboard.camera import Planes, backward, native
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.resampling import Block

#: Names in an artifact of what it does with frames begin so.
PREFIX = "camera/"


@dataclass(frozen=True)
class Plane:
    """One input of an artifact that takes frames.

    Args:
        name: ``image``, or ``y`` and ``uv``.
        shape: Height, width and channels, uint8.
        down: Its resize from top to bottom; none: it has the network's height, or half of it.
        across: The same from left to right.
    """

    name: str
    shape: tuple[int, int, int]
    down: tuple[Block, ...] = ()
    across: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Framing:
    """What an artifact does with a frame before the network.

    Args:
        size: The network's height and width.
        planes: The inputs, in their order.
        matrix: From the channels of all planes to R, G and B, float32 [3, 3].
        added: To each of R, G and B, float32 [3].
        rounded: Whether the resize gives whole values of 0…255; else colours are kept within 0…255.
    """

    size: tuple[int, int]
    planes: tuple[Plane, ...]
    matrix: npt.NDArray[np.float32]
    added: npt.NDArray[np.float32]
    rounded: bool


def framing(preprocess: Preprocess) -> Framing:
    """What the artifact does of a preprocessing with a ``camera``."""
    camera, (height, width) = preprocess.camera, preprocess.taken
    assert camera is not None
    left, top, right, bottom = preprocess.place((width, height)).box

    def plane(name: str, share: int, channels: int) -> Plane:
        """One of a frame's planes, whose sides are the frame's divided by ``share``."""
        shape = (height // share, width // share, channels)
        if camera.frame is None:
            return Plane(name, shape)
        down = resampling.blocks(
            shape[0], top / share, bottom / share, preprocess.size[0], preprocess.interpolation
        )
        across = resampling.blocks(
            shape[1], left / share, right / share, preprocess.size[1], preprocess.interpolation
        )
        return Plane(name, shape, tuple(down), tuple(across))

    planes: tuple[Plane, ...]
    if camera.planar:
        matrix, added = backward(camera.matrix, camera.range)
        planes = (plane("y", 1, 1), plane("uv", 2, 2))
    else:
        matrix = np.eye(3)[::-1] if camera.colours == "bgr" else np.eye(3)
        added, planes = np.zeros(3), (plane("image", 1, 3),)
    return Framing(
        preprocess.size,
        planes,
        np.ascontiguousarray(matrix, np.float32),
        added.astype(np.float32),
        rounded=not camera.planar,
    )


def shown(frames: Pixels | Planes, preprocess: Preprocess) -> npt.NDArray[np.float32]:
    """The pixels that an artifact's network sees of frames, float32 [N, H, W, 3] of 0…255.

    The artifact's own arithmetic in numpy: what golden outputs are made from.

    Args:
        frames: RGB, uint8 [N, H, W, 3] as the preprocessing takes them, or in planes.
        preprocess: With a ``camera``.
    """
    assert preprocess.camera is not None
    made, inputs = framing(preprocess), native(frames, preprocess.camera)
    parts = []
    for values, plane in zip(inputs, made.planes, strict=True):
        found = values.astype(np.float32)
        if plane.down:
            found = resampling.apply(found, plane.across, plane.down, rounded=made.rounded)
        elif found.shape[1] != made.size[0]:
            found = found.repeat(2, axis=1).repeat(2, axis=2)
        parts.append(found)
    rgb = np.concatenate(parts, axis=-1) @ made.matrix.T + made.added
    return (rgb if made.rounded else np.clip(rgb, 0, 255)).astype(np.float32)
