"""Masks as pictures: a colour for each class, over the photo or as a file of its own."""

from __future__ import annotations

import colorsys
import io

import numpy as np
from PIL import Image

from edgeeff.segmentation import Mask

#: Turns of the colour wheel from a class to the next: far apart for neighbours, and never twice the same.
_GOLDEN = 0.618033988749895
#: How much of a colour lies over the photo.
_OVER = 0.55


def colour_of(index: int) -> tuple[int, int, int]:
    """The colour of a class or label: R, G, B."""
    red, green, blue = colorsys.hsv_to_rgb((index * _GOLDEN) % 1, 0.85 - 0.3 * (index // 7 % 2), 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def over(photo: Image.Image, mask: Mask) -> Image.Image:
    """A photo, RGB, with the colours of its classes over it; pixels without a class stay as they are.

    Args:
        photo: RGB; where it was enlarged, by a whole factor.
        mask: Of its pixels.
    """
    found = _with_palette(mask)
    known = Image.fromarray(np.where(mask.classes != mask.void, round(255 * _OVER), 0).astype(np.uint8))
    if found.size != photo.size:
        found, known = (each.resize(photo.size, Image.Resampling.NEAREST) for each in (found, known))
    return Image.composite(found.convert("RGB"), photo, known)


def png(mask: Mask) -> bytes:
    """The mask as a PNG whose values are the classes.

    8 bits with a palette, 255 where a pixel has no class; 16 bits, and 65535, of more than 255 classes.
    """
    held = io.BytesIO()
    image = _with_palette(mask) if mask.classes.dtype == np.uint8 else Image.fromarray(mask.classes)
    image.save(held, "PNG")
    return held.getvalue()


def _with_palette(mask: Mask) -> Image.Image:
    """Of more than 255 classes colours come again."""
    narrow = mask.classes.dtype == np.uint8
    values = mask.classes if narrow else np.where(mask.classes == mask.void, 255, mask.classes % 255)
    found = Image.fromarray(values.astype(np.uint8))
    colours = [colour_of(index) for index in range(255)] + [(0, 0, 0)]
    found.putpalette([value for colour in colours for value in colour])  # which makes its mode P
    return found
