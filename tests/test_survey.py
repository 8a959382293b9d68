"""What is said of a set's files before they are used."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from edgeeff.images import open_images
from edgeeff.images.decoding import ORIENTATION
from edgeeff.images.survey import survey
from edgeeff.preprocess import Preprocess

PREPROCESS = Preprocess((8, 8), (0.0,) * 3, (1.0,) * 3)
RNG = np.random.default_rng(0)


def pixels(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def looked(folder, **changes):
    opened = open_images(folder)
    found = survey(opened.pictures, Preprocess(**{**vars(PREPROCESS), **changes}))
    return found, opened


def save(path, values, **options):
    Image.fromarray(values).save(path, **options)


def rotated(path, orientation, values, **options):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    save(path, values, exif=exif, **options)


def test_ordinary_photos_say_nothing(tmp_path):
    save(tmp_path / "a.jpg", pixels(9, 9, 3))
    save(tmp_path / "b.png", pixels(9, 9))
    (tmp_path / "c.jpg").write_bytes(b"broken")
    found, _ = looked(tmp_path)
    assert found.preprocess == PREPROCESS and found.lines == found.warnings == ()


def test_a_container_of_16_bits_is_a_line(tmp_path):
    for i in range(3):
        save(tmp_path / f"{i}.png", pixels(9, 9).astype(np.uint16) * 257)
    save(tmp_path / "z.png", pixels(9, 9))
    found, _ = looked(tmp_path)
    assert found.lines == ("pixels   3 of 4 images are 16-bit: 0…65535 becomes 0…255",)
    assert not found.warnings and found.preprocess.white is None


def test_12_bits_are_guessed_for_the_whole_set(tmp_path):
    values = pixels(9, 9).astype(np.uint16) << 4
    values[0, 0] = 4080
    save(tmp_path / "a.png", values)
    save(tmp_path / "dark.png", values >> 5)  # alone it would pass for 8 bits
    found, opened = looked(tmp_path)
    assert "0…4095" in found.warnings[0] and "--white" in found.warnings[0] and not found.lines
    assert found.preprocess.white == 4095
    (batch, _), *_ = opened.batches(Preprocess(**{**vars(found.preprocess), "size": (9, 9)}))
    assert np.array_equal(batch[1, ..., 0], values >> 9)


def test_data_that_would_fit_14_bits_are_warned_of(tmp_path):
    values = pixels(9, 9).astype(np.uint16) << 6
    values[0, 0] = 16383
    save(tmp_path / "a.png", values)
    found, _ = looked(tmp_path)
    assert "--white 16383" in found.warnings[0] and found.preprocess.white is None
    found, _ = looked(tmp_path, white=16383.0)
    assert not found.warnings and "0…16383 becomes 0…255 (--white)" in found.lines[0]


@pytest.mark.parametrize("scale", [1, 255])
def test_float_ranges_are_guesses(scale, tmp_path):
    save(tmp_path / "a.tif", (pixels(9, 9) / 255 * scale).astype(np.float32))
    found, _ = looked(tmp_path)
    assert f"0…{scale:g} " in found.warnings[0] and found.preprocess.white is None


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_exif_orientation_is_said_and_applied_when_asked(orientation, suffix, tmp_path):
    values = np.zeros((32, 32, 3), np.uint8)
    values[:16, :16] = (255, 0, 0)
    values[16:, :16] = (0, 0, 255)
    lossless = {"quality": 100} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
    rotated(tmp_path / f"a.{suffix}", orientation, values, **lossless)
    save(tmp_path / f"b.{suffix}", values, **lossless)
    found, opened = looked(tmp_path)
    assert found.lines[0].startswith("pixels   1 of 2 images have an EXIF orientation: it is not applied")
    assert not found.warnings
    as_stored, upright = (
        next(opened.batches(Preprocess((32, 32), (0.0,) * 3, (1.0,) * 3, exif=exif)))[0]
        for exif in (False, True)
    )
    assert np.array_equal(as_stored[0], as_stored[1]) and np.array_equal(upright[1], as_stored[1])
    turns = {  # EXIF 2.3, 4.6.4: what is row 0 and column 0 of the upright photo
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a),
    }
    assert np.array_equal(upright[0], turns[orientation](as_stored[0]))
    assert "turned upright (--exif)" in looked(tmp_path, exif=True)[0].lines[0]


def test_orientations_that_a_png_has_elsewhere_are_said(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    raw, info = exif.tobytes(), PngImagePlugin.PngInfo()
    # As ImageMagick writes it, and as Adobe's programs do.
    info.add_text("Raw profile type exif", f"\nexif\n{len(raw):8}\n{raw.hex()}\n", zip=True)
    Image.fromarray(pixels(8, 8, 3)).save(tmp_path / "a.png", pnginfo=info)
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", '<rdf:Description tiff:Orientation="6"/>')
    Image.fromarray(pixels(8, 8, 3)).save(tmp_path / "b.png", pnginfo=info)
    assert "2 of 2 images have an EXIF orientation" in looked(tmp_path)[0].lines[0]


def test_an_orientation_that_makes_no_sense_is_upright(tmp_path):
    rotated(tmp_path / "a.jpg", 9, pixels(9, 9, 3))
    rotated(tmp_path / "b.jpg", 1, pixels(9, 9, 3))
    assert looked(tmp_path, exif=True)[0].lines == ()


def test_a_tiff_is_turned_by_pillow_and_not_twice(tmp_path):
    values = pixels(8, 8, 3)
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={ORIENTATION: 6})
    for exif in (False, True):
        preprocess = Preprocess((8, 8), (0.0,) * 3, (1.0,) * 3, exif=exif)
        (batch, _), *_ = open_images(tmp_path).batches(preprocess)
        assert np.array_equal(batch[0], np.rot90(values, -1))


def test_transparency_cmyk_and_colour_for_grey_are_lines(tmp_path):
    save(tmp_path / "a.png", pixels(9, 9, 4))
    Image.fromarray(pixels(9, 9, 3)).convert("CMYK").save(tmp_path / "b.jpg")
    save(tmp_path / "c.png", pixels(9, 9, 3))
    save(tmp_path / "d.png", pixels(9, 9))
    lines = " ".join(looked(tmp_path)[0].lines)
    assert "1 of 4 images have transparency: it is dropped" in lines and "1 of 4 images are CMYK" in lines
    assert "3 of 4 images are in colour" in looked(tmp_path, mean=(0.0,), std=(1.0,))[0].lines[-1]
    four = looked(tmp_path, mean=(0.0,) * 4, std=(1.0,) * 4)[0]
    assert "3 of 4 images have no fourth channel" in four.warnings[0]  # a guess of what the network sees
    assert "fourth" not in " ".join(four.lines)


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png"])
def test_of_several_frames_the_first_is_taken(suffix, tmp_path):
    first, second = (Image.fromarray(np.full((16, 16, 3), value, np.uint8)) for value in (40, 200))
    first.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[second])
    found, opened = looked(tmp_path)
    assert found.lines == ("pixels   1 of 1 image hold several frames or pages: the first one is taken",)
    (batch, _), *_ = opened.batches(PREPROCESS)
    assert abs(int(batch.mean()) - 40) < 3
