"""A photo with its boxes as a network is shown it while it learns: larger, smaller, cut, mirrored.

google/automl, efficientdet/dataloader.py: half of all photos are mirrored; a photo is scaled to 0.1 to 2
times what just fits the input; of a larger one some part is cut out, and a smaller one stands at the top
left. Here the decoded photo is changed and :class:`edgeeff.preprocess.Preprocess` makes the input of it, so
that resize, letterbox and colour are those of the deployed artifact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeeff.preprocess import Pixels, Preprocess

Array = npt.NDArray[Any]
#: How photos are scaled where there are many, as the authors do; and where there are few: a network that is
#: tuned on some hundreds of photos sees each of them often, and is not to spend that on specks.
MANY, FEW = (0.1, 2.0), (0.5, 1.5)
#: Photos from which on there are many.
ENOUGH = 10_000
#: A box of which less than this share is left by a cut is neither to be found nor background.
_LEFT = 0.25
#: The same holds of one whose sides are less than this, pixels of the input.
_LEAST = 1.0


@dataclass(frozen=True)
class Look:
    """How a photo is looked at.

    Args:
        scale: Of the photo, 1 where it just fits the input.
        across, down: Where a part is cut out of a larger one: 0 left or top … 1 right or bottom.
        mirrored: Left and right change places.
    """

    scale: float = 1.0
    across: float = 0.0
    down: float = 0.0
    mirrored: bool = False

    @classmethod
    def drawn(cls, generator: np.random.Generator, range_: tuple[float, float]) -> Look:
        """One by chance."""
        scale = generator.uniform(*range_)
        across, down, coin = generator.uniform(size=3)
        return cls(float(scale), float(across), float(down), bool(coin < 0.5))


@dataclass(frozen=True)
class View:
    """What a network sees, and what is to be found there.

    Args:
        pixels: uint8 [H, W, C].
        corners: Of boxes, float64 [K, 4]: left, top, right and bottom in pixels of the input, within it.
        classes: int64 [K].
        ignored: bool [K]: boxes that are neither to be found nor background.
    """

    pixels: Pixels
    corners: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]
    ignored: npt.NDArray[np.bool_]


def view(
    image: Image.Image, boxes: tuple[Array, Array, Array], preprocess: Preprocess, look: Look = Look()
) -> View:
    """A photo as the network sees it.

    Args:
        image: As :func:`edgeeff.images.decoding.decode` gives it.
        boxes: Corners [K, 4] in pixels of the photo, within it, classes [K] and which are crowds [K].
        preprocess: The network's.
        look: How it is looked at.

    Raises:
        ImageError: Which of the photo's values is white cannot be told.
    """
    corners, classes, crowd = boxes
    width = image.size[0]
    if look.mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        corners = np.stack([width - corners[:, 2], corners[:, 1], width - corners[:, 0], corners[:, 3]], 1)
    part = _part(image.size, preprocess, look)
    left, top, right, bottom = part
    if part != (0, 0, *image.size):
        image = image.crop(part)
    shifted = corners - np.array([left, top, left, top], np.float64)
    seen = np.clip(shifted, 0, np.array([right - left, bottom - top] * 2, np.float64))
    inner = _smaller(preprocess, look.scale)
    pixels, fit = inner.fitted(image)
    placed = fit.corners_to_input(seen)
    before, after = _areas(shifted), _areas(seen)
    sides = (placed[:, 2:] - placed[:, :2]).min(axis=1, initial=np.inf)
    there = after > 0
    ignored = crowd | (after < _LEFT * before) | (sides < _LEAST)
    return View(_on(pixels, preprocess), placed[there], classes[there], ignored[there])


def _part(photo: tuple[int, int], preprocess: Preprocess, look: Look) -> tuple[int, int, int, int]:
    """What of a photo is shown at a scale above 1: left, top, right and bottom."""
    if look.scale <= 1:
        return 0, 0, *photo
    height, width = preprocess.size
    zoom = look.scale * min(width / photo[0], height / photo[1])
    shown = [
        min(side, max(1, math.ceil(most / zoom))) for side, most in zip(photo, (width, height), strict=True)
    ]
    left, top = (
        round((side - part) * at)
        for side, part, at in zip(photo, shown, (look.across, look.down), strict=True)
    )
    return left, top, left + shown[0], top + shown[1]


def _smaller(preprocess: Preprocess, scale: float) -> Preprocess:
    """The same for a photo that fills only a part of the input."""
    if scale >= 1:
        return preprocess
    height, width = (max(1, round(side * scale)) for side in preprocess.size)
    return replace(preprocess, size=(height, width))


def _on(pixels: Pixels, preprocess: Preprocess) -> Pixels:
    """Pixels at the top left of an input of the letterbox's colour."""
    if pixels.shape[:2] == preprocess.size:
        return pixels
    colour = preprocess.letterbox or preprocess.mean
    found = np.empty((*preprocess.size, pixels.shape[2]), np.uint8)
    found[:] = np.array([round(value) for value in colour], np.uint8)
    found[: pixels.shape[0], : pixels.shape[1]] = pixels
    return found


def _areas(corners: Array) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = np.clip(corners[:, 2:] - corners[:, :2], 0, None).prod(axis=1)
    return found
