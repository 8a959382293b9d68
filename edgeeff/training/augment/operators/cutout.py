"""A grey square somewhere, its sides 3.6 % of the shorter one's for a unit of magnitude, 80 % at most."""

from __future__ import annotations

import numpy as np
from PIL import Image

from edgeeff.training.augment.operators._moving import fill

#: Half of a side: 40 of 224 pixels at magnitude 10 (DeVries & Taylor 2017, arXiv:1708.04552). And the most,
#: so that something of every photo is left.
_SHARE, _MOST = 0.018, 0.4

MOVES = True


def apply(image: Image.Image, magnitude: float, random: np.random.Generator) -> Image.Image:
    """As above."""
    half = round(min(_SHARE * magnitude, _MOST) * min(image.size))
    x, y = (int(random.integers(0, side)) for side in image.size)
    found = image.copy()
    if half:
        found.paste(fill(image), (max(0, x - half), max(0, y - half), x + half, y + half))
    return found
