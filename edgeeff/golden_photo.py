"""A photo that shows what a decoder and a resize do, the same on every machine: whole numbers alone make it.

It is larger than most inputs, has odd sides and an EXIF orientation, and holds: rings that become finer
towards the edge (a resize without antialiasing makes other rings of them), ramps in red, green and blue (an
exchanged order shows), fields of one colour, and lines of one pixel.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

#: Pixels as stored; shown, it stands upright with these exchanged.
WIDTH, HEIGHT = 1013, 757
#: EXIF: to be turned by a quarter, clockwise.
ORIENTATION = 6
_TAG = 0x0112
_FIELDS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (124, 116, 104))


def pixels() -> npt.NDArray[np.uint8]:
    """The photo as stored, uint8 [757, 1013, 3], R, G, B."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.int64)
    across, down = x - WIDTH // 2, y - HEIGHT // 2
    wave = (across * across + down * down) // 160 % 510
    rings = np.where(wave < 255, wave, 510 - wave)
    ramps = np.stack([x * 255 // (WIDTH - 1), y * 255 // (HEIGHT - 1), (x + y) % 256], 2)
    found = (rings[..., None] * 5 + ramps * 3) // 8
    for number, colour in enumerate(_FIELDS):
        found[40:104, 40 + 96 * number : 104 + 96 * number] = colour
    found[HEIGHT - 96 : HEIGHT - 32, 40:300] = np.where(x[:64, :260] % 2, 255, 0)[..., None]
    found[HEIGHT - 96 : HEIGHT - 32, 320:580] = np.where(y[:64, :260] % 2, 255, 0)[..., None]
    return np.asarray(found, np.uint8)


def png() -> bytes:
    """The photo as a file, with its orientation."""
    exif = Image.Exif()
    exif[_TAG] = ORIENTATION
    file = io.BytesIO()
    Image.fromarray(pixels()).save(file, "PNG", exif=exif)
    return file.getvalue()
