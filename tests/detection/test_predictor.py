"""Boxes of photos through a bundle's real runtime: always in the photo's pixels."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from edgeeff.bundle import Bundle
from edgeeff.errors import BundleError, EdgeeffWarning, OptionError
from edgeeff.tasks import Naming


def told(prediction):
    return [(box.label, box.left, box.top, box.right, box.bottom) for box in prediction.boxes]


EXPECTED = [("red", 112, 48, 128, 64), ("blue", 0, 0, 16, 16)]


def test_a_photo_however_it_is_given(cells, photo):
    path = photo()
    with cells.open() as predict:
        found = predict(path)
        assert (told(found), found.label) == (EXPECTED, "red")
        # The resize blurs the cells' borders a little.
        assert found.boxes.scores.tolist() == pytest.approx(1 / (1 + np.exp([-7, -3.875])), abs=0.01)
        assert str(found) == "red 99.9%, blue 97.2%"
        image = Image.open(path)
        for one in (predict(image), *predict([path, image]), *predict.each(path.parent)):
            assert told(one) == EXPECTED
        assert {*found.outputs} == {"class_logits", "box_codes"} and predict([path])[0].outputs == {}
        pixels = predict.preprocess.fit(image)
        halves = [(name, *(side / 2 for side in sides)) for name, *sides in EXPECTED]
        for one in (predict(pixels), *predict(np.stack([pixels, pixels]))):
            assert told(one) == halves
        nothing = predict(np.zeros_like(pixels))
        assert (nothing.label, len(nothing.boxes), str(nothing)) == ("no box", 0, "no box")
    with cells.open(top=1, threshold=0.99) as predict:
        assert told(predict(path)) == EXPECTED[:1]
    for threshold, why in ((0.01, "under 0.05 are dropped"), (1.5, "give a probability between 0 and 1")):
        with pytest.raises(OptionError, match=why):
            cells.open(threshold=threshold)


def test_values_that_are_no_numbers_are_warned_of(cells, photo, monkeypatch):
    with cells.open() as predict:
        infer = predict._session.infer

        def broken(pixels):
            found = {name: np.array(values) for name, values in infer(pixels).items()}
            found["class_logits"][0, 0, 0] = np.nan
            return found

        monkeypatch.setattr(predict, "_session", SimpleNamespace(infer=broken))
        with pytest.warns(EdgeeffWarning, match="no numbers"):
            assert told(predict(photo())) == EXPECTED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"detection": None}, "task 'detection' without detection"),
        ({"task": "multilabel"}, "task 'multilabel' with detection"),
        ({"softmax": True}, "softmax of a detector"),
        ({"classes": 2, "labels": ["a", "b"]}, "detection with 2 classes has"),
        ({"outputs": []}, "outputs none"),
        ({("detection", "where"): "runtime"}, r"has detections \[1, 20, 6\]"),
        ({("detection", "geometry", "octaves"): 2}, r"has class_logits \[1, 128, 3\]"),
        ({("detection", "geometry", "size"): [64, 32]}, "anchors are for 64 x 32"),
        ({("detection", "nms", "iou"): 7}, "iou is 7"),
        ({("detection", "nms"): []}, "nms has"),
        ({("preprocess", "letterbox"): [1, 2]}, "letterbox"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(cells, tmp_path, change, message):
    data = json.loads((cells.folder / "manifest.json").read_text())
    for keys, value in change.items():
        *outer, last = keys if isinstance(keys, tuple) else (keys,)
        inner = data
        for key in outer:
            inner = inner[key]
        inner[last] = value
    (tmp_path / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(BundleError, match=message):
        Bundle.load(tmp_path)


def test_an_artifact_of_another_detector_is_refused(cells, photo):
    detection = cells.manifest.detection
    detection = replace(detection, geometry=replace(detection.geometry, octaves=2))
    other = replace(cells, manifest=replace(cells.manifest, detection=detection))
    with (
        other.open() as predict,
        pytest.raises(BundleError, match=r"manifest says class_logits \[1, 128, 3\]"),
    ):
        predict(photo())
    with pytest.raises(
        BundleError, match=r"class_logits \[1, 64, 3\].*there should be class_logits \[N, 128"
    ):
        outputs = cells.session().infer(np.zeros((1, 64, 64, 3), np.uint8))
        other.manifest.meaning.decode(outputs, Naming(cells.manifest.labels))


def test_it_is_read_as_it_was_written(cells):
    found = Bundle.load(cells.folder).manifest
    assert (found.detection, found.meaning) == (cells.manifest.detection, cells.manifest.meaning)
    assert found == cells.manifest
