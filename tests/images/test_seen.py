"""A set's images are decoded once, as long as they are the same files and there is room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from edgeeff.images.image_set import ImageSet
from edgeeff.images.picture import Picture
from edgeeff.images.seen import Seen
from edgeeff.preprocess import Preprocess

PREPROCESS = Preprocess((8, 8), (127.0,) * 3, (128.0,) * 3)


def photos(folder, *values):
    for number, value in enumerate(values):
        Image.new("RGB", (8, 8), (value,) * 3).save(folder / f"{number}.png")
    return tuple(Picture(folder / f"{number}.png") for number in range(len(values)))


def values(images, preprocess=PREPROCESS):
    return [int(image[0, 0, 0]) for batch, _ in images.batches(preprocess) for image in batch]


def test_a_file_that_changed_is_decoded_anew_and_a_broken_one_is_bad_again(tmp_path):
    images = ImageSet(photos(tmp_path, 10, 20, 30))
    (tmp_path / "1.png").write_bytes(b"no image")
    for _ in range(2):
        assert values(images) == [10, 30] and list(images.bad) == [str(tmp_path / "1.png")]
    photos(tmp_path, 11, 21)
    assert values(images) == [11, 21, 30] and not images.bad


def test_sets_made_of_one_share_what_was_decoded(tmp_path, monkeypatch):
    images = ImageSet(photos(tmp_path, 10, 20))
    assert values(images) == [10, 20]
    monkeypatch.setattr("edgeeff.images.image_set.try_decode", None)  # nothing is decoded any more
    assert values(replace(images, pictures=images.pictures[::-1], bad={})) == [20, 10]


def test_another_preprocessing_or_crop_is_another_image(tmp_path):
    images = ImageSet(photos(tmp_path, 10))
    assert values(images) == [10]
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(tmp_path / "0.png")
    whole, turned = next(images.batches(PREPROCESS))[0], replace(PREPROCESS, crop=0.5)
    cropped = ImageSet((replace(images.pictures[0], crop=(0.5, 0.5, 0.5, 0.5)),), _seen=images._seen)
    assert whole.shape == next(images.batches(turned))[0].shape
    assert not np.array_equal(whole, next(cropped.batches(PREPROCESS))[0])


def test_what_does_not_fit_is_not_kept(tmp_path):
    first, second = photos(tmp_path, 10, 20)
    seen, pixels = Seen(limit=300), np.zeros((8, 8, 3), np.uint8)
    for picture in (first, first, second):
        seen.keep(picture, PREPROCESS, pixels)
    assert seen.get(first, PREPROCESS) is pixels and seen.get(second, PREPROCESS) is None
