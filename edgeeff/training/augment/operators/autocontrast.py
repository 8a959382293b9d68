"""Each channel stretched to 0…255, whatever the magnitude."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from edgeeff.training.augment.operators._colours import on_colours

MOVES = False


def apply(image: Image.Image, magnitude: float, random: np.random.Generator) -> Image.Image:
    """As above."""
    del magnitude, random
    return on_colours(image, ImageOps.autocontrast)
