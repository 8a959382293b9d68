"""Turned about its centre, by 3° for a unit of magnitude, to the left or to the right."""

from __future__ import annotations

import numpy as np
from PIL import Image

from edgeeff.training.augment.operators._moving import either, fill

MOVES = True


def apply(image: Image.Image, magnitude: float, random: np.random.Generator) -> Image.Image:
    """As above."""
    degrees = either(3 * magnitude, random)
    return image.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=fill(image))
