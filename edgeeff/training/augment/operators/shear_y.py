"""Columns moved up or down, each by 3 % of its distance from the left for a unit of magnitude."""

from __future__ import annotations

import numpy as np
from PIL import Image

from edgeeff.training.augment.operators._moving import affine, either

MOVES = True


def apply(image: Image.Image, magnitude: float, random: np.random.Generator) -> Image.Image:
    """As above."""
    return affine(image, (1, 0, 0, either(0.03 * magnitude, random), 1, 0))
