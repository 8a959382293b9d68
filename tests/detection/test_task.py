"""The task: boxes said of photos, and how two networks agree on them."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from edgeeff import tasks
from edgeeff.detection import Detection, Geometry, Nms
from edgeeff.errors import BundleError, OptionError
from edgeeff.preprocess import Preprocess
from edgeeff.tasks import Meaning, Naming

GEOMETRY = Geometry((64, 64))
MEANING = Meaning("detection", 0.3, detection=Detection(GEOMETRY, Nms(0.05, max_boxes=20)))
NAMING = Naming(("cat", "dog", "cow"), "no box")


@pytest.fixture
def heads():
    """Of two images: in the first a dog and a cow, in the second nothing."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-9, 0.5, (2, GEOMETRY.count, 3)).astype(np.float32)
    logits[0, 300, 1], logits[0, 446, 2], logits[0, 100, 0] = 3, 1, -2
    return {"class_logits": logits, "box_codes": np.zeros((2, GEOMETRY.count, 4), np.float32)}


def test_outputs_are_known_by_their_names():
    task = tasks.room("detection")
    heads = {"box_codes": (1, 9, 4), "class_logits": (1, 9, 2)}
    assert [(o.name, o.meaning) for o in task.outputs(heads)] == [
        ("class_logits", "scores"),
        ("box_codes", "boxes"),
    ]
    assert task.outputs({"detections": (1, 100, 6)})[0].meaning == "detections"
    for wrong in (
        {},
        {"class_logits": (1, 9, 2)},
        heads | {"box_codes": (1, 8, 4)},
        {"detections": (1, 100, 7)},
    ):
        with pytest.raises(OptionError, match="detection means the outputs class_logits"):
            task.outputs(wrong)


def test_boxes_of_a_batch_lie_in_their_photos(heads):
    preprocess = Preprocess((64, 64), (0,) * 3, (1,) * 3, 1.0, letterbox=(0, 0, 0))
    plain = MEANING.decode(heads, NAMING)
    placed = MEANING.decode(heads, NAMING, [preprocess.place((128, 256)), preprocess.place((64, 64))])
    assert [one.label for one in placed] == ["dog", "no box"]
    assert [box.label for box in placed[0].boxes] == ["dog", "cow"]
    assert placed[0].line() == "dog 95.3%, cow 73.1%"
    scaled = np.clip(plain[0].boxes.corners * 4, 0, [128, 256, 128, 256])
    np.testing.assert_allclose(placed[0].boxes.corners, scaled, rtol=1e-6)
    assert pickle.loads(pickle.dumps(placed[0])) == placed[0] != plain[0]
    said = MEANING.to_json(placed[0])
    assert [box["label"] for box in json.loads(json.dumps(said))["boxes"]] == ["dog", "cow"]
    assert MEANING.to_json(placed[1])["boxes"] == []
    assert len(MEANING.decode(heads, replace(NAMING, top=1))[0].boxes) == 1


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.7])
def test_boxes_are_those_of_the_whole_suppression_at_the_threshold(threshold):
    """Whatever is left out before: in a crowd, with and without boxes over it, per class and across."""
    rng = np.random.default_rng(1)
    logits = rng.normal(-3, 1.5, (2, GEOMETRY.count, 3)).astype(np.float32)
    logits[1] -= 9
    heads = {
        "class_logits": logits,
        "box_codes": rng.normal(0, 0.5, (2, GEOMETRY.count, 4)).astype(np.float32),
    }
    for across in (False, True):
        nms = Nms(0.05, max_boxes=60, across=across)
        meaning = replace(MEANING, threshold=threshold, detection=replace(MEANING.detection, nms=nms))
        whole = tasks.room("detection").boxes_of(heads, meaning)
        crowd, empty = meaning.decode(heads, NAMING)
        assert crowd.boxes == whole[0].named(NAMING.labels).at(threshold) and len(crowd.boxes) > 5
        assert (len(empty.boxes), len(whole[1])) == (0, 0)
        logits[1, 70, 2] = -2.5  # 0.076
        (there,) = meaning.decode({name: value[1:] for name, value in heads.items()}, NAMING)
        assert (there.likeliest[0].label, len(there.boxes)) == ("cow", int(threshold < 0.07))
        logits[1, 70, 2] = -12


def test_a_box_in_the_letterboxs_border_is_none_of_the_photo(heads):
    heads["class_logits"][0, 300, 1] = -9
    preprocess = Preprocess((64, 64), (0,) * 3, (1,) * 3, 1.0, letterbox=(0, 0, 0))
    lower = GEOMETRY.anchors()[:, 0] > 40
    heads["class_logits"][0, :, 2] = np.where(lower & (np.arange(GEOMETRY.count) < 576), 2, -9)
    fits = [preprocess.place((128, 64))] * 2
    found = MEANING.decode(heads, NAMING, fits)[0]
    assert (found.label, len(found.boxes), found.line()) == ("no box", 0, "no box")
    assert len(MEANING.decode(heads, NAMING)[0].boxes) > 0


def test_a_runtimes_boxes_say_the_same(heads):
    runtime = replace(MEANING, detection=replace(MEANING.detection, where="runtime"))
    (shape,) = runtime.detection.outputs(3).values()
    rows = runtime.outputs(heads, tasks.room("detection").outputs({"detections": shape}))
    assert rows["detections"].shape == (2, 20, 6)
    for one, other in zip(runtime.decode(rows, NAMING), MEANING.decode(heads, NAMING), strict=True):
        assert (one.boxes, one.named) == (other.boxes, other.named)
    same = runtime.fidelity(rows, {"detections": rows["detections"][:, ::-1]})
    assert (same.agreement.successes, same.agreement.total, same.sqnr) == (2, 2, np.inf)
    empty = {"detections": np.tile(np.float32([0, 0, 0, 0, 0, -1]), (2, 20, 1))}
    lost, made_up = runtime.fidelity(rows, empty), runtime.fidelity(empty, rows)
    assert (lost.agreement.value, lost.sqnr) == (0, pytest.approx(0, abs=1e-6))
    assert (made_up.agreement.value, made_up.sqnr) == (0, -np.inf)
    rows["detections"][0, 0, 5] = 7
    with pytest.raises(BundleError, match="gives class 7, its labels are 3"):
        runtime.decode(rows, NAMING)


def test_agreement_is_of_boxes(heads):
    exact = MEANING.fidelity(heads, heads)
    assert (exact.agreement.successes, exact.agreement.total, exact.sqnr) == (2, 2, np.inf)
    other = {name: value.copy() for name, value in heads.items()}
    other["class_logits"][0, 446] = [-9, 1, -9]  # another class
    other["box_codes"][0, 300] = 0.02
    other["class_logits"][1, 40, 0] = 2  # a box where the other has none
    found = MEANING.fidelity(heads, other)
    assert (found.agreement.successes, found.agreement.total, found.images) == (1, 3, 2)
    assert set(found.outputs) == {"class_logits", "box_codes"}
    nothing = {name: value[1:] for name, value in heads.items()}
    assert MEANING.fidelity(nothing, nothing).agreement is None


def test_outputs_of_another_detector_are_refused(heads):
    with pytest.raises(BundleError, match=r"class_logits \[2, 773, 3\].* should be .*774"):
        MEANING.decode({name: value[:, :-1] for name, value in heads.items()}, NAMING)
    with pytest.raises(BundleError, match="a detector's outputs are logits"):
        MEANING.decode({"logits": np.zeros((1, 3))}, NAMING)
    with pytest.raises(OptionError, match="anchors are not known"):
        replace(MEANING, detection=None).decode(heads, NAMING)
