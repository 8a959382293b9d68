"""What operators that move the photo share."""

from __future__ import annotations

import numpy as np
from PIL import Image

#: Of each channel, where the photo was moved away: the authors' grey.
GREY = 128


def fill(image: Image.Image) -> int | tuple[int, ...]:
    """The colour of what is left free."""
    bands = len(image.getbands())
    return GREY if bands == 1 else (GREY,) * bands


def either(value: float, random: np.random.Generator) -> float:
    """The value, or its negative in half of the cases."""
    return value if random.random() < 0.5 else -value


def affine(image: Image.Image, data: tuple[float, float, float, float, float, float]) -> Image.Image:
    """The photo under an affine transform: (a, b, c, d, e, f), pixel (x, y) of the result is what lies at
    (a·x + b·y + c, d·x + e·y + f)."""
    return image.transform(
        image.size,
        Image.Transform.AFFINE,
        data,
        resample=Image.Resampling.BILINEAR,
        fillcolor=fill(image),
    )
