"""RandAugment: a few operators, drawn anew for each photo (Cubuk et al. 2019, arXiv:1909.13719)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from edgeeff.preprocess import FOUR, Pixels
from edgeeff.training.augment import operators

#: Of the network's channels, the image that the operators work on: four channels each by itself.
_MODES = {1: "L", 3: "RGB", 4: FOUR}


@dataclass(frozen=True)
class RandAugment:
    """What changes the pixels of a photo that are shown to a network.

    Args:
        magnitude: Of every operator, 0…30; 0: nothing is changed.
        layers: Operators for a photo, each drawn among all.
        moving: Whether operators may move what the photo shows; without them masks and boxes stay right.
    """

    magnitude: float
    layers: int = 2
    moving: bool = True

    def __call__(self, pixels: Pixels, random: np.random.Generator) -> Pixels:
        """Other pixels uint8 [H, W, C]; those that are passed stay as they are."""
        if not self.magnitude:
            return pixels
        names = _names(self.moving)
        image = _image(pixels)
        for _ in range(self.layers):
            chosen = operators.operator(names[int(random.integers(len(names)))])
            image = chosen.apply(image, self.magnitude, random)
        return np.asarray(image, np.uint8).reshape(pixels.shape)


@lru_cache
def _names(moving: bool) -> tuple[str, ...]:
    return tuple(n for n in operators.names() if moving or not operators.operator(n).MOVES)


def _image(pixels: Pixels) -> Image.Image:
    channels = pixels.shape[2]
    if channels == 3:
        return Image.fromarray(np.ascontiguousarray(pixels))
    bands = [Image.fromarray(np.ascontiguousarray(pixels[:, :, channel])) for channel in range(channels)]
    return Image.merge(_MODES[channels], bands)
