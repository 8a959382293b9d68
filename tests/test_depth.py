"""Images of more than 8 bits give the pixels of their 8-bit twins."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from edgeeff import depth
from edgeeff.errors import ImageError

GREY = np.random.default_rng(0).integers(0, 256, (9, 11), np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (9, 11, 3), np.uint8)
RGBA = np.random.default_rng(2).integers(0, 256, (9, 11, 4), np.uint8)
for _pixels in (GREY, RGB, RGBA):
    _pixels[0, 0] = 255  # white occurs


def png(values, significant=None):
    """A PNG of 16 bits, written by hand: Pillow writes no such colours."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    height, width = values.shape[:2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = values.astype(">u2").reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))]
    if significant:
        chunks.append((b"sBIT", bytes([significant] * channels)))
    chunks += [(b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(values, **tags):
    """A TIFF of one channel, as Pillow writes it."""
    ifd = TiffImagePlugin.ImageFileDirectory_v2()
    for number, value in tags.items():
        ifd[int(number.removeprefix("tag"))] = value
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF", tiffinfo=ifd)
    return buffer.getvalue()


def colour_tiff(values, order="<", planes=False):
    """A TIFF of 16-bit RGB, written by hand in either order of bytes, or with a plane for each colour."""
    height, width, channels = values.shape
    data = (values.transpose(2, 0, 1) if planes else values).astype(f"{order}u2").tobytes()
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, channels, 8 + len(data)),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (277, 3, 1, channels),
        (278, 4, 1, height),
        (279, 4, 1, len(data)),
    ]
    bits = struct.pack(f"{order}3H", 16, 16, 16)
    if planes:
        one, behind = len(data) // 3, 8 + len(data) + len(bits)
        entries[5], entries[8] = (273, 4, 3, behind), (279, 4, 3, behind + 12)
        entries.append((284, 3, 1, 2))
        bits += struct.pack(f"{order}6I", *(8 + i * one for i in range(3)), one, one, one)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(data) + len(bits))
    ifd = struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        short = kind == 3 and count == 1
        ifd += struct.pack(f"{order}HHI", tag, kind, count)
        ifd += struct.pack(f"{order}HH", value, 0) if short else struct.pack(f"{order}I", value)
    return head + data + bits + ifd + b"\0" * 4


def read(content, white=None):
    image, found = depth.eight_bits(Image.open(io.BytesIO(content)), white)
    return np.asarray(image), found


@pytest.mark.parametrize("factor", [257, 256])
@pytest.mark.parametrize("pixels", [GREY, RGB, RGBA], ids=["grey", "rgb", "rgba"])
def test_a_16_bit_png_is_its_8_bit_twin(pixels, factor):
    found, how = read(png(pixels.astype(np.uint16) * factor))
    assert np.array_equal(found, pixels)
    assert (how.kind, how.white, how.basis) == ("16-bit", 65535, "container")


@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "rgb"])
@pytest.mark.parametrize("bits", [9, 10, 12, 14])
def test_significant_bits_are_believed(pixels, bits):
    values = pixels.astype(np.uint16) << (bits - 8)
    found, how = read(png(values, significant=bits))
    assert np.array_equal(found, pixels)
    assert (how.white, how.basis) == (2**bits - 1, "declared")


@pytest.mark.parametrize("pixels", [GREY, RGB, RGBA], ids=["grey", "rgb", "rgba"])
@pytest.mark.parametrize(("shift", "white"), [(0, 255), (4, 4095)])
def test_data_of_8_and_12_bits_in_16_are_a_guess(pixels, shift, white):
    values = pixels.astype(np.uint16) << shift
    if values.ndim == 3 and values.shape[2] == 4:
        values[..., 3] = pixels[..., 3].astype(np.uint16) * 257  # transparency has its own full range
        values[..., 3][values[..., 3] < 65535] = 0
        pixels = np.concatenate([pixels[..., :3], (values[..., 3:] >> 8).astype(np.uint8)], axis=2)
    found, how = read(png(values))
    assert np.array_equal(found, pixels)
    assert (how.white, how.basis) == (white, "guessed")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("shift", "basis"), [(8, "container"), (4, "guessed")])
def test_a_16_bit_colour_tiff_of_either_order(order, shift, basis):
    found, how = read(colour_tiff(RGB.astype(np.uint16) << shift, order))
    assert np.array_equal(found, RGB)
    assert how.basis == basis


@pytest.mark.parametrize(
    ("values", "white", "basis"),
    [
        ((GREY / 255).astype(np.float32), 1, "guessed"),
        (GREY.astype(np.float32), 255, "guessed"),
        (GREY.astype(np.uint16) * 257, 65535, "container"),
        (GREY.astype(np.int32) * 257, 65535, "guessed"),
        (GREY.astype(np.int32) * 16, 4095, "guessed"),
        (GREY.astype(np.int32), 255, "guessed"),
    ],
    ids=["float 0…1", "float 0…255", "uint16", "int32 of 16", "int32 of 12", "int32 of 8"],
)
def test_tiffs_of_one_channel(values, white, basis):
    found, how = read(tiff(values))
    assert np.array_equal(found, GREY)
    assert (how.white, how.basis) == (white, basis)


def test_a_float_image_may_overshoot_a_little():
    values = (GREY / 255).astype(np.float32)
    values[1, :2] = -0.02, 1.1
    found, _ = read(tiff(values))
    assert found[1, 0] == 0 and found[1, 1] == 255 and np.array_equal(found[2:], GREY[2:])


def test_max_sample_value_is_a_declaration_where_it_is_a_number_of_bits():
    values = np.minimum(GREY.astype(np.uint16) << 2, 1023)
    assert read(tiff(values, tag281=1023))[1].white == 1023
    # TIFF 6.0 calls it the largest value that occurs: that of one photo is no range for a set.
    assert read(tiff(values, tag281=901))[1].basis == "guessed"


def test_white_is_zero_as_in_8_bits():
    assert np.array_equal(read(tiff(GREY.astype(np.uint16) * 257, tag262=0))[0], 255 - GREY)


def test_white_by_option_goes_before_container_and_guess():
    values = GREY.astype(np.uint16) << 6
    assert np.array_equal(read(png(values), white=16383)[0], GREY)
    assert np.array_equal(read(png(GREY.astype(np.uint16)), white=65535)[0], np.zeros_like(GREY))
    assert np.array_equal(read(tiff(GREY.astype(np.float32) * 40), white=10200)[0], GREY)


def test_a_white_for_16_bits_blackens_no_float_image():
    assert np.array_equal(read(tiff((GREY / 255).astype(np.float32)), white=4095)[0], GREY)


@pytest.mark.parametrize(
    ("content", "white"),
    [
        (tiff((GREY / 127.5 - 1).astype(np.float32)), None),
        (tiff(GREY.astype(np.float32) * 40), None),
        (tiff(GREY.astype(np.int32) * 70000), None),
        (tiff(GREY.astype(np.int32) - 128), None),
        (tiff(np.where(GREY > 3, GREY, np.nan).astype(np.float32)), None),
        (png(GREY.astype(np.uint16) * 257), 4095),
        (png(GREY.astype(np.uint16) * 257, significant=12), None),
    ],
    ids=["-1…1", "float 0…10200", "32 bits", "signed", "NaN", "brighter than --white", "than declared"],
)
def test_what_no_range_suits_is_refused(content, white):
    with pytest.raises(ImageError) as caught:
        read(content, white)
    assert "values" in caught.value.what and caught.value.mend


@pytest.mark.parametrize("most", [1023, 4095])
def test_a_pgm_declares_its_white_however_dark_it_is(most):
    values = (GREY // 20).astype(np.uint16) * ((most + 1) // 256)
    found, how = read(b"P5 11 9 %d\n" % most + values.astype(">u2").tobytes())
    assert how.basis == "declared" and np.abs(found.astype(int) - GREY // 20).max() <= 1


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_with_a_plane_for_each_colour_is_refused(order):
    with pytest.raises(ImageError, match="16 bits with a plane for each colour"):
        read(colour_tiff(RGB.astype(np.uint16) * 257, order, planes=True))


def test_a_black_image_is_no_guess():
    found, how = read(png(np.zeros((4, 4), np.uint16)))
    assert not found.any() and how.basis == "container"


def test_8_bits_are_left_alone():
    image = Image.fromarray(RGB)
    assert depth.eight_bits(image) == (image, None)
