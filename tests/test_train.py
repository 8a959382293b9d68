"""Training of the quantised network by a build: which images, what stops it, what a bundle says of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

import edgeeff
from edgeeff.cli import tables
from edgeeff.errors import CalibrationError, EdgeeffError, EdgeeffWarning, OptionError
from edgeeff.pipeline import held_out, train_images
from edgeeff.pipeline.options import TrainOptions
from edgeeff.pipeline.resolve.training import refuse_training
from edgeeff.progress import Silent
from edgeeff.quantization.learning import training
from edgeeff.zoo import catalog

#: Seven blocks of a few channels.
TINY = "lite:width=0.25,depth=0.2,size=64"


def write(folder, count, seed, bits=8):
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        small = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8))
        image = small.resize((64, 64), Image.Resampling.BICUBIC)
        if bits == 16:
            image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 16)
        image.save(folder / f"{number}.png")


@pytest.fixture(scope="module")
def made(make_module, tmp_path_factory):
    """A tiny network, and photos to calibrate with, to judge by and to train on."""
    root = tmp_path_factory.mktemp("train")
    sets = {"calibration": 12, "validation": 6, "train/cat": 14, "train/dog": 14}
    for number, (name, count) in enumerate(sets.items()):
        write(root / name, count, number)
    torch.manual_seed(0)
    network = make_module(catalog.get(TINY), classes=3)
    torch.save({"state_dict": network.state_dict(), "classes": ["cat", "dog", "cow"]}, root / "net.pt")
    return root


@pytest.fixture
def options(made, tmp_path, monkeypatch):
    """Of a build that trains for a few steps."""
    monkeypatch.setenv("EDGEEFF_CACHE_DIR", str(tmp_path / "cache"))
    return {
        "model": TINY,
        "checkpoint": made / "net.pt",
        "targets": ["mobile-int8"],
        "calibration": made / "calibration",
        "validation": made / "validation",
        "train": made / "train",
        "train_steps": 3,
        "train_device": "cpu",
        "output": tmp_path / "dist",
        "effort": "fast",
        "golden": 1,
    }


def built(options, **changed):
    """The bundle, and what was warned of."""
    with pytest.warns() as heard:
        (one,) = edgeeff.build(**{**options, **changed})
    return one, " | ".join(str(w.message) for w in heard if w.category is EdgeeffWarning)


def test_a_bundle_says_how_it_was_trained(options):
    one, _ = built(options, train_loss="kl:3", train_labels=0.01)
    (note,) = [
        s for s in json.loads((one.bundle.folder / "plan.json").read_text())["steps"] if "trained" in s
    ]
    assert note.startswith("trained in 3 steps of 8 by kl at 3 and 0.01 of labels, from 28 images (")
    cost = one.bundle.verification()[0]["training"]
    assert (cost["steps"], cost["images_seen"], cost["images_aside"]) == (3, 24, 2)
    assert cost["after_db"] >= cost["before_db"] and not cost["failed"]
    assert one.training == cost and tables.built_json(one)["training"] == cost
    assert "again" not in cost and "left_out" not in cost


def test_training_that_brings_nothing_is_warned_of(options, monkeypatch):
    monkeypatch.setattr("edgeeff.pipeline.training.RATES", (100.0, 5.0, 100.0))
    one, heard = built(options, train_steps=1)
    assert "training brought nothing: none of 1 steps" in heard and one.training["best_step"] == 0


def test_images_that_judge_are_left_out(options, made, tmp_path):
    both = tmp_path / "both"
    both.mkdir()
    for folder, count in (("validation", 4), ("train/cat", 14)):
        for number in range(count):
            (both / f"{folder[:3]}{number}.png").write_bytes((made / folder / f"{number}.png").read_bytes())
    one, heard = built(options, train=both, train_labels=0.01)
    assert "4 of 18 images to train on judge as well: they are left out" in heard
    assert "--train-labels is without effect" in heard and "none of the images has a class" in heard
    assert "from 14 images" in (one.bundle.folder / "plan.json").read_text()


def test_python_and_json_say_how_to_train_so_again(options, made):
    """And what of the recipe was left out for it, also of a bundle that stands."""
    torch.manual_seed(1)
    network = torch.nn.Sequential(
        *(torch.nn.Conv2d(3, 4, 3, 4), torch.nn.SiLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
        torch.nn.Linear(4, 3),
    )
    said = {"model": None, "checkpoint": network.eval(), "size": 64, "effort": "max", "train_steps": None}
    said |= {"mean": (127,) * 3, "std": (127,) * 3}
    one, _ = built(options, **said, minutes=0.002)
    assert one.training["again"] == f"--train-steps {one.training['steps']}"
    assert one.training["left_out"] == ["learn"]
    stood, _ = built(options, **said, minutes=0.002)
    assert stood.unchanged and stood.training == one.training


def test_what_is_kept_aside_is_no_image_that_judges(options, made, tmp_path):
    """Nor is a broken one dropped without a word, the second time neither, when the training is kept."""
    again = tmp_path / "again"
    again.mkdir()
    for number in range(20):
        Image.open(made / "validation/0.png").save(again / f"{number:02}.png", compress_level=number % 10)
    names = sorted(again.iterdir())
    aside = np.random.default_rng(0).permutation(20)[:2].tolist()
    for number, name in enumerate(names):
        pixels = np.asarray(Image.open(name)).copy()
        if number != aside[0]:
            pixels[0, 0] = number
        Image.fromarray(pixels).save(name.with_suffix(".bmp"))
        name.unlink()
    for folder in ("first", "second"):
        one, heard = built(options, train=again, output=tmp_path / folder)
        assert f"{aside[0]:02}.bmp shows what an image that judges shows" in heard
        assert one.training["images_aside"] == 1


class Listening(Silent):
    def __init__(self):
        self.lines = []

    def tell(self, text):
        self.lines.append(text)


def test_images_that_are_not_looked_for_by_pixels_are_told(options, made, monkeypatch):
    assert train_images._LOOKED_FOR == 2 * held_out.LABELLED  # all that halves() may take
    for most, told in ((2, True), (6, False)):
        monkeypatch.setattr(train_images, "_LOOKED_FOR", most)
        listening = Listening()
        edgeeff.build(**options, progress=listening)
        said = "train    of 6 validation images the first 2, more than a build judges by, are looked for by "
        assert any(line.startswith(said) for line in listening.lines) == told


@pytest.mark.slow
def test_the_same_pixels_in_another_file_are_left_out(options, made, tmp_path):
    again = tmp_path / "again"
    again.mkdir()
    for number in range(14):
        (again / f"{number}.png").write_bytes((made / "train/cat" / f"{number}.png").read_bytes())
    Image.open(made / "validation/0.png").save(again / "copy.bmp")
    _, heard = built(options, train=again)
    assert "copy.bmp shows what an image that judges shows" in heard


@pytest.mark.slow
def test_classes_that_fit_none_are_no_classes(options, made, tmp_path):
    other = tmp_path / "other"
    for name in ("stamp", "coin"):
        write(other / name, 6, len(name))
    _, heard = built(options, train=other, train_labels=0.5)
    assert "--train-labels is without effect, the images are taken as unlabelled: " in heard


def test_no_number_ends_training_with_the_last_good_state(options, monkeypatch):
    taken = []

    def step(*args, step=training.descent.step, **keywords):
        taken.append(1)
        return float("nan") if len(taken) == 2 else step(*args, **keywords)

    monkeypatch.setattr(training.descent, "step", step)
    one, heard = built(options)
    assert "training ended early: the loss became nan at step 2, at 10% of the rates" in heard
    assert one.bundle.verification()[0]["training"]["steps"] == 1


def test_a_segmenter_has_no_class_for_each_image():
    options = TrainOptions(10, None, "kl", 2.0, 0.0, "cpu")
    with pytest.raises(OptionError, match="kl is of a class for each image") as caught:
        refuse_training(options, exclusive=True, classifies=False, quantises=True)
    assert "mse" in caught.value.mend


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"train": None}, "--train-steps without images to train on"),
        ({"minutes": 1}, "--minutes and --train-steps"),
        ({"minutes": 0.0, "train_steps": None}, "--minutes 0"),
        ({"train_loss": "cosine"}, "--train-loss 'cosine'"),
        ({"train_labels": -1}, "--train-labels -1"),
        ({"train_device": "tpu"}, "--train-device 'tpu'"),
        ({"targets": ["mobile-fp32"]}, "float targets alone"),
        ({"task": "multilabel", "train_loss": "kl"}, "kl is of classes that exclude"),
        ({"train": "validation"}, "all 6 images to train on judge as well"),
        ({"train": "empty"}, "empty"),
        ({"train": "deep"}, "another depth"),
    ],
)
def test_what_makes_no_sense_is_refused(changed, says, options, made, tmp_path):
    if changed.get("train") == "validation":
        changed = {"train": made / "validation"}
    elif changed.get("train") == "empty":
        (tmp_path / "empty").mkdir()
        changed = {"train": tmp_path / "empty"}
    elif changed.get("train") == "deep":
        write(tmp_path / "deep", 12, 9, bits=16)
        changed = {"train": tmp_path / "deep"}
    with pytest.raises(EdgeeffError, match=says) as refused:
        edgeeff.build(**{**options, **changed})
    assert isinstance(refused.value, OptionError | CalibrationError) or "empty" in says
    assert not (tmp_path / "dist").exists()


SCRIPT = """
import sys, json, edgeeff
(one,) = edgeeff.build(**json.loads(sys.argv[1]))
"""


def start(options):
    """A build in a process of its own."""
    plain = {name: v if isinstance(v, int | list | str) else str(v) for name, v in options.items()}
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, json.dumps(plain)]
    return subprocess.Popen(command, env=dict(os.environ))


def kept(cache):
    """When the state of an unfinished training was kept last; 0 before that."""
    return max((path.stat().st_mtime_ns for path in cache.glob("training/*-unfinished.zip")), default=0)


@pytest.mark.slow
def test_twenty_kills_change_nothing(options, tmp_path, monkeypatch):
    """At any moment: whatever is kept is whole, and the bits are those of a run that nobody killed."""
    long = {**options, "train_steps": 600}
    assert start({**long, "output": tmp_path / "whole"}).wait() == 0
    cache = tmp_path / "killed"
    monkeypatch.setenv("EDGEEFF_CACHE_DIR", str(cache))
    often = {**long, "output": tmp_path / "often"}
    random, ended = np.random.default_rng(0), False
    for _ in range(20):
        before, process = kept(cache), start(often)
        while process.poll() is None and kept(cache) == before:
            time.sleep(0.002)
        time.sleep(float(random.uniform(0, 0.3)))
        ended = process.poll() is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not ended, "it ended before it could be killed"
    assert start(often).wait() == 0
    name = next((tmp_path / "whole").iterdir()).name
    for part in ("model.tflite", "plan.json"):
        whole, killed = (tmp_path / folder / name / part for folder in ("whole", "often"))
        assert whole.read_bytes() == killed.read_bytes()
