"""Fewer bits for each channel: 8 at magnitude 0, 2 at 30."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from edgeeff.training.augment.operators import LARGEST
from edgeeff.training.augment.operators._colours import on_colours

MOVES = False


def apply(image: Image.Image, magnitude: float, random: np.random.Generator) -> Image.Image:
    """As above."""
    del random
    bits = round(8 - 6 * min(magnitude, LARGEST) / LARGEST)
    return on_colours(image, lambda colours: ImageOps.posterize(colours, bits))
