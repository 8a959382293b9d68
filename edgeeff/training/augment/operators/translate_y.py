"""Moved up or down, by 4.5 % of its height for a unit of magnitude, 70 % at most."""

from __future__ import annotations

import numpy as np
from PIL import Image

from edgeeff.training.augment.operators._moving import affine, either

#: 100 of 224 pixels at magnitude 10; and what is left of the photo in any case.
_SHARE, _LEFT = 0.045, 0.3

MOVES = True


def apply(image: Image.Image, magnitude: float, random: np.random.Generator) -> Image.Image:
    """As above."""
    shift = either(min(_SHARE * magnitude, 1 - _LEFT) * image.height, random)
    return affine(image, (1, 0, 0, 0, 1, shift))
