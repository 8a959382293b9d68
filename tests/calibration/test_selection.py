from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeeff import recipes
from edgeeff.calibration.selection import batch_size, pixels, refuse_broken, select
from edgeeff.errors import CalibrationError, EdgeeffError, MissingFileError
from edgeeff.images import ImageSet, open_images
from edgeeff.preprocess import Preprocess

PREPROCESS = Preprocess(size=(16, 16), mean=(127.0,) * 3, std=(128.0,) * 3)


def photos_of(images: ImageSet) -> set[str]:
    return {picture.path.name for picture in images.pictures}


@pytest.fixture
def folder(tmp_path):
    """``folder(count, broken)``: a folder of small photos."""

    def make(count: int, broken: int = 0) -> Path:
        path = tmp_path / "photos"
        path.mkdir()
        random = np.random.default_rng(0)
        for i in range(count):
            if i < broken:
                (path / f"{i:03}.png").write_bytes(b"no image")
            else:
                Image.fromarray(random.integers(0, 256, (20, 24, 3), np.uint8)).save(path / f"{i:03}.png")
        return path

    return make


@pytest.fixture
def recipe(folder, tmp_path):
    """``recipe(count, **fields)``: a recipe over a folder of that many photos."""

    def make(photos: int, text: str) -> Path:
        folder(photos)
        path = tmp_path / "recipe.toml"
        path.write_text(f'{text}\n[[source]]\npath = "photos"\n')
        return path

    return make


def test_a_fifth_is_held_out(folder):
    chosen = select(folder(20), None)
    assert (len(chosen.calibration), len(chosen.validation)) == (16, 4)
    assert not photos_of(chosen.calibration) & photos_of(chosen.validation)
    assert chosen.warning is None


def test_named_validation_leaves_all_photos_to_calibrate(folder, tmp_path):
    path = folder(10)
    judge = tmp_path / "judge"
    judge.mkdir()
    Image.new("RGB", (8, 8)).save(judge / "a.png")
    chosen = select(path, judge)
    assert (len(chosen.calibration), len(chosen.validation)) == (10, 1)


def test_crops_are_taken_after_the_split(recipe):
    """No crop of a photo that judges may calibrate."""
    chosen = select(recipe(10, "count = 60\nseed = 3\ncrops = true"), None)
    assert len(chosen.calibration) + len(chosen.validation) == 60
    assert len(chosen.validation) == 12
    assert not photos_of(chosen.calibration) & photos_of(chosen.validation)
    assert (len(photos_of(chosen.calibration)), len(photos_of(chosen.validation))) == (8, 2)
    for images in (chosen.calibration, chosen.validation):
        assert len(set(images.pictures)) == len(images)


def test_crops_calibrate_alone_where_validation_is_named(recipe, tmp_path):
    path = recipe(3, "count = 12\ncrops = true")
    chosen = select(path, tmp_path / "photos")
    assert (len(chosen.calibration), len(chosen.validation)) == (12, 3)


def test_the_seed_chooses(folder):
    path = folder(20)
    first, again, other = (select(path, None, 10, seed) for seed in (0, 0, 1))
    assert len(first.calibration) + len(first.validation) == 10
    assert first == again
    assert photos_of(first.calibration) != photos_of(other.calibration)


def test_the_seed_chooses_crops(recipe):
    path = recipe(4, "count = 20\ncrops = true\nseed = 1")
    assert select(path, None) == select(path, None) == select(path, None, seed=1)
    assert select(path, None, seed=0) != select(path, None)


def test_a_count_beats_the_recipes(recipe):
    chosen = select(recipe(10, "count = 4"), None, 5)
    assert len(chosen.calibration) + len(chosen.validation) == 5


@pytest.mark.parametrize("count", [1, 2, 4])
def test_few_photos_are_told_of(folder, count):
    chosen = select(folder(count), None)
    assert len(chosen.calibration) == count and len(chosen.validation) == 1
    assert chosen.warning == f"only {count} calibration images: one of them is also judged by"


def test_without_images_photos_of_packages_calibrate_and_warn(photos):
    chosen = select(None, None)
    assert len(chosen.calibration) + len(chosen.validation) == 100
    assert photos_of(chosen.calibration) | photos_of(chosen.validation) == {p.path.name for p in photos}
    assert not photos_of(chosen.calibration) & photos_of(chosen.validation)
    assert chosen.warning is not None and "--calibration" in chosen.warning


@pytest.fixture
def no_photos(monkeypatch):
    """A machine without the packages that carry photos."""
    folder = recipes._folder
    monkeypatch.setattr(recipes, "_folder", lambda s, base: None if s.package else folder(s, base))


def test_nothing_calibrates_without_photos(no_photos):
    with pytest.raises(CalibrationError, match="none of the photos"):
        select(None, None)


def test_float_targets_are_judged_on_noise_without_photos(no_photos):
    chosen = select(None, None, calibrates=False)
    assert chosen.noise and len(chosen.validation) == 32
    assert "seeded noise" in chosen.warning and "--validation" in chosen.warning
    random = np.random.default_rng(0)
    for picture in chosen.validation.pictures:
        expected = random.integers(0, 256, (12, 12, 3), np.uint8)
        np.testing.assert_array_equal(np.asarray(Image.open(picture.path)), expected)


def test_float_targets_are_judged_on_the_images_that_are_named(no_photos, folder):
    path = folder(10)
    for chosen in (select(None, path, calibrates=False), select(path, path, calibrates=False)):
        assert len(chosen.validation) == 10 and not chosen.noise and chosen.warning is None
    held_out = select(path, None, calibrates=False)
    assert len(held_out.validation) == 2 and not held_out.noise


def test_float_targets_take_installed_photos():
    chosen = select(None, None, calibrates=False)
    assert not chosen.noise and chosen.validation.digest() == select(None, None).validation.digest()


@pytest.mark.parametrize("source", ["nowhere", "nowhere.toml", "empty", "text.md"])
def test_nothing_there_is_refused(source, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.md").write_text("hello")
    with pytest.raises((MissingFileError, CalibrationError)):
        select(tmp_path / source, None)


@pytest.mark.parametrize(("count", "seed"), [(-1, None), (0, None), (3, -1)])
def test_counts_and_seeds_that_make_no_sense_are_refused(count, seed, folder):
    with pytest.raises(EdgeeffError):
        select(folder(5), None, count, seed)


def test_up_to_a_tenth_is_skipped_and_named(folder):
    images = open_images(folder(20, broken=2))
    decoded = np.concatenate(list(pixels(images, PREPROCESS)))
    assert decoded.shape == (18, 16, 16, 3)
    assert sorted(Path(name).name for name in images.bad) == ["000.png", "001.png"]
    assert all("cannot be decoded" in reason for reason in images.bad.values())


def test_more_than_a_tenth_is_refused(folder):
    images = open_images(folder(20, broken=3))
    with pytest.raises(CalibrationError, match=r"3 of 20 images cannot be decoded .*000\.png"):
        list(pixels(images, PREPROCESS))


def test_none_is_refused():
    with pytest.raises(CalibrationError, match="0 of 0"):
        refuse_broken(ImageSet(()), 0)


def test_batches_keep_the_order_and_the_images(folder):
    images = open_images(folder(11))
    sizes = [len(batch) for batch in pixels(images, PREPROCESS, 4)]
    assert sizes == [4, 4, 3]
    whole = np.concatenate(list(pixels(images, PREPROCESS, 4)))
    np.testing.assert_array_equal(whole, np.concatenate(list(pixels(images, PREPROCESS, 1))))


@pytest.mark.parametrize(
    ("size", "images"), [((224, 224), 4), ((400, 400), 4), ((512, 512), 2), ((600, 800), 1)]
)
def test_large_images_are_run_in_smaller_batches(size, images):
    preprocess = Preprocess(size, (0.0,) * 3, (1.0,) * 3)
    assert batch_size(preprocess) == images
