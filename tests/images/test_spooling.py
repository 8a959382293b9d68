"""Images that a program holds become files of the same pixels."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgeeff.errors import EdgeeffError, ImageError, LabelsError, MissingFileError
from edgeeff.images import open_images, spooling
from edgeeff.images.spooling import spool


def pixels(path):
    return [read(picture.path)[1] for picture in open_images(path).pictures]


def read(path):
    """Mode, pixels and EXIF orientation of a file."""
    with Image.open(path) as image:
        return image.mode, np.asarray(image), image.getexif().get(0x0112)


@pytest.fixture
def colours():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 7, 3), np.uint8)


def test_every_form_holds_the_same_pixels_and_digest(colours, tmp_path):
    for number, image in enumerate(colours):
        Image.fromarray(image).save(tmp_path / f"{number}.png", compress_level=1)
    paths = sorted(tmp_path.glob("*.png"))
    forms = {
        "array": colours,
        "list": [*colours],
        "pillow": [Image.open(path) for path in paths],
        "generator": (image for image in colours),
        "callable": lambda: iter(colours),
        "paths": [*paths[:5], str(paths[5])],
        "dataset": Dataset([(image, number) for number, image in enumerate(colours)]),
        "mixed": [colours[0], paths[1], *map(Image.fromarray, colours[2:])],
    }
    found = {name: spool(form, tmp_path / name) for name, form in forms.items()}
    for one in found.values():
        assert one.count == 6 and not one.left
        np.testing.assert_array_equal(pixels(one.path), colours)
    kinds = ("array", "list", "generator", "callable", "pillow", "dataset")
    assert len({open_images(found[kind].path).digest() for kind in kinds}) == 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK"])
def test_every_mode_is_kept(mode, tmp_path):
    image = Image.fromarray(np.arange(12, dtype=np.uint16 if mode == "I;16" else np.uint8).reshape(3, 4))
    image = image if mode == "I;16" else image.convert(mode)
    found = read(open_images(spool([image], tmp_path / "x").path).pictures[0].path)
    assert found[0] == image.mode
    np.testing.assert_array_equal(found[1], np.asarray(image))


def test_the_orientation_is_kept(tmp_path):
    image = Image.fromarray(np.zeros((3, 4, 3), np.uint8))
    image.getexif()[0x0112] = 6
    assert read(open_images(spool([image], tmp_path / "x").path).pictures[0].path)[2] == 6


def test_a_flat_image_is_no_bomb(tmp_path):
    flat = np.full((3000, 3000, 3), 9, np.uint8)
    path = open_images(spool([flat], tmp_path / "x").path).pictures[0].path
    with Image.open(path) as image:
        from edgeeff.images.decoding import refuse_bomb

        refuse_bomb(image, path)


class Dataset:
    """As torchvision's are: an item of each number, and no iterator."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, number):
        return self.items[number]


def test_labels_are_numbers_or_names(colours, tmp_path):
    numbers = open_images(spool([(c, i) for i, c in enumerate(colours)], tmp_path / "numbers").path)
    assert numbers.classes_named([f"class {i}" for i in range(6)]).labels.tolist() == [0, 1, 2, 3, 4, 5]
    some = ((c, "nut" if i % 2 else "bolt, long") if i else c for i, c in enumerate(colours))
    names = open_images(spool(some, tmp_path / "names").path)
    assert names.classes_named(["nut", "bolt, long"]).labels.tolist() == [-1, 0, 1, 0, 1, 0]
    with pytest.raises(LabelsError, match="int, str"):
        spool([(colours[0], 1), (colours[1], "nut")], tmp_path / "both")


def test_no_more_is_taken_than_is_used(colours, tmp_path, monkeypatch):
    taken = []

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield colours[number % 6]

    found = spool(endless(), tmp_path / "first", count=4)
    assert (found.count, found.left) == (4, True) and len(taken) == 5
    chosen = spool(colours, tmp_path / "chosen", count=4, seed=1)
    assert (chosen.count, chosen.left) == (4, False)
    again = spool([*colours], tmp_path / "again", count=4, seed=1)
    np.testing.assert_array_equal(pixels(chosen.path), pixels(again.path))
    monkeypatch.setattr(spooling, "MOST", 10)
    with pytest.raises(ImageError, match="more than 10 images"):
        spool(endless(), tmp_path / "all")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "there is no image"),
        (iter(()), "there is no image"),
        ([3], "an image is builtins.int"),
        ([b"x"], "an image is builtins.bytes"),
        (np.zeros((2, 3, 3, 3), np.float32), "float32"),
        (np.zeros((2, 3, 8, 8), np.uint8), r"uint8 \[3, 8, 8\]"),
        ([np.zeros((0, 4, 3), np.uint8)], r"uint8 \[0, 4, 3\]"),
        (np.zeros(5, np.uint8), "an array uint8"),
        ([("a.png", 1, 2)], "builtins.tuple"),
        (["gone.png"], "gone.png"),
        ([(np.zeros((3, 3, 3), np.uint8), 1.5)], "labels of images are float"),
        (lambda: 3, "an image is builtins.int"),
        ({"a": 1}, "builtins.dict"),
        ([torch.zeros(3, 4, 4)], "torch.Tensor"),
        (torch.zeros(2, 3, 4, 4), "torch.Tensor"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_image(given, says, tmp_path):
    with pytest.raises((ImageError, LabelsError, MissingFileError), match=says) as caught:
        spool(given, tmp_path / "x")
    assert isinstance(caught.value, EdgeeffError) and caught.value.mend


def test_one_image_and_grey_ones(tmp_path):
    for number, (array, count) in enumerate(
        [
            (np.zeros((5, 6, 3), np.uint8), 1),
            (np.zeros((5, 6), np.uint8), 1),
            (np.zeros((2, 5, 6), np.uint8), 2),
        ]
    ):
        assert spool(array, tmp_path / str(number)).count == count
    assert spool(Image.new("L", (4, 4)), tmp_path / "image").count == 1
    assert isinstance(spool(Path(tmp_path / "image" / "000000.png"), tmp_path / "path").path, Path)
