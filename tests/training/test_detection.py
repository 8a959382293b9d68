"""From photos with boxes to a detector's checkpoint that a build takes as it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgeeff.cache import Cache
from edgeeff.errors import CheckpointError, LabelsError, OutOfMemoryError
from edgeeff.images import open_images
from edgeeff.images.annotations.classes import classed
from edgeeff.progress import Recorder, Silent
from edgeeff.training import loop
from edgeeff.training.boxes import sets
from edgeeff.training.boxes.reading import Reader
from edgeeff.training.boxes.remembering import remember
from edgeeff.training.checkpoint import Trained
from edgeeff.training.finetune import finetune
from edgeeff.zoo import catalog, checkpoints
from edgeeff.zoo.detection import efficientdet
from edgeeff.zoo.detection.conventions import ZYLO117
from edgeeff.zoo.sources import Identity

SIZE = (128, 128)
SPEC = catalog.detector("efficientdet-lite0")
#: Other than those of the network's authors: what a checkpoint must not lose.
GEOMETRY = replace(SPEC.geometry(SIZE), ratios=((1.0, 1.0), (1.5, 0.75), (0.75, 1.5)), scale=2.5)
PREPROCESS = replace(SPEC.preprocess(SIZE), letterbox=(0.0, 0.0, 0.0), exif=True)


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Path:
    """An untrained detector of two classes, padded and anchored as no author does."""
    path = tmp_path_factory.mktemp("detector") / "before.pt"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = efficientdet.build(SPEC, 2, SIZE)
    tensors = {k: v for k, v in network.state_dict().items() if "num_batches" not in k}
    identity = Identity("tensors", "", SPEC.name, "", PREPROCESS, 2, None, ZYLO117, geometry=GEOMETRY)
    trained = Trained("detection", identity, SPEC.name, PREPROCESS, ("cat", "red"), tensors, {})
    path.write_bytes(trained.content())
    return path


def write(folder: Path, count: int, classes=("red", "green"), first: int = 0, **changes) -> Path:
    """COCO's JSON of grey photos with a rectangle of each class's colour; every third has none."""
    folder.mkdir(parents=True, exist_ok=True)
    random, images, boxes = np.random.default_rng(first), [], []
    for i in range(count):
        photo = Image.new("RGB", (160, 120), (90, 90, 90))
        images.append({"id": i, "file_name": f"{first + i}.png", "width": 160, "height": 120})
        for number, name in enumerate(classes if i % 3 != 2 else ()):
            x, y = int(random.integers(0, 60)) + 70 * number, int(random.integers(0, 70))
            photo.paste(name if name in ("red", "green") else "blue", (x, y, x + 30, y + 40))
            box = {"id": len(boxes), "image_id": i, "category_id": number, "bbox": [x, y, 30, 40]}
            boxes.append({**box, "iscrowd": 0, "area": 1200})
        photo.save(folder / f"{first + i}.png")
    categories = [{"id": i, "name": name} for i, name in enumerate((*classes, "anything"))]
    content = {"images": images, "annotations": boxes, "categories": categories, **changes}
    path = folder / f"boxes_{first}.json"
    path.write_text(json.dumps(content))
    return path


def train(photos: Path, detector: Path, output: Path, **options):
    options = {"epochs": 1, "batch": 4, "progress": Silent(), **options}
    return finetune(photos, checkpoint=str(detector), output=output, **options)


@pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")
def test_heads_are_learnt_and_the_checkpoint_says_all(tmp_path, detector):
    photos, judging = write(tmp_path / "a", 3), write(tmp_path / "a", 3, first=50)
    found = train(photos, detector, tmp_path / "best.pt", validation=judging)
    assert found.task == "detection" and found.classes == ("red", "green")
    assert found.scores["images"] == 3 and found.scores["boxes"] == 4
    assert any("1 of 3 classes have no box" in text and "anything" in text for text in found.warnings)
    assert [entry["epoch"] for entry in found.history["heads"]] == [1]
    before, after = checkpoints.read(detector), checkpoints.read(tmp_path / "best.pt")
    assert after.labels == ("red", "green") and after.spec == before.spec
    for name in ("conventions", "geometry", "preprocess"):
        assert getattr(after.origin, name) == getattr(before.origin, name)
    assert after.origin.geometry == GEOMETRY and after.origin.conventions == ZYLO117
    assert after.origin.preprocess == PREPROCESS
    assert not after.origin.warnings
    # All but the heads computes what it did; their convolutions have learnt.
    same = {
        name: torch.equal(tensor, before.tensors[name])
        for name, tensor in after.tensors.items()
        if tensor.dim() > 1 and tensor.shape == before.tensors[name].shape
    }
    assert all(same[n] for n in same if n.startswith(("backbone", "pyramid")))
    assert not any(same[n] for n in same if "_head.convs" in n)


@pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")
def test_batch_normalisation_remembers_these_photos_and_computes_what_it_did(tmp_path, detector):
    images = open_images(write(tmp_path / "a", 3))
    photos, _ = sets.placed(
        images.pictures, classed(images, ("red", "green")).truths, ("red", "green"), PREPROCESS
    )
    network = checkpoints.read(detector).network(SIZE)
    reader = Reader(photos, PREPROCESS, GEOMETRY)
    (batch,) = reader.read([[0, 1, 2]], 0)
    x = torch.from_numpy(PREPROCESS.normalise(batch.pixels))
    norm, given = network.pyramid.cells[1]["p4_td"].norm, []
    with torch.no_grad():
        before = network(x)
        remember(network, reader, Recorder.of(Silent()))
        norm.register_forward_hook(lambda _norm, _inputs, output: given.append(output))
        after = network(x)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    # Its shift is the mean of what it gives, as after training on them.
    torch.testing.assert_close(given[0].mean((0, 2, 3)), norm.bias.detach(), rtol=1e-3, atol=1e-4)


class _Killed(BaseException):
    pass


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")
def test_a_training_that_is_killed_ends_at_the_same_bytes(tmp_path, detector, monkeypatch):
    photos, judging = write(tmp_path / "a", 10), write(tmp_path / "a", 3, first=50)
    options = {"validation": judging, "epochs": 2, "seed": 3}
    train(photos, detector, tmp_path / "whole.pt", **options, cache=Cache(tmp_path / "other"))
    monkeypatch.setattr(loop, "KEPT_EVERY", 0.0)
    step = loop._Run._step
    for stop in (1, 2, 4, 5):  # the state is kept after each step: 3 of an epoch

        def killed(self, batch, epoch, taken, *rest, stop=stop, **more):
            if taken == stop:
                raise _Killed
            return step(self, batch, epoch, taken, *rest, **more)

        monkeypatch.setattr(loop._Run, "_step", killed)
        with pytest.raises(_Killed):
            train(photos, detector, tmp_path / "parts.pt", **options)
    monkeypatch.setattr(loop._Run, "_step", step)
    train(photos, detector, tmp_path / "parts.pt", **options)
    assert (tmp_path / "parts.pt").read_bytes() == (tmp_path / "whole.pt").read_bytes()


@pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")
def test_photos_without_a_box_are_refused(tmp_path, detector):
    with pytest.raises(LabelsError, match="no photo has a box"):
        train(write(tmp_path / "a", 3, annotations=[]), detector, tmp_path / "best.pt")
    photos = write(tmp_path / "b", 3)
    photos.write_text(photos.read_text().replace('"iscrowd": 0', '"iscrowd": 1'))
    with pytest.raises(LabelsError, match="no photo has a box that is no crowd"):
        train(photos, detector, tmp_path / "best.pt")
    assert not (tmp_path / "best.pt").exists()


@pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")
def test_what_may_be_wrong_with_boxes_and_photos_is_warned_of(tmp_path, detector):
    photos, judging = write(tmp_path / "a", 3), write(tmp_path / "b", 3, ("red", "cow"), first=50)
    content = json.loads(photos.read_text())
    content["annotations"][0]["bbox"] = [-20, 10, 50, 40]
    content["annotations"][1] |= {"bbox": [0, 0, 160, 120], "iscrowd": 1}
    photos.write_text(json.dumps(content))
    (tmp_path / "a/2.png").write_bytes((tmp_path / "a/2.png").read_bytes()[:200])
    found = train(photos, detector, tmp_path / "best.pt", validation=judging, rate=9.0, warmup=0.0)
    assert found.classes == ("red", "green")
    for words in (
        "2 of 4 boxes are of classes that the network does not know",  # the cows
        "no photo to judge by has a box of 1 of 2 classes (green)",
        "too few to learn much from: red 2, green 1",  # one of green's is a crowd
        "1 boxes reach beyond their photo",
        "2.png cannot be decoded",
        "finds hardly a box of the photos that judge",
    ):
        assert any(words in text for text in found.warnings), (words, found.warnings)


@pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")
def test_what_judges_must_have_a_class_that_is_learnt(tmp_path, detector):
    photos = write(tmp_path / "a", 3)
    with pytest.raises(LabelsError, match="no class of the boxes is one"):
        train(photos, detector, tmp_path / "best.pt", validation=write(tmp_path / "b", 3, ("cow", "emu")))


@pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")
def test_networks_and_photos_of_another_task_are_refused(tmp_path, detector, photos, trained):
    boxes = write(tmp_path / "a", 3)
    with pytest.raises(CheckpointError, match="is a classifier"):
        train(boxes, trained, tmp_path / "best.pt", model="lite:width=0.25,depth=0.2,size=64")
    with pytest.raises(CheckpointError, match="is a detector"):
        train(photos, detector, tmp_path / "best.pt")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")
@pytest.mark.parametrize(("blocks", "frozen"), [(2, True), ("all", False)])
def test_pyramid_and_blocks_learn_where_they_are_asked_for(tmp_path, detector, blocks, frozen):
    photos = write(tmp_path / "a", 6)
    found = train(photos, detector, tmp_path / "best.pt", validation=photos, blocks=blocks, block_rate=1e-3)
    assert [*found.history] == ["heads", "blocks"]
    assert len(found.history["heads"]) == 15 and len(found.history["blocks"]) == 1
    before, after = checkpoints.read(detector).tensors, checkpoints.read(tmp_path / "best.pt").tensors
    assert torch.equal(after["backbone.stem.conv.weight"], before["backbone.stem.conv.weight"]) == frozen
    last = max(int(n.split(".")[2]) for n in before if n.startswith("backbone.blocks."))
    for name in (f"backbone.blocks.{last}.expand.conv.weight", "pyramid.cells.0.p6_td.pointwise.weight"):
        assert not torch.equal(after[name], before[name])


@pytest.mark.filterwarnings("ignore::edgeeff.errors.EdgeeffWarning")
def test_a_batch_that_does_not_fit_is_refused_with_one_that_does(tmp_path, detector, monkeypatch):
    photos = write(tmp_path / "a", 6)
    monkeypatch.setattr("edgeeff.memory.available", lambda: 20 << 20)
    with pytest.raises(OutOfMemoryError) as refused:
        train(photos, detector, tmp_path / "best.pt", validation=photos, batch=6)
    assert refused.value.mend.startswith("--batch ")
