"""The samples in Kotlin compile, and their preprocessing gives Pillow's pixels. NOT RUN on a phone."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import replace

import numpy as np
import PIL
import pytest
from PIL import Image

from edgeeff.preprocess import Preprocess

WANTS = Preprocess((24, 32), (127.0,) * 3, (128.0,) * 3)
BOX = (124.0, 116.0, 104.0)
FITS = {
    "cropped": ((61, 47), WANTS),
    "wide": ((20, 190), replace(WANTS, crop=0.9)),
    "enlarged": ((5, 3), WANTS),
    "one pixel": ((1, 1), WANTS),
    "bilinear": ((97, 64), replace(WANTS, interpolation="bilinear")),
    "squashed": ((333, 40), replace(WANTS, squash=True, crop=1.0)),
    "letterbox": ((41, 77), replace(WANTS, letterbox=BOX, crop=1.0)),
    "its own size": ((24, 32), WANTS),
}


@pytest.mark.slow
def test_it_compiles_and_gives_pillows_pixels(compiled):
    draw = np.random.default_rng(2).integers
    given, expected = [struct.pack(">i", len(FITS))], []
    for (height, width), preprocess in FITS.values():
        values = draw(0, 256, (height, width, 3), np.uint8)
        expected.append(preprocess.fit(Image.fromarray(values)).tobytes())
        steps = (preprocess.interpolation == "bicubic", preprocess.squash, preprocess.letterbox is not None)
        pillow = int(PIL.__version__.split(".")[0])
        numbers = (width, height, *preprocess.size, *map(int, steps), pillow, round(preprocess.crop * 1000))
        given.append(struct.pack(">9i", *numbers))
        wide = values.astype(np.int64)
        colours = (255 << 24) | (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
        given.append(colours.astype(np.uint32).astype(">u4").tobytes())
    done = subprocess.run(compiled, input=b"".join(given), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    size = len(expected[0])
    found = [done.stdout[at : at + size] for at in range(0, len(done.stdout), size)]
    for name, ours, pillow in zip(FITS, found, expected, strict=True):
        assert ours == pillow, name
