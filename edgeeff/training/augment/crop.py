"""A part of a photo, of any area and ratio of sides, as Szegedy et al. 2014 (arXiv:1409.4842) crop."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

#: How far the ratio of sides may be changed; and what is tried before the whole photo is taken.
RATIO, TRIES = (3 / 4, 4 / 3), 10
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class RandomCrop:
    """What takes a part of a photo, and mirrors it in half of the cases.

    Args:
        least: Share of the photo's area that a part has at least, 0…1: 0.05 in the authors' code.
        mirror: Whether left and right may be exchanged.
    """

    least: float = 0.05
    mirror: bool = True

    def __call__(self, image: Image.Image, random: np.random.Generator) -> Image.Image:
        """Another image; the one that is passed stays as it is."""
        found = image.crop(self.box(image.size, random))
        if self.mirror and random.random() < 0.5:
            found = found.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return found

    def box(self, size: tuple[int, int], random: np.random.Generator) -> Box:
        """Of a photo of some width and height: left, top, right and bottom."""
        width, height = size
        for _ in range(TRIES):
            area = random.uniform(self.least, 1.0) * width * height
            ratio = math.exp(random.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
            across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < across <= width and 0 < down <= height:
                left, top = (
                    int(random.integers(0, whole - part + 1))
                    for whole, part in ((width, across), (height, down))
                )
                return left, top, left + across, top + down
        return 0, 0, width, height
