"""MediaPipe's tasks load every mobile bundle as it is written, and answer as our own runner does."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

import edgeeff
from edgeeff.cache import Cache
from edgeeff.zoo import catalog
from edgeeff.zoo.detection import efficientdet
from tests.conftest import smooth_noise
from tests.tiny import SIZE, smooth_photos, tiny_graph

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::edgeeff.EdgeeffWarning")]
#: Scores of float outputs: MediaPipe's own kernels are another version of XNNPACK's.
NEAR = 1e-5
IMAGENET = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
TAKEN = {
    "float32": {},
    "uint8": {"io": "uint8"},
    "float": {"targets": ["mobile-fp32"]},
    "ImageNet's mean": IMAGENET,
    "ImageNet's mean, uint8": {"io": "uint8", **IMAGENET},
    "softmax": {"softmax": True},
    "softmax, uint8": {"softmax": True, "io": "uint8"},
    "multilabel": {"task": "multilabel", "probabilities": True},
    "one label": {"task": "multilabel", "labels": ("defect",), "probabilities": True, "io": "uint8"},
    "no labels": {"labels": None},
    "open batch": {"batch": "dynamic"},
    "names": {"labels": ("ü ö", "<b>", "a, b", "日本")},
}
REFUSED = {
    "int8": ({"io": "int8"}, "--io uint8", "INT8"),
    "batch": ({"batch": 4}, "--batch 1", "4 x 32"),
    "grey": ({"channels": 1, "mean": 120.0, "std": 60.0}, "RGB alone", "RGB"),
}


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """``make(**options)``: a bundle of the tiny network, and what its build warned of."""
    folder = tmp_path_factory.mktemp("tiny")

    def build(labels=("nut", "bolt", "washer", "pin"), channels=3, **options):
        path = folder / f"{channels}-{len(labels or 'four')}.onnx"
        onnx.save(tiny_graph(len(labels or "four"), channels), path)
        asked = {"targets": ["mobile-int8"], "size": SIZE, "mean": 127.0, "std": 128.0, **options}
        photos = smooth_photos(24, "L" if channels == 1 else "RGB")
        output = folder / str(len([*folder.iterdir()]))
        (built,) = edgeeff.build(
            checkpoint=path,
            labels=labels,
            calibration=photos,
            cache=Cache(folder / "cache"),
            output=output,
            **asked,
        )
        return built

    return build


@pytest.mark.parametrize("name", TAKEN)
def test_the_classifier_takes_it(make, mediapipe, name):
    bundle = make(**TAKEN[name]).bundle
    pixels = np.stack([np.asarray(photo) for photo in smooth_photos(3)])
    (expected,) = bundle.session().infer(pixels).values()
    labels = bundle.manifest.labels if TAKEN[name].get("labels", True) else None
    for scores, answers in zip(
        expected, mediapipe("classify", bundle.folder / "model.tflite", pixels), strict=True
    ):
        assert {index: score for index, _, score in answers} == pytest.approx(
            dict(enumerate(scores.tolist())), abs=NEAR
        )
        assert all(labels is None or label == labels[index] for index, label, _ in answers)
    assert "With MediaPipe Tasks" in (bundle.folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_refuses_was_warned_of(make, mediapipe, name):
    options, warning, error = REFUSED[name]
    built = make(**options)
    assert any("MediaPipe" in text and warning in text for text in built.warnings)
    assert error in mediapipe(
        "classify", built.bundle.folder / "model.tflite", np.zeros((1, 32, 32, 3), np.uint8)
    )
    assert "With MediaPipe Tasks" not in (built.bundle.folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_the_embedder_takes_an_embedding(make, mediapipe, io):
    bundle = make(task="features", taps="vector", labels=None, io=io).bundle
    pixels = np.stack([np.asarray(photo) for photo in smooth_photos(2)])
    (expected,) = bundle.session().infer(pixels).values()
    found = mediapipe("embed", bundle.folder / "model.tflite", pixels)
    assert np.array(found)[:, 0] == pytest.approx(expected, abs=NEAR)
    assert "ImageEmbedder" in (bundle.folder / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """What builds of a small detector say; its batch statistics are those of a few images."""
    torch.manual_seed(0)
    network = efficientdet.build(catalog.detector("efficientdet-lite0"), 3, (128, 128))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
            torch.nn.init.normal_(module.bias, 0, 0.1)
    torch.nn.init.constant_(network.class_head.predict.pointwise.bias, -1.0)  # so that some boxes are found
    with torch.no_grad():
        pixels = smooth_noise(4, 128, 1).astype(np.float32).transpose(0, 3, 1, 2)
        network.train()(torch.from_numpy((pixels - 127.5) / 127.5))
    folder = tmp_path_factory.mktemp("detector")
    torch.save(network.eval().state_dict(), folder / "lite0.pth")
    return {
        **{"model": "efficientdet-lite0", "checkpoint": folder / "lite0.pth", "size": 128, "effort": "fast"},
        **{"labels": ("ant", "<b>bee", "cat"), "targets": ["mobile-int8"], "cache": Cache(folder / "cache")},
        **{"calibration": list(smooth_noise(10, 160, 2))},
    }


@pytest.mark.parametrize(
    "options",
    [{}, {"io": "uint8"}, {"targets": ["mobile-fp32"]}, {"nms_across": True}, {"letterbox": "none"}],
    ids=str,
)
def test_the_detector_takes_boxes_of_the_file(detector, mediapipe, tmp_path, options):
    (built,) = edgeeff.build(**{**detector, **options}, output=tmp_path)
    pixels = smooth_noise(2, 128, 3)
    found = mediapipe("detect", built.bundle.folder / "model.tflite", pixels, score_threshold=0.3)
    names = built.bundle.manifest.labels
    (images,) = built.bundle.session().infer(pixels).values()
    for rows, answers in zip(images, found, strict=True):
        rows = rows[rows[:, 4] >= 0.3]
        # A box over the left or upper edge is moved, and not cut; none is larger than the photo.
        sides = np.minimum(rows[:, 2:4] - rows[:, :2], 128)
        corners = np.concatenate([np.maximum(rows[:, :2], 0), np.maximum(rows[:, :2], 0) + sides], axis=1)
        assert len(answers) >= 0.9 * len(rows) > 0
        for label, score, box in answers:
            alike = [names[int(number)] == label for number in rows[:, 5]]
            near = (np.abs(rows[:, 4] - score) <= NEAR) & (np.abs(corners - box).max(axis=1) <= 2)
            assert (np.array(alike) & near).any(), (label, score, box)


@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_the_detector_makes_boxes_of_logits_and_codes(detector, mediapipe, tmp_path, io):
    """By the anchors of the metadata; its suppression is another, so that the best box alone is compared."""
    (built,) = edgeeff.build(**detector, nms="host", io=io, output=tmp_path)
    pixels = smooth_noise(2, 128, 3)
    found = mediapipe("detect", built.bundle.folder / "model.tflite", pixels, score_threshold=0.3)
    with built.bundle.open() as predict:
        for image, answers in zip(pixels, found, strict=True):
            boxes = predict(image).boxes
            assert boxes is not None and len(boxes) > 0
            best = float(boxes.scores[0])
            assert max(score for _, score, _ in answers) == pytest.approx(best, abs=1e-3)
