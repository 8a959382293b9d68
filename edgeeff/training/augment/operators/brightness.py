"""Brighter or darker: at magnitude m by the factor 1 + 0.09·m, or its inverse."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance

from edgeeff.training.augment.operators._colours import factor, on_colours

MOVES = False


def apply(image: Image.Image, magnitude: float, random: np.random.Generator) -> Image.Image:
    """As above."""
    strength = factor(magnitude, random)
    return on_colours(image, lambda colours: ImageEnhance.Brightness(colours).enhance(strength))
