"""A budget of mean average precision: what a quantised detector loses, and how the option is written."""

from __future__ import annotations

import numpy as np
import pytest

from edgeeff.detection import Detection, Geometry, Nms
from edgeeff.errors import OptionError
from edgeeff.images.annotations import Truth
from edgeeff.quantization.boxed import BoxJudge
from edgeeff.quantization.budget import Budget, judge_outputs, meets, read, refuse_drop
from edgeeff.tasks import Meaning

GEOMETRY = Geometry((64, 64), (3, 3), 1, ((1.0, 1.0),), 1.0)
MEANING = Meaning("detection", 0.3, detection=Detection(GEOMETRY, Nms(0.05, max_boxes=20)))
IMAGES = 24


@pytest.fixture
def network():
    """What a network gives that finds each of three cells of an image, and the boxes of these cells."""
    rng = np.random.default_rng(0)
    logits = np.full((IMAGES, 64, 2), -8, np.float32)
    known = np.empty(IMAGES, object)
    for number in range(IMAGES):
        cells = rng.choice(64, 3, replace=False)
        classes = rng.integers(0, 2, 3)
        logits[number, cells, classes] = rng.uniform(1, 4, 3)
        corners = GEOMETRY.anchors()[cells][:, [1, 0, 3, 2]].astype(float)
        known[number] = Truth(corners, classes, np.zeros(3, bool), np.full(3, 64.0), number=number)
    return {"class_logits": logits, "box_codes": np.zeros((IMAGES, 64, 4), np.float32)}, known


def judged(floating, found, known):
    judge = BoxJudge(MEANING, 2)
    for part in (slice(0, 10), slice(10, None)):
        pair = ({name: values[part] for name, values in outputs.items()} for outputs in (floating, found))
        judge.update(*pair, known[part])
    return judge.judged()


def test_what_is_lost_is_known_with_its_interval(network):
    floating, known = network
    same = judged(floating, floating, known)
    assert (same.images, same.drop, same.sqnr) == (IMAGES, 0, np.inf)
    assert same.drop_error == pytest.approx(300 / IMAGES)  # where nothing differs the rule of three bounds it
    blind = {**floating, "class_logits": floating["class_logits"].copy()}
    blind["class_logits"][:6] = -8
    found = judged(floating, blind, known)
    assert found.drop == pytest.approx(25, abs=3) and 3 < found.drop_error < 30
    whole = judge_outputs(floating, blind)
    assert (found.sqnr, found.sqnr_error) == pytest.approx((whole.sqnr, whole.sqnr_error))
    assert not meets(Budget(max_drop=20), found, confident=True) and meets(
        Budget(max_drop=30), found, confident=True
    )
    assert judged(blind, floating, known).drop == pytest.approx(-found.drop)
    # Boxes that the artifact's runtime made have no values to compare, and are judged all the same.
    rows = {"detections": np.zeros((IMAGES, 1, 6), np.float32)}
    assert judged(floating, rows, known).drop == pytest.approx(100)


def test_points_of_map_are_asked_of_a_detector_alone():
    asked = read(None, "0.3mAP", None)
    assert asked == read(None, "0.3pt", None) == Budget(max_drop=0.3)
    refuse_drop(asked, "detection", exclusive=False, said="0.3mAP")
    refuse_drop(asked, "detection", exclusive=False, said="0.3pt")
    with pytest.raises(OptionError, match="speaks of mAP"):
        refuse_drop(asked, "classification", exclusive=True, said="0.3 mAP")
    with pytest.raises(OptionError, match="speaks of top-1"):
        refuse_drop(asked, "multilabel", exclusive=False, said="0.3pt")
