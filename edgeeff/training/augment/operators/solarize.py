"""Values from a threshold on inverted: it falls from 256 at magnitude 0 to 0 at 30."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from edgeeff.training.augment.operators import LARGEST
from edgeeff.training.augment.operators._colours import on_colours

MOVES = False


def apply(image: Image.Image, magnitude: float, random: np.random.Generator) -> Image.Image:
    """As above."""
    del random
    threshold = round(256 * (1 - min(magnitude, LARGEST) / LARGEST))
    return on_colours(image, lambda colours: ImageOps.solarize(colours, threshold))
