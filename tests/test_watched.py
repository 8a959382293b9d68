"""A file that changes during a build is refused, or the bundle is right; nothing false stays in a cache."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from PIL import Image

import edgeeff
from edgeeff.cache import Cache
from edgeeff.errors import ChangedFileError
from edgeeff.graph.export import base_graph
from edgeeff.graph.model import to_bytes
from edgeeff.images import arrays, open_images
from edgeeff.progress import Silent
from edgeeff.watched import Watched
from edgeeff.zoo import catalog

CLASSES = 3
#: Seven blocks of a few channels.
TINY = "lite:width=0.25,depth=0.2,size=32"


class Replacing(Silent):
    """A listener that replaces a file when a stage begins, once."""

    def __init__(self, stage: str, file: Path, by: Path) -> None:
        self.stage_, self.file, self.by, self.done = stage, file, by, False

    def stage(self, text, total=None, unit="images") -> None:
        if not self.done and text.startswith(self.stage_):
            replace(self.file, self.by)
            self.done = True


def replace(file: Path, by: Path) -> None:
    """Another file of the same name, as a training run does it; with the old one's time of writing."""
    status = file.stat()
    shutil.copy(by, staged := file.with_name("staged"))
    os.utime(staged, ns=(status.st_atime_ns, status.st_mtime_ns))
    staged.replace(file)


@dataclass(frozen=True)
class Given:
    """What is built from, and two networks' files."""

    folder: Path
    files: dict[str, Path]

    def build(self, output: Path, cache: Path, checkpoint: Path, progress=None, **changed):
        options = {
            "model": TINY if checkpoint.name == "best.pt" else "lite0",
            "targets": ["cpu-int8"],
            "checkpoint": checkpoint,
            "calibration": self.folder / "photos",
            "validation": self.folder / "held-out",
            "labels": self.folder / "labels.txt",
            "size": 32,
            "golden": 1,
            "effort": "fast",
            "force_calibration": True,
            **changed,
        }
        return edgeeff.build(output=output, cache=Cache(cache), progress=progress or Silent(), **options)


@pytest.fixture(scope="module")
def made(make_module, tmp_path_factory):
    """Files of two networks in each format."""
    folder = tmp_path_factory.mktemp("made")
    for name, seed in (("a", 0), ("b", 1)):
        tiny = make_module(catalog.get(TINY), classes=CLASSES, size=32, seed=seed)
        torch.save(tiny.state_dict(), folder / f"{name}.pt")
        network = make_module("lite0", classes=CLASSES, size=32, seed=seed)
        state = {key: value.contiguous() for key, value in network.state_dict().items()}
        safetensors.torch.save_file(state, folder / f"{name}.safetensors")
        onnx.save_model(
            onnx.load_model_from_string(to_bytes(base_graph(network, (32, 32)))),
            folder / f"{name}.onnx",
            save_as_external_data=True,
            location="weights.bin",
            size_threshold=0,
        )
        (folder / "weights.bin").rename(folder / f"{name}.weights.bin")
    return folder


@pytest.fixture
def given(made, make_images, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "held-out").mkdir()
    for i, image in enumerate(make_images(10, 40, 5)):
        Image.fromarray(image).save(tmp_path / ("photos" if i < 8 else "held-out") / f"{i}.png")
    Image.fromarray(make_images(1, 40, 9)[0]).save(tmp_path / "other.png")
    (tmp_path / "labels.txt").write_text("nut\nbolt\nwasher\n")
    files = {name: tmp_path / name for name in ("best.pt", "best.safetensors", "net.onnx", "weights.bin")}
    for kind, source in (
        ("best.pt", "a.pt"),
        ("best.safetensors", "a.safetensors"),
        ("net.onnx", "a.onnx"),
        ("weights.bin", "a.weights.bin"),
    ):
        shutil.copy(made / source, files[kind])
    files |= {"b": made}
    return Given(tmp_path, files)


def content(folder: Path) -> dict[str, bytes]:
    """The files below a folder; a report without its record, which says when it was written."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for name in [name for name in found if name.endswith("verification.json")]:
        found[name] = json.dumps({**json.loads(found[name]), "record": None}).encode()
    return found


CASES = {
    "a checkpoint, before its graph": ("exporting", "best.pt", "b.pt", "best.pt"),
}
SLOW = {
    "a photo that calibrates": ("calibrating", "photos/3.png", "other.png", "best.pt"),
    "safetensors, before their graph": ("exporting", "best.safetensors", "b.safetensors", "best.safetensors"),
    "weights beside an ONNX file": ("exporting", "weights.bin", "b.weights.bin", "net.onnx"),
    "a photo before it is looked at": ("looking", "photos/0.png", "other.png", "best.pt"),
    "a photo that is judged by": ("judging", "held-out/8.png", "other.png", "best.pt"),
    "a checkpoint while photos calibrate": ("calibrating", "best.pt", "b.pt", "best.pt"),
}


@pytest.mark.parametrize("case", [*CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)])
def test_a_file_that_is_replaced_is_refused_and_nothing_is_kept(given, tmp_path, case):
    stage, file, by, checkpoint = {**CASES, **SLOW}[case]
    targets = ["cpu-fp32"] if stage == "exporting" else ["cpu-int8"]
    other = given.files["b"] / by
    replacing = Replacing(stage, given.folder / file, other if other.exists() else given.folder / by)
    original = content(given.folder)
    with pytest.raises(ChangedFileError, match=Path(file).name) as refused:
        given.build(
            tmp_path / "out", tmp_path / "cache", given.folder / checkpoint, replacing, targets=targets
        )
    assert replacing.done and "changed while it was read" in refused.value.what
    assert not any((tmp_path / "out").glob("*/manifest.json"))
    for name, data in original.items():
        (given.folder / name).write_bytes(data)
    given.build(tmp_path / "out", tmp_path / "cache", given.folder / checkpoint, targets=targets)
    given.build(tmp_path / "clean", tmp_path / "clean-cache", given.folder / checkpoint, targets=targets)
    assert content(tmp_path / "out") == content(tmp_path / "clean")


def test_nothing_of_a_replaced_photo_is_kept(given, tmp_path):
    replacing = Replacing("calibrating", given.folder / "photos" / "3.png", given.folder / "other.png")
    with pytest.raises(ChangedFileError, match=r"3\.png"):
        given.build(tmp_path / "out", tmp_path / "cache", given.folder / "best.pt", replacing)
    assert {stage for stage, *_ in Cache(tmp_path / "cache").entries()} == {"identity", "graph"}


@pytest.mark.slow
@pytest.mark.parametrize("file", ["labels.txt", "photos"])
def test_what_is_read_once_may_change(given, tmp_path, file):
    """Labels and the list of photos are taken as they were when the build began."""

    class Changing(Silent):
        def stage(self, text, total=None, unit="images") -> None:
            if text.startswith("calibrating"):
                if file == "photos":
                    shutil.copy(given.folder / "other.png", given.folder / "photos" / "new.png")
                else:
                    (given.folder / "labels.txt").write_text("one\ntwo\nthree\n")

    checkpoint = given.folder / "best.pt"
    given.build(tmp_path / "clean", tmp_path / "clean-cache", checkpoint)
    given.build(tmp_path / "out", tmp_path / "cache", checkpoint, Changing())
    assert content(tmp_path / "out") == content(tmp_path / "clean")


def test_a_file_that_is_damaged_meanwhile_is_said_to_have_changed(given, tmp_path):
    """Not that it is truncated, which it is no longer when somebody looks."""

    class Cutting(Silent):
        def stage(self, text, total=None, unit="images") -> None:
            if text.startswith("exporting"):
                (given.folder / "best.pt").write_bytes((given.folder / "best.pt").read_bytes()[:5000])

    with pytest.raises(ChangedFileError, match=r"best\.pt changed while"):
        given.build(tmp_path / "out", tmp_path / "cache", given.folder / "best.pt", Cutting())


def test_a_shard_more_in_the_folder_is_noticed(given, made, tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    shutil.copy(made / "a.safetensors", folder / "model.safetensors")
    adding = Replacing("exporting", folder / "config.json", made / "a.pt")
    adding.file.write_text('{"architecture": "tf_efficientnet_lite0"}')
    with pytest.raises(ChangedFileError):
        given.build(tmp_path / "out", tmp_path / "cache", folder, adding)

    class Adding(Silent):
        def stage(self, text, total=None, unit="images") -> None:
            if text.startswith("exporting"):
                (folder / "extra.json").write_text("{}")

    adding.file.write_text('{"architecture": "tf_efficientnet_lite0"}')
    with pytest.raises(ChangedFileError, match="repository"):
        given.build(tmp_path / "out", tmp_path / "cache", folder, Adding())


@pytest.mark.slow
def test_the_config_beside_weights_is_part_of_what_is_built(given, made, tmp_path):
    """It says labels and preprocessing: another one is another network."""
    shutil.copy(made / "a.safetensors", weights := tmp_path / "model.safetensors")
    found = []
    for names in (["nut", "bolt", "washer"], ["one", "two", "three"]):
        config = {"architecture": "tf_efficientnet_lite0", "label_names": names}
        (tmp_path / "config.json").write_text(str(config).replace("'", '"'))
        (built,) = given.build(
            tmp_path / "out", tmp_path / "cache", weights, labels=None, targets=["cpu-fp32"]
        )
        found.append(list(built.bundle.manifest.labels))
    assert found == [["nut", "bolt", "washer"], ["one", "two", "three"]]


def test_a_replaced_photo_of_the_same_size_and_time_has_another_digest(tmp_path):
    for name, level in (("one", 10), ("two", 200)):
        Image.new("RGB", (8, 8), (level,) * 3).save(tmp_path / f"{name}.bmp")
    images = open_images(tmp_path / "one.bmp")
    before = images.digest()
    replace(tmp_path / "one.bmp", tmp_path / "two.bmp")
    assert images.digest() != before


def test_an_npz_replaced_during_its_reading_is_refused(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 8, 8, 3), np.uint8), labels=np.array([0, 1]))
    np.savez(tmp_path / "b.npz", images=np.ones((2, 8, 8, 3), np.uint8), labels=np.array([1, 0]))
    labels = arrays._labels

    def late(path, rows):
        replace(tmp_path / "a.npz", tmp_path / "b.npz")
        return labels(path, rows)

    monkeypatch.setattr(arrays, "_labels", late)
    with pytest.raises(ChangedFileError, match=r"a\.npz"):
        open_images(tmp_path / "a.npz")


def test_a_cache_keeps_nothing_of_a_file_that_changed(tmp_path):
    (tmp_path / "file").write_text("one")
    watched = Watched()
    watched.add([tmp_path / "file", tmp_path / "absent"])
    cache = Cache(tmp_path / "cache", watched=watched)
    cache.put("stage", "first", {"x": b"1"})
    (tmp_path / "file").unlink()
    with pytest.raises(ChangedFileError, match="file changed"):
        cache.put("stage", "second", {"x": b"2"})
    assert Cache(tmp_path / "cache").get("stage", "first") and not cache.get("stage", "second")
