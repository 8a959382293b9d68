from __future__ import annotations

import io
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeeff.calibration import content
from edgeeff.calibration.content import ContentReport, Examination
from edgeeff.errors import CalibrationError
from edgeeff.images import ImageSet, Picture, decode, with_crops
from edgeeff.preprocess import Preprocess

SIZE = 128
PREPROCESS = Preprocess((SIZE, SIZE), (0.0,) * 3, (1.0,) * 3)


def looked_at(images, force=True):
    return content.examine([images[:3], images[3:]], range(len(images)), force=force)


def as_jpeg(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def noise(kind, side):
    random = np.random.default_rng(3)
    shape = (side, side, 3)
    if kind == "uniform":
        return random.integers(0, 256, shape, np.uint8)
    if kind == "gaussian":
        return np.clip(random.normal(128, 20, shape), 0, 255).astype(np.uint8)
    if kind == "faint":
        return np.clip(random.normal(90, 4, shape), 0, 255).astype(np.uint8)
    grey = random.normal(128, 30, (side, side, 1))
    if kind == "salt and pepper":
        grey = np.where(random.random(grey.shape) < 0.5, 0, 255)
    if kind == "rare salt and pepper":
        grey = random.choice([0, 128, 255], grey.shape, p=[0.05, 0.9, 0.05])
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8), 3, axis=2)


@pytest.fixture(scope="module")
def all_photos(photos):
    """Everything that looks like an image in the packages that carry photos, textures among it."""
    found = list(photos)
    for package, folder in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = find_spec(package)
        assert spec is not None and spec.origin is not None
        found += [Picture(p) for p in sorted((Path(spec.origin).parent / folder).glob("*.[jp][pn]g"))]
    return found


@pytest.fixture(scope="module")
def photo_pixels(photos):
    return np.stack([PREPROCESS.fit(decode(picture, PREPROCESS)) for picture in photos])


@pytest.mark.parametrize("side", [SIZE, 300])
@pytest.mark.parametrize(
    "kind", ["uniform", "gaussian", "faint", "grey", "salt and pepper", "rare salt and pepper"]
)
def test_noise_is_noise_also_out_of_a_jpeg_or_resized(kind, side):
    image = noise(kind, side)
    shown = [Image.fromarray(image), as_jpeg(image, 95), as_jpeg(image, 75)]
    if kind != "faint":  # of faint noise this leaves next to nothing
        shown.append(as_jpeg(image, 30))
    found = looked_at(np.stack([PREPROCESS.fit(one) for one in shown]))
    assert sorted([*found.noise, *found.blank]) == list(range(len(shown)))
    assert kind == "faint" or not found.blank


@pytest.mark.parametrize("side", [64, SIZE, 224])
def test_no_photo_is_noise_and_none_is_blank(side, all_photos):
    preprocess = Preprocess((side, side), (0.0,) * 3, (1.0,) * 3)
    pictures = ImageSet((*all_photos, *with_crops(all_photos, 40, 0)))
    assert len(pictures) > 80
    examination = Examination(pictures.pictures)
    for pixels, numbers in pictures.batches(preprocess):
        examination.add(pixels, numbers)
    report = examination.report()
    assert [str(pictures.pictures[i]) for i in (*report.noise, *report.blank)] == []


def test_noisy_photos_are_photos(photo_pixels):
    random = np.random.default_rng(0)
    noisy = np.clip(photo_pixels + random.normal(0, 25, photo_pixels.shape), 0, 255).astype(np.uint8)
    dark = (noisy * 0.2).astype(np.uint8)
    assert looked_at(noisy).noise == looked_at(dark).noise == ()


def test_blank_images(photo_pixels):
    random = np.random.default_rng(0)
    images = photo_pixels[:6].copy()
    images[1] = 0
    images[2] = (12, 200, 7)
    images[4] = 128 + random.integers(-1, 2, images[4].shape)
    report = looked_at(images)
    assert report.blank == (1, 2, 4)
    assert report.noise == () and report.repeated == ()  # nothing is like nothing
    faint = (photo_pixels * 0.1).astype(np.uint8) + 60
    assert looked_at(faint).blank == ()


def test_repeated_images_are_found_through_jpeg_and_brightness(photo_pixels):
    images = photo_pixels[:8].copy()
    images[3] = images[0]
    images[5] = np.asarray(as_jpeg(images[1], 60))
    images[6] = (images[1] * 0.8 + 10).astype(np.uint8)
    report = looked_at(images)
    assert report.repeated == ((3, 0), (5, 1), (6, 1))
    (warning,) = report.warnings([f"{i}.jpg" for i in range(8)])
    assert "3 of 8" in warning and "3.jpg is like 0.jpg" in warning and "count as 5" in warning


def test_different_photos_and_crops_are_not_repeated(photos, photo_pixels):
    assert looked_at(photo_pixels).repeated == ()
    crops = ImageSet(tuple(with_crops(photos, 60, 0)))
    pixels = np.concatenate([batch for batch, _ in crops.batches(PREPROCESS)])
    report = looked_at(pixels)
    assert len(report.repeated) <= 2
    assert report.warnings(crops.pictures) == ()


@pytest.mark.parametrize("rows", [1, 4, 512])
def test_the_number_compared_at_a_time_changes_nothing(rows, photo_pixels, monkeypatch):
    images = np.concatenate([photo_pixels[:5], photo_pixels[2:7]])
    monkeypatch.setattr(content, "_ROWS", rows)
    assert looked_at(images).repeated == ((5, 2), (6, 3), (7, 4))


def test_a_few_bad_ones_are_warned_about_by_number_and_name(photo_pixels):
    images = photo_pixels.copy()
    images[4], images[7] = noise("uniform", SIZE), 0
    report = looked_at(images, force=False)
    names = [f"photos/{i}.jpg" for i in range(len(images))]
    blank, noisy = report.warnings(names)
    assert blank.startswith("blank: 1 of 20 calibration images") and "photos/7.jpg" in blank
    assert noisy.startswith("noise, no photos: 1 of 20 calibration images") and "photos/4.jpg" in noisy


def test_a_set_that_is_mostly_noise_is_refused_unless_forced(photo_pixels):
    images = photo_pixels[:9].copy()
    images[:3], images[3:5] = 0, noise("gaussian", SIZE)
    with pytest.raises(CalibrationError, match="3 are blank and 2 noise") as error:
        looked_at(images, force=False)
    assert "--force-calibration" in error.value.mend
    assert len(looked_at(images).noise) == 2
    images[0] = photo_pixels[0]
    assert looked_at(images, force=False).blank == (1, 2)


def test_it_refuses_as_soon_as_it_is_certain():
    examination = Examination(range(10))
    blank = np.zeros((1, 64, 64, 3), np.uint8)
    for number in range(5):
        examination.add(blank, [number])
    with pytest.raises(CalibrationError, match="of 6 looked at 6 are blank"):
        examination.add(blank, [5])


def test_numbers_are_those_that_are_given(photo_pixels):
    """Images that could not be decoded leave gaps."""
    images = photo_pixels[:4].copy()
    images[2], images[3] = 0, images[0]
    examination = Examination([f"{i}.png" for i in range(12)])
    examination.add(images, [1, 4, 8, 11])
    report = examination.report()
    assert report.blank == (8,) and report.repeated == ((11, 1),) and report.images == 4


def test_no_images():
    assert content.examine([], []) == ContentReport(0)
    assert ContentReport(0).warnings([]) == ()


def test_plain_data_and_back():
    report = ContentReport(9, (1, 2), (3,), ((5, 4), (6, 4)))
    assert ContentReport.from_json(json.loads(json.dumps(report.to_json()))) == report
