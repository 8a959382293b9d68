"""What a program may hand over instead of files."""

from __future__ import annotations

import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from edgeeff.errors import ImageError, MissingFileError
from edgeeff.images.held import batches
from edgeeff.preprocess import Preprocess

COLOUR = Preprocess(size=(8, 6), mean=(0.0,) * 3, std=(1.0,) * 3)
GREY = Preprocess(size=(8, 6), mean=(0.0,), std=(1.0,))
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 8, 6, 3), np.uint8)


def taken(images, preprocess=COLOUR, warned=None):
    said = warned if warned is not None else []
    return np.concatenate([pixels for pixels, _ in batches(images, preprocess, said.append)])


@pytest.mark.parametrize(
    "images",
    [
        PIXELS,
        list(PIXELS),
        [PIXELS[:7], PIXELS[7:]],
        [Image.fromarray(p) for p in PIXELS],
        tuple(Image.fromarray(p) if i % 2 else p for i, p in enumerate(PIXELS)),
        (p for p in PIXELS),
    ],
    ids=["batch", "arrays", "batches", "Pillow's", "mixed", "a generator"],
)
def test_pixels_are_taken_as_they_are_and_in_order(images):
    warned = []
    np.testing.assert_array_equal(taken(images, warned=warned), PIXELS)
    assert warned == []


def test_files_folders_and_lists(tmp_path):
    for i, pixels in enumerate(PIXELS[:4]):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "list.txt").write_text("3.png\n0.png\n")
    (tmp_path / "4.heic").write_bytes(b"?")
    np.testing.assert_array_equal(taken(str(tmp_path / "2.png")), PIXELS[2:3])
    paths = [tmp_path / "3.png", str(tmp_path / "1.png")]
    np.testing.assert_array_equal(taken(paths), PIXELS[[3, 1]])
    warned = []
    np.testing.assert_array_equal(taken(tmp_path, warned=warned), PIXELS[:4])
    assert "skipped 1 file" in warned[0]
    np.testing.assert_array_equal(
        taken([tmp_path / "list.txt", PIXELS[9], tmp_path / "1.png"]), PIXELS[[3, 0, 9, 1]]
    )


def test_one_image():
    np.testing.assert_array_equal(taken(PIXELS[0]), PIXELS[:1])
    np.testing.assert_array_equal(taken(Image.fromarray(PIXELS[0])), PIXELS[:1])
    large = Image.fromarray(PIXELS[0]).resize((60, 80))
    np.testing.assert_array_equal(taken(large)[0], COLOUR.fit(large))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA", "I;16"])
def test_pillow_images_of_every_mode(mode):
    image = Image.new("I;16", (6, 8), 65535) if mode == "I;16" else Image.fromarray(PIXELS[0]).convert(mode)
    found = taken(image)
    assert found.shape == (1, 8, 6, 3)
    if mode == "I;16":
        assert (found == 255).all()


def test_exif_is_applied_where_the_preprocessing_says_so(tmp_path):
    from dataclasses import replace

    turned = Image.fromarray(PIXELS[0].transpose(1, 0, 2)[:, ::-1])
    exif = Image.Exif()
    exif[0x0112] = 8
    turned.save(tmp_path / "a.png", exif=exif)
    upright = replace(COLOUR, exif=True)
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(taken(image, upright), taken(tmp_path / "a.png", upright))
        np.testing.assert_array_equal(taken(image, upright), PIXELS[:1])
    assert not np.array_equal(taken(tmp_path / "a.png"), PIXELS[:1])


def test_grey_networks_take_grey_arrays():
    grey = PIXELS[..., 0]
    np.testing.assert_array_equal(taken(grey[0], GREY), grey[:1, ..., None])
    np.testing.assert_array_equal(taken(grey[..., None], GREY), grey[..., None])
    np.testing.assert_array_equal(taken([Image.fromarray(grey[0])], GREY), grey[:1, ..., None])


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (PIXELS.astype(np.float32), "float32 .20, 8, 6, 3.*normalises them itself"),
        (PIXELS[0] / 255, "float64 .8, 6, 3.*normalises them itself"),
        (PIXELS.astype(np.int64), "int64.*as uint8"),
        (PIXELS.transpose(0, 3, 1, 2), "the last dimension"),
        (PIXELS[0].transpose(2, 0, 1), "the last dimension"),
        (PIXELS[:, :4], "20, 4, 6, 3.*Pillow's images"),
        (PIXELS[0, ..., 0], r"uint8 .8, 6\].*make grey images RGB"),
        (PIXELS[..., :1], "make grey images RGB"),
        (PIXELS[:0], "no image in the array"),
        ([PIXELS[0], PIXELS[1, :4]], "uint8 .4, 6, 3"),
        ([], "no image in the list"),
        ([PIXELS[0].tolist()], "builtins.list"),
        ([None], "NoneType"),
        (7, "builtins.int"),
        (b"\x89PNG", "builtins.bytes"),
        ({"images": PIXELS}, "builtins.dict"),
        ({"a.png", "b.png"}, "builtins.set"),  # it has no order
        (Image.new("RGB", (0, 4)), "no pixels"),
    ],
)
def test_what_is_no_image_is_refused(images, reason):
    with pytest.raises(ImageError) as error:
        taken(images)
    assert re.search(reason, str(error.value), re.DOTALL)


def test_what_is_not_there_or_broken_is_refused(tmp_path):
    with pytest.raises(MissingFileError):
        taken([PIXELS[0], tmp_path / "missing.png"])
    (tmp_path / "a.png").write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"a\.png cannot be decoded"):
        taken([PIXELS[0], tmp_path / "a.png"])
    Image.fromarray(PIXELS.reshape(48, 20, 3)).save(tmp_path / "b.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:1500])
    with Image.open(tmp_path / "b.png") as image, pytest.raises(ImageError, match="cannot be decoded"):
        taken([image])


@pytest.mark.parametrize("exif", [False, True])
@pytest.mark.parametrize(("shift", "guesses"), [(4, 1), (8, 0)])
def test_deep_colours_of_pillow_are_those_of_their_file(shift, guesses, exif):
    """Pillow keeps the upper byte of 16-bit colours alone: of 12-bit data that is nearly black."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    pixels[0, 0] = 255
    data = zlib.compress(
        b"".join(b"\0" + (row.astype(np.uint16) << shift).astype(">u2").tobytes() for row in pixels)
    )
    orientation = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0\0\0\0\0"  # 3: half a turn
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)), (b"eXIf", orientation)]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in [*chunks, (b"IDAT", data), (b"IEND", b"")]
    )
    said = []
    preprocess = Preprocess((8, 8), (0.0,) * 3, (1.0,) * 3, exif=exif)
    ((found, _),) = batches(Image.open(io.BytesIO(content)), preprocess, said.append)
    assert np.array_equal(found[0], pixels[::-1, ::-1] if exif else pixels)
    assert ["0…4095" in text for text in said] == [True] * guesses
