"""Masks of photos: found by name, read as numbers, taken as a network's classes."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from edgeeff.errors import EdgeeffError, ImageError, LabelsError, MissingFileError
from edgeeff.harness import truth
from edgeeff.images import open_images
from edgeeff.images.annotations import masks
from edgeeff.images.annotations.mask_pixels import pixels, read_colours
from edgeeff.preprocess import Preprocess
from edgeeff.recipes import open_to_judge

PREPROCESS = Preprocess((8, 12), (0.0,) * 3, (1.0,) * 3, crop=1.0, squash=True)
LABELS = ("sky", "road", "car")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos of 12×8 with masks of the numbers 0, 1, 2 and 255 beside them."""
    for name, value in (("a", 1), ("b", 2)):
        save(tmp_path / f"images/val/{name}.jpg", np.zeros((8, 12, 3), np.uint8))
        mask = np.zeros((8, 12), np.uint8)
        mask[4:], mask[0, 0] = value, 255
        save(tmp_path / f"masks/val/{name}.png", mask)
    return tmp_path / "images/val"


def save(path: Path, values: np.ndarray, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if palette:
        image.putpalette([i // 3 for i in range(768)])
    image.save(path)


def known(source: Path, *, labels: tuple[str, ...] = LABELS, **options: object) -> masks.Placed:
    return masks.placed(masks.given(open_images(source), **options), labels, PREPROCESS)  # type: ignore[arg-type]


def test_masks_beside_are_found_and_255_is_ignored(photos: Path) -> None:
    found = masks.given(open_images(photos))
    assert [one.mask and one.mask.name for one in found.pictures] == ["a.png", "b.png"]
    assert any("masks are those of" in note for note in found.notes)
    placed = masks.placed(found, LABELS, PREPROCESS)
    values = placed.known[1].read()
    assert values is not None
    assert values[0, 0] == 255
    assert (values[4:] == 2).all()
    assert placed.warnings == ()


def test_a_folder_a_list_and_pairs_of_paths_say_the_same(photos: Path, tmp_path: Path) -> None:
    expected = [one.read() for one in known(photos).known]
    (tmp_path / "masks/val/a.png").rename(tmp_path / "masks/val/a_mask.png")
    (tmp_path / "masks/val/b.png").rename(tmp_path / "masks/val/b_mask.png")
    (tmp_path / "list.csv").write_text(
        "image,mask\nimages/val/a.jpg,masks/val/a_mask.png\nimages/val/b.jpg,masks/val/b_mask.png\n"
    )
    (tmp_path / "bare.csv").write_text(
        "images/val/a.jpg,masks/val/a_mask.png\nimages/val/b.jpg,masks/val/b_mask.png\n"
    )
    (tmp_path / "train.txt").write_text(
        "images/val/a.jpg masks/val/a_mask.png\nimages/val/b.jpg masks/val/b_mask.png\n"
    )
    for source, options in (
        (photos, {"folder": tmp_path / "masks/val"}),
        (photos, {"folder": tmp_path / "masks"}),
        (photos, {}),
        (tmp_path / "list.csv", {}),
        (tmp_path / "bare.csv", {}),
        (tmp_path / "train.txt", {}),
    ):
        for one, other in zip(known(source, **options).known, expected, strict=True):
            np.testing.assert_array_equal(one.read(), other)


def test_numbers_beyond_the_classes_are_refused_with_the_option_that_ignores_them(photos: Path) -> None:
    with pytest.raises(LabelsError, match=r"hold 2 .*b\.png") as caught:
        known(photos, labels=("sky", "road"))
    assert "--ignore 2,255" in str(caught.value)
    placed = known(photos, labels=("sky", "road"), ignore=(2, 255))
    values = placed.known[1].read()
    assert values is not None
    assert (values[4:] == 255).all()


def test_masks_that_do_not_fit_are_refused_or_counted(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "masks/val"
    save(folder / "a.png", np.ones((16, 24), np.uint8))
    assert "1 of 2 masks have another size" in known(photos).warnings[0]
    assert known(photos).known[0].read().shape == (16, 24)  # type: ignore[union-attr]
    save(folder / "a.png", np.ones((12, 8), np.uint8))
    with pytest.raises(LabelsError, match=r"8×12 pixels, and its photo .* 12×8; is the photo turned"):
        known(photos)
    save(folder / "a.png", np.ones((3, 3), np.uint8))  # of 3×2 it would be a rounding
    with pytest.raises(LabelsError, match="3×3 pixels, and its photo"):
        known(photos)
    save(folder / "a.png", np.full((8, 12), 255, np.uint8))
    assert "masks ignore every pixel" in known(photos).warnings[0]
    (folder / "a.png").write_bytes(b"no image")
    assert "cannot be read, and their photos are left out" in known(photos).warnings[0]
    (folder / "a.png").unlink()
    placed = known(photos)
    assert "1 of 2 photos have no mask" in placed.warnings[0]
    assert placed.known[0].read() is None
    with pytest.raises(MissingFileError, match=r"no mask of .* is called as a photo is"):
        (folder / "b.png").rename(folder / "z.png")
        known(photos, folder=folder)


def test_two_classes_drawn_as_0_and_255_are_taken_so_and_said(photos: Path, tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / f"masks/val/{name}.png", np.eye(8, 12, dtype=np.uint8) * 255)
    placed = known(photos, labels=("no", "crack"))
    assert "255 is taken for class 1" in placed.warnings[0]
    np.testing.assert_array_equal(placed.known[0].read(), np.eye(8, 12))
    ignored = known(photos, labels=("no", "crack"), ignore=255)
    assert ignored.warnings == ()
    np.testing.assert_array_equal(ignored.known[0].read(), np.eye(8, 12) * 255)


def test_files_of_each_form_hold_numbers(tmp_path: Path) -> None:
    numbers = np.arange(12, dtype=np.uint8).reshape(3, 4)
    save(tmp_path / "palette.png", numbers, palette=True)
    save(tmp_path / "wide.png", numbers.astype(np.uint16))
    save(tmp_path / "grey.png", np.repeat(numbers[..., None], 3, 2))
    for name in ("palette.png", "wide.png", "grey.png"):
        np.testing.assert_array_equal(pixels(tmp_path / name), numbers)
    colours = np.array([[[64, 0, 128], [0, 0, 192]]], np.uint8)
    save(tmp_path / "colours.png", colours)
    with pytest.raises(ImageError, match="--palette FILE"):
        pixels(tmp_path / "colours.png")
    (tmp_path / "colours.txt").write_text("0 0 192\tSidewalk\n64 0 128\tCar\n")
    palette = read_colours(tmp_path / "colours.txt")
    assert palette.names == ("Sidewalk", "Car")
    np.testing.assert_array_equal(pixels(tmp_path / "colours.png", palette), [[1, 0]])
    save(tmp_path / "mixed.png", np.full((1, 1, 3), 65, np.uint8))
    with pytest.raises(ImageError, match="1 pixels of colours that the palette lacks, such as 65 65 65"):
        pixels(tmp_path / "mixed.png", palette)
    save(tmp_path / "lossy.jpg", numbers)
    with pytest.raises(ImageError, match="JPEG"):
        pixels(tmp_path / "lossy.jpg")


def packed(path: Path, depth: int, rows: bytes, size: tuple[int, int], kind: int = 0) -> Path:
    """A PNG of so many bits, which Pillow does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


def test_grey_of_few_bits_holds_its_numbers(tmp_path: Path) -> None:
    np.testing.assert_array_equal(pixels(packed(tmp_path / "1.png", 1, b"\0\x40", (4, 1))), [[0, 1, 0, 0]])
    np.testing.assert_array_equal(pixels(packed(tmp_path / "2.png", 2, b"\0\x1b", (4, 1))), [[0, 1, 2, 3]])
    np.testing.assert_array_equal(pixels(packed(tmp_path / "4.png", 4, b"\0\x1f", (2, 1))), [[1, 15]])
    with pytest.raises(ImageError, match="colours of 16 bits"):
        pixels(packed(tmp_path / "16.png", 16, b"\0" + b"\0\1" * 3, (1, 1), kind=2))


def test_what_is_drawn_otherwise_than_it_is_saved_is_refused(tmp_path: Path) -> None:
    numbers = np.arange(12, dtype=np.uint8).reshape(3, 4)
    clear = np.repeat(numbers[..., None], 4, 2)
    save(tmp_path / "clear.png", clear)
    with pytest.raises(ImageError, match="12 pixels of it are transparent"):
        pixels(tmp_path / "clear.png")
    clear[..., 3] = 255
    save(tmp_path / "opaque.png", clear)
    np.testing.assert_array_equal(pixels(tmp_path / "opaque.png"), numbers)
    Image.fromarray(numbers).save(tmp_path / "named.png", "JPEG")
    Image.fromarray(numbers).save(tmp_path / "lossy.webp", lossless=False)
    for name in ("named.png", "lossy.webp"):
        with pytest.raises(ImageError, match="compressed with loss"):
            pixels(tmp_path / name)
    Image.fromarray(numbers).save(tmp_path / "exact.webp", lossless=True)
    np.testing.assert_array_equal(pixels(tmp_path / "exact.webp"), numbers)
    turned = Image.Exif()
    turned[0x0112] = 3
    Image.fromarray(numbers).save(tmp_path / "turned.png", exif=turned)
    with pytest.raises(ImageError, match="turned by its EXIF orientation"):
        pixels(tmp_path / "turned.png")


def test_a_list_of_colours_is_held_against_a_palettes_colours(tmp_path: Path) -> None:
    (tmp_path / "colours.txt").write_text("9 9 9 nine\n3 3 3 three\n")
    palette = read_colours(tmp_path / "colours.txt")
    save(tmp_path / "palette.png", np.array([[3, 9]], np.uint8), palette=True)  # number i has colour i i i
    np.testing.assert_array_equal(pixels(tmp_path / "palette.png"), [[3, 9]])
    np.testing.assert_array_equal(pixels(tmp_path / "palette.png", palette), [[1, 0]])


def test_a_photo_turned_without_a_trace_in_its_size_is_warned_of(photos: Path) -> None:
    assert not known(photos).warnings
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (12, 8)).save(photos / "a.jpg", exif=exif)
    (warned,) = known(photos).warnings
    assert "1 of 2 photos have an EXIF orientation" in warned and "as unturned as" in warned
    turned = masks.placed(masks.given(open_images(photos)), LABELS, replace(PREPROCESS, exif=True))
    assert "as upright as" in turned.warnings[0]


def test_255_of_more_classes_is_never_ignored_unsaid(photos: Path) -> None:
    many = tuple(f"c{number}" for number in range(300))
    with pytest.raises(LabelsError, match="--ignore none"):
        known(photos, labels=many)
    assert dict(known(photos, labels=many, ignore=()).known[0].numbers)[255] == 255


def test_named_colours_are_the_networks_classes_by_name(photos: Path, tmp_path: Path) -> None:
    for name in "ab":
        save(
            tmp_path / f"masks/val/{name}.png", np.tile(np.array([[9, 0, 0], [0, 9, 0]], np.uint8), (8, 6, 1))
        )
    (tmp_path / "palette.txt").write_text("9 0 0 Car\n0 9 0 Void\n")
    values = known(photos, palette=tmp_path / "palette.txt").known[0].read()
    assert values is not None
    assert set(values.ravel().tolist()) == {2, 255}
    with pytest.raises(LabelsError, match=r"hold 0 \(Car\)"):
        known(photos, labels=("sky", "road"), palette=tmp_path / "palette.txt")


@pytest.mark.parametrize("text", ["1 2", "300 1 1 a", "1 2 3 a\n1 2 3 b", "1 2 3 a\n4 5 6 a", ""])
def test_a_palette_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text(text)
    with pytest.raises(EdgeeffError):
        read_colours(tmp_path / "p.txt")


def test_a_segmenter_without_masks_says_that_classes_are_not_looked_at(photos: Path, tmp_path: Path) -> None:
    manifest = SimpleNamespace(task="segmentation", labels=LABELS, preprocess=PREPROCESS)
    _, found = truth.read(open_images(photos), None, manifest)  # type: ignore[arg-type]
    assert found is not None
    assert truth.as_bytes(found) != truth.as_bytes(found[::-1])
    (tmp_path / "masks").rename(tmp_path / "other")
    save(tmp_path / "classes/cat/a.png", np.zeros((8, 12, 3), np.uint8))
    images, none = truth.read(open_images(tmp_path / "classes"), None, manifest)  # type: ignore[arg-type]
    assert none is None
    assert "classes of the images are not looked at" in images.warnings[0]
    with pytest.raises(LabelsError, match="judged by masks"):
        truth.read(images, [1], manifest)  # type: ignore[arg-type]


def test_a_data_set_names_classes_of_masks_and_what_they_ignore(photos: Path, tmp_path: Path) -> None:
    yaml = tmp_path / "set.yaml"
    yaml.write_text("val: images/val\nnames: [sky, road, nothing, car]\nignore: [2, 255]\n")
    images = open_to_judge(yaml)
    assert images.masks.ignored == (2, 255)
    values = masks.placed(images, LABELS, PREPROCESS).known
    assert set(values[0].read().ravel().tolist()) == {0, 1, 255}  # type: ignore[union-attr]
    assert set(values[1].read().ravel().tolist()) == {0, 255}  # type: ignore[union-attr]
    for text, said in (("ignore: no", "ignore is False"), ("names: [a]\nignore: -1", "ignore is -1")):
        yaml.write_text(f"val: images/val\n{text}\n")
        with pytest.raises(LabelsError, match=said):
            open_to_judge(yaml)
    (tmp_path / "masks").rename(tmp_path / "other")
    yaml.write_text("val: images/val\n")
    with pytest.raises(LabelsError, match="a mask or a file of boxes"):
        open_to_judge(yaml)
