"""How photos are varied where nobody says otherwise: mirrored or not, and cropped a little.

The crop keeps most of the photo and its ratio of sides within narrow limits: it moves and enlarges what is
shown, and does not show the network details that the deployment's resize never shows it.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

#: Share of the photo's area that a crop keeps, and how far its ratio of sides may be changed.
AREA, RATIO = (0.6, 1.0), (0.9, 1 / 0.9)


def slightly(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Mirrored in half of the cases, and cropped a little."""
    return mirrored(cropped(image, random), random)


def slightly_unmirrored(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Cropped a little: for photos whose left and right side mean something."""
    return cropped(image, random)


def mirrored(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Left and right exchanged, in half of the cases."""
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image


def cropped(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """A part of the photo, of :data:`AREA` and :data:`RATIO`."""
    share, ratio = random.uniform(*AREA), math.exp(random.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
    width = min(image.width, max(1, round(image.width * math.sqrt(share * ratio))))
    height = min(image.height, max(1, round(image.height * math.sqrt(share / ratio))))
    left = int(random.integers(0, image.width - width + 1))
    top = int(random.integers(0, image.height - height + 1))
    return image.crop((left, top, left + width, top + height))
