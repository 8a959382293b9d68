"""Dark values, below 128, made lighter: by 11 for a unit of magnitude, to 255 at most."""

from __future__ import annotations

import numpy as np
from PIL import Image

from edgeeff.training.augment.operators._colours import on_colours

_DARK, _ADDED = 128, 11

MOVES = False


def apply(image: Image.Image, magnitude: float, random: np.random.Generator) -> Image.Image:
    """As above."""
    del random
    table = [min(255, x + round(_ADDED * magnitude)) if x < _DARK else x for x in range(256)]
    return on_colours(image, lambda colours: colours.point(table * len(colours.getbands())))
