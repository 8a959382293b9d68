"""A photo and its mask as a network is shown them while it learns: a part, mirrored, in other colours.

The decoded photo is changed and :class:`edgeeff.preprocess.Preprocess` makes the input of it, so that resize
and crop are those of the deployed artifact. Each pixel of the input has the class of the mask's pixel in
which its centre lies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeeff.preprocess import Fit, Pixels, Preprocess
from edgeeff.training.augment.operators import brightness, colour, contrast

Array = npt.NDArray[Any]
#: Sides of the part that is shown, as shares of the photo's, and how far their ratio is changed.
_SIDES, _RATIO = (0.5, 1.0), (0.85, 1 / 0.85)
#: How often all of the photo is shown, as the deployment shows it.
_WHOLE = 0.25
#: The largest magnitude of a change of colours: 3 is a factor of 1.27.
_COLOURS = 3.0


@dataclass(frozen=True)
class Look:
    """How a photo is looked at.

    Args:
        part: Left, top, right and bottom of what is shown, as shares of the photo's sides.
        mirrored: Left and right change places.
        seed: Of the changes of colours; None: none.
    """

    part: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    mirrored: bool = False
    seed: int | None = None

    @classmethod
    def drawn(cls, random: np.random.Generator, mirror: bool) -> Look:
        """One by chance."""
        whole, flip, seed = random.random() < _WHOLE, random.random() < 0.5, int(random.integers(1 << 31))
        side, ratio = (
            random.uniform(*_SIDES),
            math.exp(random.uniform(math.log(_RATIO[0]), math.log(_RATIO[1]))),
        )
        across, down = random.random(2).tolist()
        found = cls(mirrored=mirror and flip, seed=seed)
        if whole:
            return found
        width, height = min(1.0, side * math.sqrt(ratio)), min(1.0, side / math.sqrt(ratio))
        left, top = across * (1 - width), down * (1 - height)
        return replace(found, part=(left, top, left + width, top + height))


def view(
    image: Image.Image, mask: Array, preprocess: Preprocess, look: Look, void: int
) -> tuple[Pixels, Array]:
    """A photo as the network sees it, uint8 [H, W, C], and the class of each of these pixels, [H, W].

    Args:
        image: As :func:`edgeeff.images.decoding.decode` gives it.
        mask: Classes, of as many pixels as the photo or of others with the same ratio of sides.
        preprocess: The network's.
        look: How it is looked at.
        void: The class of pixels that are not learnt, also of those that show nothing of the photo.

    Raises:
        ImageError: Which of the photo's values is white cannot be told.
    """
    if look.mirrored:
        image, mask = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), mask[:, ::-1]
    size = image.size
    left, top, right, bottom = (round(at * side) for at, side in zip(look.part, (*size, *size), strict=True))
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    if (left, top, right, bottom) != (0, 0, *size):
        image = image.crop((left, top, right, bottom))
    if look.seed is not None:
        random = np.random.default_rng(look.seed)
        for operator in (brightness, contrast, colour):
            image = operator.apply(image, float(random.uniform(0, _COLOURS)), random)
    pixels, fit = preprocess.fitted(image)
    return pixels, _classes(mask, fit, (left, top), size, pixels.shape[:2], void)


def _classes(
    mask: Array, fit: Fit, corner: tuple[int, int], photo: tuple[int, int], size: tuple[int, ...], void: int
) -> Array:
    """The class of each pixel of the input: that of the mask's pixel in which its centre lies."""
    height, width = size
    centres = np.zeros((max(height, width), 2)) + (np.arange(max(height, width)) + 0.5)[:, None]
    places = fit.to_photo(centres) + np.array(corner)
    shape = np.array([mask.shape[1], mask.shape[0]])
    inside = (places >= np.array(corner)) & (places < np.array(corner) + np.array(fit.photo or photo))
    at = np.clip(np.floor(places * shape / np.array(photo) + 1e-9).astype(np.int64), 0, shape - 1)
    found = mask[at[:height, 1]][:, at[:width, 0]]
    found[~inside[:height, 1]] = void
    found[:, ~inside[:width, 0]] = void
    return np.ascontiguousarray(found)
