"""samples/common against Pillow and edgeeff: photos, resize, crop, letterbox, normalisation, bit for bit."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeeff.images import Picture
from edgeeff.images.decoding import decode
from edgeeff.preprocess import Preprocess

PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
FILTERS = ("bilinear", "bicubic", "lanczos")
ROOM = 1 << 20


@pytest.fixture(scope="module")
def library(compiled):
    found = ctypes.CDLL(str(compiled(Path(__file__).parent / "preprocess_probe.cpp", "-shared", "-fPIC")))
    found.error.restype = ctypes.c_char_p
    return found


def address(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def fitted(library, pixels, preprocess):
    """The input, and the box of the photo that it shows."""
    (height, width, channels), (rows, columns) = pixels.shape, preprocess.size
    fill = np.uint8([round(value) for value in preprocess.letterbox or (0,) * channels])
    found, box = np.empty((rows, columns, channels), np.uint8), np.empty(4)
    library.fit(
        *(address(np.ascontiguousarray(pixels)), width, height, channels, columns, rows),
        *(FILTERS.index(preprocess.interpolation), ctypes.c_double(preprocess.crop), preprocess.squash),
        *(preprocess.letterbox is not None, address(fill), address(found), address(box)),
    )
    return found, box


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("form", ["crop", "squash", "letterbox"])
def test_every_pixel_is_pillows(library, interpolation, form):
    random = np.random.default_rng(FILTERS.index(interpolation))
    for _ in range(40):
        width, height, columns, rows = (int(2 ** random.uniform(0, 8)) for _ in range(4))
        channels = int(random.choice([1, 3]))
        rows, columns = ((height, columns), (rows, width), (rows, columns))[random.integers(3)]
        preprocess = Preprocess(
            *((rows, columns), (0.0,) * channels, (1.0,) * channels),
            crop=1.0 if form == "letterbox" else float(random.uniform(0.3, 1)),
            interpolation=interpolation,
            squash=form == "squash",
            letterbox=tuple(random.uniform(0, 255, channels)) if form == "letterbox" else None,
        )
        pixels = random.integers(0, 256, (height, width, channels), np.uint8)
        image = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
        wanted, fit = preprocess.fitted(image)
        found, box = fitted(library, pixels, preprocess)
        np.testing.assert_array_equal(found, wanted, str((preprocess, pixels.shape)))
        assert tuple(box) == fit.box


@pytest.mark.parametrize("first", [False, True])
def test_a_float_input_is_edgeeffs(library, first):
    pixels = np.random.default_rng(0).integers(0, 256, (1, 5, 7, 3), np.uint8)
    preprocess = Preprocess((5, 7), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    mean, std = np.float32(preprocess.mean), np.float32(preprocess.std)
    found = np.empty(pixels.shape, np.float32)
    library.normalise(
        address(pixels), ctypes.c_size_t(pixels.size), 3, address(mean), address(std), first, address(found)
    )
    wanted = preprocess.normalise(pixels) if first else preprocess.normalise_channels_last(pixels)
    np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)


def read(library, path, channels=3, exif=False):
    size, pixels = np.zeros(2, np.int32), np.empty(ROOM, np.uint8)
    if library.photo(
        str(path).encode(), channels, exif, address(size), address(pixels), ctypes.c_size_t(ROOM)
    ):
        return library.error().decode()
    width, height = size.tolist()
    return pixels[: width * height * channels].reshape(height, width, channels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("exif", [False, True])
def test_photos_are_decoded_as_pillow_does(library, photo_files, channels, exif):
    preprocess = Preprocess((8, 8), (0.0,) * channels, (1.0,) * channels, exif=exif)
    for path in photo_files:
        wanted = np.asarray(decode(Picture(path), preprocess))
        np.testing.assert_array_equal(
            read(library, path, channels, exif), wanted.reshape(*wanted.shape[:2], -1)
        )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("endian", ["<", ">"])
def test_each_exif_orientation(library, tmp_path, orientation, endian):
    turned = Image.Exif()
    turned.endian = endian
    turned[0x010F] = "a camera's maker"
    turned[0x0112] = orientation
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (16, 24, 3), np.uint8))
    image.save(tmp_path / "a.jpg", exif=turned)
    wanted = decode(Picture(tmp_path / "a.jpg"), Preprocess((8, 8), *PLAIN, exif=True))
    np.testing.assert_array_equal(read(library, tmp_path / "a.jpg", exif=True), np.asarray(wanted))


def test_what_is_no_photo_is_refused_in_a_line(library, photo_files, tmp_path):
    whole = next(path for path in photo_files if path.name == "a wide one.jpg").read_bytes()
    header = whole.index(b"\xff\xc0")
    bomb = whole[: header + 5] + b"\xfd\xe8\xfd\xe8" + whole[header + 9 :]
    broken = {
        "cut.jpg": (whole[: len(whole) // 2], "Premature end of JPEG file"),
        "head.jpg": (whole[:100], "Premature|cut off|Huffman|SOS"),
        "bomb.jpg": (bomb, "65000 x 65000 pixels"),
        "empty.jpg": (b"", "not there, or empty"),
        "text.jpg": (b"this is no photo", "no JPEG, PPM or PGM"),
        "deep.ppm": (b"P6 2 2 65535 " + bytes(24), "do not reach to 255"),
        "cut.ppm": (b"P6 200 2 255 " + bytes(24), "the file is cut off"),
        "huge.ppm": (b"P6 999999 999999 255 ", "999999 x 999999 pixels"),
        "none.pgm": (b"P5", "no JPEG, PPM or PGM|0 x 0"),
    }
    for name, (content, why) in broken.items():
        (tmp_path / name).write_bytes(content)
        said = read(library, tmp_path / name)
        assert isinstance(said, str), name
        assert said.startswith(str(tmp_path / name)) and "\n" not in said
        assert re.search(why, said), said
    assert "not there" in read(library, tmp_path / "absent.jpg")
