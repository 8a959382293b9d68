"""From photos with masks to a segmenter's checkpoint."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgeeff.calibration.selection import select
from edgeeff.errors import EdgeeffError, LabelsError
from edgeeff.images import open_images
from edgeeff.images.annotations import masks
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Silent
from edgeeff.training import loop
from edgeeff.training.finetune import finetune
from edgeeff.training.masks import opening
from edgeeff.training.masks.opening import source_of
from edgeeff.training.masks.views import Look, view
from edgeeff.training.photos.opening import for_build

SIZE = (32, 48)
QUIET = pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")


def write(folder: Path, count: int, part: str = "train", first: int = 0, ignored: int = 255) -> Path:
    """Grey photos with a red and a blue rectangle, and masks of them: 0 grey, 1 red, 2 blue."""
    for i in range(first, first + count):
        random = np.random.default_rng(i)
        mask = np.zeros((48, 64), np.uint8)
        for number in (1, 2):
            y, x = int(random.integers(0, 24)), int(random.integers(0, 8)) + 32 * (number - 1)
            mask[y : y + 22, x : x + 22] = number
        colours = np.array([[120, 120, 120], [230, 20, 20], [20, 20, 230]], np.uint8)[mask]
        mask[:2] = ignored
        for kind, values, suffix in (("images", colours, "jpg"), ("masks", mask, "png")):
            path = folder / kind / part / f"{i}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
    return folder


def train(photos: Path, trained: Path, output: Path, **options: object):
    from tests.training.conftest import TINY

    options = {"model": TINY, "size": SIZE, "epochs": 2, "batch": 8, "rate": 1e-2, **options}
    return finetune(photos, checkpoint=str(trained), output=output, progress=Silent(), **options)


def test_what_the_next_line_names_calibrates_a_build_photos_alone(tmp_path):
    write(write(tmp_path / "set", 8), 2, "val", 100)
    folder, described = tmp_path / "set", tmp_path / "set" / "set.yaml"
    described.write_text("train: images/train\nval: images/val\nnames: [ground, red, blue]\n")
    unjudged = tmp_path / "set" / "unjudged.yaml"
    unjudged.write_text("train: images/train\nholdout: images/val\nnames: [ground, red, blue]\n")
    for source, counts in ((folder, (8, 2)), (described, (8, 2)), (unjudged, (7, 1))):
        calibration, validation = for_build(source_of(source), None)
        chosen = select(calibration, validation)
        photos = (chosen.calibration.pictures, chosen.validation.pictures)
        assert tuple(map(len, photos)) == counts, source
        assert {path.path.suffix for part in photos for path in part} == {".jpg"}


def test_masks_are_no_class_of_photos(tmp_path, trained):
    write(tmp_path / "other", 4)
    for kind in ("images", "masks"):
        shutil.copytree(tmp_path / "other" / kind / "train", tmp_path / "set" / "train" / kind)
        shutil.copytree(tmp_path / "other" / kind / "train", tmp_path / "set" / "val" / kind)
    with pytest.raises(LabelsError, match="folders of photos and of masks") as raised:
        train(tmp_path / "set", trained, tmp_path / "best.pt")
    assert "--masks" in raised.value.mend


@QUIET
def test_a_folder_of_images_and_masks_is_learnt(tmp_path, trained):
    write(write(tmp_path / "set", 8), 2, "val", 100)
    (tmp_path / "names.txt").write_text("ground\nred\nblue\n")
    found = train(
        tmp_path / "set", trained, tmp_path / "best.pt", mask_labels=tmp_path / "names.txt", epochs=4
    )
    assert (found.task, found.classes) == ("segmentation", ("ground", "red", "blue"))
    values = [entry["miou"] for entry in found.history["all"]]
    assert found.scores["miou"] == max(values) > values[0]
    assert found.scores["pixels"]["ignored"] == 2 * 2 * 64
    assert [one["label"] for one in found.scores["per_class"]] == ["ground", "red", "blue"]
    content = torch.load(tmp_path / "best.pt", weights_only=True)
    assert content["classes"] == ["ground", "red", "blue"]
    assert content["arch"].endswith("-lraspp")
    assert content["edgeeff"]["preprocess"]["squash"] and content["edgeeff"]["preprocess"]["crop"] == 1
    assert {name.partition(".")[0] for name in content["state_dict"]} == {"backbone", "decoder"}


@pytest.mark.slow
@QUIET
def test_an_interrupted_training_ends_at_the_same_bits(tmp_path, trained, monkeypatch):
    write(write(tmp_path / "set", 8), 2, "val", 100)
    train(tmp_path / "set", trained, tmp_path / "whole.pt")
    monkeypatch.setenv("EDGEEFF_CACHE_DIR", str(tmp_path / "other"))
    step = loop._Run._step

    def stopping(run, batch, epoch, taken):
        if taken == 1 and not (tmp_path / "stopped").exists():
            (tmp_path / "stopped").touch()
            raise KeyboardInterrupt
        return step(run, batch, epoch, taken)

    monkeypatch.setattr(loop._Run, "_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "set", trained, tmp_path / "parted.pt")
    train(tmp_path / "set", trained, tmp_path / "parted.pt")
    assert (tmp_path / "parted.pt").read_bytes() == (tmp_path / "whole.pt").read_bytes()


def test_photos_without_others_to_judge_by_and_rare_classes_are_warned_of(tmp_path, trained):
    write(tmp_path, 6)
    (tmp_path / "names.txt").write_text("ground\nred\nblue\ngreen\nvoid\n")
    rare = np.asarray(Image.open(tmp_path / "masks/train/0.png")).copy()
    rare[rare == 2] = 0
    rare[-1, -1] = 4
    Image.fromarray(rare).save(tmp_path / "masks/train/0.png")
    (tmp_path / "masks/train/1.png").unlink()
    (tmp_path / "images/train/2.jpg").write_bytes(b"no photo")
    found = train(
        tmp_path / "images/train", trained, tmp_path / "o.pt", mask_labels=tmp_path / "names.txt", epochs=1
    )
    said = "\n".join(found.warnings)
    assert found.classes == ("ground", "red", "blue", "green")
    for text in (
        "no photos to judge by were passed",
        "1 of 4 classes have no pixel to learn from (green)",
        "1 of 6 photos have no mask",
        "cannot be read, and are left out",
    ):
        assert text in said, said


def test_masks_that_contradict_are_refused(tmp_path, trained):
    write(write(tmp_path / "set", 4), 2, "val", 100)
    Image.new("L", (64, 48), 7).save(tmp_path / "set/masks/val/100.png")
    with pytest.raises(LabelsError, match=r"(?s)masks hold 7 .*100\.png.*--ignore 7,255"):
        train(tmp_path / "set", trained, tmp_path / "o.pt")
    Image.new("L", (40, 48), 1).save(tmp_path / "set/masks/val/100.png")
    with pytest.raises(LabelsError, match="40×48 pixels, and its photo"):
        train(tmp_path / "set", trained, tmp_path / "o.pt")
    for i in range(4):
        Image.new("L", (64, 48), 255).save(tmp_path / f"set/masks/train/{i}.png")
    with pytest.raises(LabelsError, match="all pixels of the 4 masks are ignored"):
        train(tmp_path / "set", trained, tmp_path / "o.pt")
    with pytest.raises(EdgeeffError, match="no decoder 'fcn'"):
        train(
            write(tmp_path / "b", 8),
            trained,
            tmp_path / "o.pt",
            decoder="fcn",
            validation=tmp_path / "b/images/train",
        )


def test_a_photo_and_its_mask_are_seen_through_the_same_window():
    """A photo whose brightness is the class of each of its pixels stays so in each view."""
    random = np.random.default_rng(3)
    mask = np.repeat(np.repeat(random.integers(0, 2, (6, 8), np.uint8), 8, 0), 8, 1)
    photo = Image.fromarray(mask * 255).convert("RGB")
    squashed = Preprocess(SIZE, (0.0,) * 3, (1.0,) * 3, crop=1.0, squash=True, interpolation="bilinear")
    boxed = Preprocess(SIZE, (0.0,) * 3, (1.0,) * 3, crop=1.0, letterbox=(0.0,) * 3)
    for preprocess in (squashed, boxed):
        for number in range(6):
            look = Look.drawn(np.random.default_rng(number), mirror=True)
            pixels, classes = view(photo, mask, preprocess, Look(look.part, look.mirrored), 255)
            light = pixels[..., 0].astype(int)
            known = classes != 255
            sure = known & ((light < 60) | (light > 195))
            assert sure.mean() > 0.4
            assert ((light > 127) == (classes == 1))[sure].mean() > 0.97
    assert (view(photo, mask, boxed, Look(), 255)[1] == 255).any()
    changed, _ = view(photo.convert("RGB"), mask, squashed, Look(seed=1), 255)
    assert (changed != view(photo, mask, squashed, Look(), 255)[0]).any()


def test_0_and_255_alone_are_two_classes_and_one_number_is_none(tmp_path):
    for values, number in (((0, 255), 2), ((0,), 1)):
        folder = tmp_path / str(number)
        for i, value in enumerate(values):
            for kind, suffix in (("images", "jpg"), ("masks", "png")):
                (folder / kind).mkdir(parents=True, exist_ok=True)
                Image.new("L", (4, 4), value).save(folder / kind / f"{i}.{suffix}")
        photos = masks.given(open_images(folder / "images"))
        if number == 2:
            assert opening.classes(photos).shares == (0.5, 0.5)
            continue
        with pytest.raises(LabelsError, match="one class alone"):
            opening.classes(photos)
