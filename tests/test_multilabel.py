"""Builds of networks whose labels do not exclude each other: one logit, several, and what is refused."""

import json
import warnings
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import edgeeff
from edgeeff.backends.onnxruntime.run import session_of
from edgeeff.cache import Cache
from edgeeff.cli import application
from edgeeff.errors import LabelsError, OptionError
from edgeeff.metrics import sqnr
from edgeeff.pipeline.options import Options
from edgeeff.pipeline.resolve.meaning import resolve_meaning, task_warnings
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Silent
from edgeeff.tasks import only
from edgeeff.zoo import catalog
from edgeeff.zoo.sources import Identity


class Notes(Silent):
    """What a build tells."""

    def __init__(self):
        self.told = []

    def tell(self, text):
        self.told.append(text)


#: Seven blocks of a few channels.
TINY = "lite:width=0.35,depth=0.2,size=64"
FLOATS, INTEGERS = ["cpu-fp32", "mobile-fp32"], ["cpu-int8"]


def command(capsys, *arguments):
    """What a verb prints."""
    capsys.readouterr()
    application()(args=[str(a) for a in arguments], prog_name="edgeeff", standalone_mode=False)
    return capsys.readouterr().out


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.fixture(scope="module")
def folder(make_module, make_images, tmp_path_factory):
    """Checkpoints of a tiny network with one and with three logits, photos, and a cache."""
    folder = tmp_path_factory.mktemp("multilabel")
    for classes in (1, 3):
        torch.save(make_module(catalog.get(TINY), classes=classes).state_dict(), folder / f"{classes}.pt")
    np.savez(folder / "photos.npz", images=make_images(10, 72, 5))
    return folder


@pytest.fixture(scope="module")
def build(folder):
    def build(classes, targets, **options):
        progress = options.pop("progress", None)
        return edgeeff.build(
            TINY,
            **{
                "targets": targets,
                "checkpoint": folder / f"{classes}.pt",
                "calibration": folder / "photos.npz",
                "size": 64,
                "cache": Cache(folder / "cache"),
                "effort": "fast",
                **options,
            },
            progress=progress,
        )

    return build


@pytest.fixture(scope="module")
def one(build, folder):
    built = build(1, [*FLOATS, *INTEGERS], labels=["cat", "dog"], output=folder / "one")
    return {b.bundle.manifest.target: b for b in built}


@pytest.fixture(scope="module")
def reference(folder, make_module, one):
    """What the user's own network says of 4 images: logits [4, 1]."""
    network = make_module(catalog.get(TINY), classes=1)
    manifest = one["cpu-fp32"].bundle.manifest
    images = np.load(folder / "photos.npz")["images"][:4, 4:68, 4:68]
    with torch.no_grad():
        return images, network(torch.from_numpy(manifest.preprocess.normalise(images))).numpy()


def test_one_logit_is_multilabel(one, reference):
    images, expected = reference
    for target, built in one.items():
        manifest = built.bundle.manifest
        assert (manifest.task, manifest.labels, manifest.negative) == ("multilabel", ("dog",), "cat"), target
    for target in FLOATS:
        assert sqnr(expected, one[target].bundle.predict(images)) > 80
    for target in INTEGERS:
        assert sqnr(expected, one[target].bundle.predict(images)) > 10
        assert one[target].verification.agreement.total == one[target].verification.images


def test_probabilities_of_one_logit_are_its_sigmoid(build, folder, reference):
    images, expected = reference
    options = {"probabilities": True, "output": folder / "probable", "threshold": 0.7}
    for b in build(1, ["mobile-fp32", "mobile-int8"], **options):
        manifest = b.bundle.manifest
        assert (manifest.softmax, manifest.threshold, manifest.labels) == (True, 0.7, ("positive",))
        found = b.bundle.predict(images)
        tolerance = 0.1 if manifest.precision == "int8" else 1e-5
        np.testing.assert_allclose(found, sigmoid(expected), atol=tolerance)
        assert len(np.unique(found)) > 1  # a softmax of one value is always 1
        assert b.verification.agreement.total == 2


def test_run_says_the_label_or_not(one, reference, tmp_path, capsys):
    images, expected = reference
    for n, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{n}.png")
    bundle = str(one["cpu-fp32"].bundle.folder)
    # The middle of the four logits parts them.
    threshold = float(sigmoid(np.median(expected)))
    options = [bundle, str(tmp_path), f"--threshold={threshold}"]
    lines = command(capsys, "run", *options).splitlines()
    items = json.loads(command(capsys, "run", *options, "--json"))
    assert len(lines) == len(items) == 4
    for line, item in zip(lines, items, strict=True):
        share = item["classes"][0]["probability"]
        there = share >= threshold
        assert item["labels"] == (["dog"] if there else []) and item["absent"] == ("" if there else "cat")
        assert f"  {'dog ' if there else 'cat (dog '}{share:.1%}" in line
    assert {len(item["labels"]) for item in items} == {0, 1}


@pytest.mark.slow
def test_several_labels_by_option(build, folder, reference, capsys):
    images, _ = reference
    (b,) = build(3, ["cpu-fp32"], task="multilabel", output=folder / "three", labels=list("abc"))
    logits = b.bundle.predict(images)
    assert logits.shape == (4, 3)
    np.savez(folder / "four.npz", images=images)
    items = json.loads(command(capsys, "run", b.bundle.folder, folder / "four.npz", "--json", "--top=3"))
    for item, expected in zip(items, sigmoid(logits), strict=True):
        shares = {c["label"]: c["probability"] for c in item["classes"]}
        np.testing.assert_allclose([shares[label] for label in "abc"], expected, atol=1e-5)
        assert set(item["labels"]) == {label for label, share in shares.items() if share >= 0.5}


class Ended(torch.nn.Module):
    """Logits and their sigmoids."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x).sigmoid()


def test_an_onnx_file_that_ends_in_sigmoid(build, folder, make_module, reference):
    """A softmax on top of it, as of a classifier's logits, would make 1/3 of everything."""
    network, images = Ended(make_module(catalog.get(TINY), classes=3)).eval(), reference[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.zeros(1, 3, 64, 64),), folder / "ended.onnx", dynamo=False)
    notes = Notes()
    (b,) = build(3, ["mobile-fp32"], checkpoint=folder / "ended.onnx", output=folder / "onnx", progress=notes)
    manifest = b.bundle.manifest
    assert manifest.meaning.task == "multilabel" and any("Sigmoid" in line for line in notes.told)
    with torch.no_grad():
        expected = network(torch.from_numpy(manifest.preprocess.normalise(images))).numpy()
    found = manifest.meaning.probabilities(b.bundle.predict(images))
    assert sqnr(expected, found) > 80


def test_one_class_of_a_sigmoid_is_warned_of():
    identity = Identity("onnx_file", "net.onnx", "b0", "", Preprocess((8, 8), (0,) * 3, (1,) * 3), 3)
    ended = replace(identity, ends_in="sigmoid", threshold=0.3)
    asked = resolve_meaning(Options(task="classification"), ended)
    assert asked.exclusive and "not those of the source" in task_warnings(asked, ended, "classification")[0]
    own = resolve_meaning(Options(), ended)
    assert (own.task, own.threshold) == ("multilabel", 0.3) and not task_warnings(own, ended, None)
    assert resolve_meaning(Options(threshold=0.6), ended).threshold == 0.6
    for name in ("softmax", "log_softmax"):
        with pytest.raises(OptionError, match="ends in a softmax"):
            resolve_meaning(Options(task="multilabel"), replace(identity, ends_in=name))
        with pytest.raises(OptionError, match="always 1"):
            resolve_meaning(Options(), replace(identity, classes=1, ends_in=name))


@pytest.mark.parametrize(
    ("ends_in", "task", "warned"), [("", None, True), ("sigmoid", None, False), ("", "multilabel", False)]
)
def test_one_output_of_unknown_meaning_is_warned_of(ends_in, task, warned):
    """It may be a measure, an age or a score, of which a sigmoid says nothing."""
    preprocess = Preprocess((8, 8), (0,) * 3, (1,) * 3)
    identity = Identity("onnx_file", "net.onnx", "b0", "", preprocess, 1, ends_in=ends_in)
    meaning = resolve_meaning(Options(task=task), identity)
    assert any("a measure" in text for text in task_warnings(meaning, identity, task)) == warned


@pytest.mark.slow
def test_jetson_bundles(build, folder, reference):
    """Their graph with the sigmoid, in onnxruntime, and what DeepStream reads of it."""
    images, expected = reference
    (b,) = build(1, ["jetson-int8"], probabilities=True, output=folder / "jetson", effort="balanced")
    manifest = b.bundle.manifest
    found = only(
        session_of((b.bundle.folder / "model.float.onnx").read_bytes(), manifest.preprocess).infer(images)
    )
    np.testing.assert_allclose(found, sigmoid(expected), atol=1e-5)
    # It ends in the sigmoid that nvinfer reads, so it needs no graph of its own.
    graph = (b.bundle.folder / "model.qdq.onnx").read_bytes()
    nodes = [node.op_type for node in onnx.load_model_from_string(graph).graph.node]
    assert nodes[-1] == "Sigmoid" and "Softmax" not in nodes
    config = (b.bundle.folder / "deploy/deepstream/config_infer_primary.txt").read_text()
    assert "classifier-threshold=0.5" in config and "trtexec --onnx=model.qdq.onnx" in config


@pytest.mark.parametrize(
    ("classes", "options", "message"),
    [
        (1, {"task": "classification"}, "softmax of one value is always 1"),
        (1, {"softmax": True}, "--softmax would let the labels .* compete"),
        (3, {"task": "multilabel", "softmax": True}, "pass --probabilities"),
        (3, {"task": "multilabel", "max_drop": 0.5}, "--max-drop speaks of top-1"),
        (3, {"threshold": 0.3}, "--threshold has no meaning for classification"),
        (3, {"task": "landmarks"}, "no task 'landmarks'"),
        (3, {"task": "segmentation"}, "gives an image's pixels no classes"),
        (1, {"threshold": 1.0}, "--threshold 1"),
    ],
)
def test_what_makes_no_sense_is_refused(build, tmp_path, classes, options, message):
    with pytest.raises(OptionError, match=message):
        build(classes, ["cpu-fp32"], output=tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_one_logit_has_one_label_or_two(build, tmp_path):
    with pytest.raises(LabelsError, match="3 labels for a network of 1"):
        build(1, ["cpu-fp32"], output=tmp_path, labels=["a", "b", "c"])
