"""Average precision of boxes, held against pycocotools, and how much two networks differ by."""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgeeff.detection import Boxes, Detection, Geometry, Nms
from edgeeff.detection.decoding import rows_of
from edgeeff.detection.judging import Sample, judge
from edgeeff.detection.resampling import Ranking, loss
from edgeeff.errors import BundleError, MissingRuntimeError
from edgeeff.gate import drawn as gate
from edgeeff.harness.accuracy_report import AccuracyReport
from edgeeff.harness.drawn_comparison import of_draws
from edgeeff.images.annotations import Truth
from edgeeff.preprocess import Preprocess
from edgeeff.tasks import Meaning, _coco

CLASSES, IMAGES = 5, 40
MEANING = Meaning("detection", 0.3, detection=Detection(Geometry((64, 64)), Nms(max_boxes=120)))


def sample(seed, crowd=0.15, noise=6.0):
    """Boxes of many images: some near truths, some anywhere; no two scores are equal."""
    rng = np.random.default_rng(seed)
    known = np.repeat(np.arange(IMAGES), rng.integers(0, 6, IMAGES))
    low, sides = rng.uniform(0, 500, (len(known), 2)), rng.uniform(5, 140, (len(known), 2))
    truths, classes = np.hstack([low, low + sides]), rng.integers(0, CLASSES, len(known))
    parts = []
    for place in range(IMAGES):
        own, count = np.flatnonzero(known == place), rng.integers(0, 20)
        corners = rng.uniform(0, 400, (count, 4))
        corners[:, 2:] = corners[:, :2] + rng.uniform(5, 150, (count, 2))
        said = rng.integers(0, CLASSES, count)
        if len(own):
            near = rng.random(count) < 0.7
            picked = rng.choice(own, count)
            corners[near] = truths[picked[near]] + rng.normal(0, noise, (int(near.sum()), 4))
            said[near] = classes[picked[near]]
        corners[:, 2:] = np.maximum(corners[:, 2:], corners[:, :2] + 1)
        parts.append((np.full(count, place), corners, np.sort(rng.random(count))[::-1], said))
    image, corners, scores, said = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Sample(
        *(np.arange(IMAGES), image, corners.astype(np.float32), scores.astype(np.float32), said),
        *(known, truths, classes, rng.random(len(known)) < crowd, 0.8 * sides.prod(1)),
    )


def drawn(whole, places):
    """The sample of some of its images, some of them several times."""

    def rows(image):
        parts = [np.flatnonzero(image == place) for place in places]
        which = np.concatenate([np.zeros(0, np.int64), *parts])
        return which, np.repeat(np.arange(len(places)), [len(part) for part in parts])

    own, image = rows(whole.image)
    known, known_image = rows(whole.known_image)
    return Sample(
        *(np.arange(len(places)), image, whole.corners[own], whole.scores[own], whole.classes[own]),
        *(known_image, whole.known_corners[known], whole.known_classes[known]),
        *(whole.crowd[known], whole.areas[known]),
    )


def pycocotools(whole):
    """What the reference says of a sample; its ids begin at 1, since it takes 0 for none."""

    def box(corners):
        x1, y1, x2, y2 = map(float, corners)
        return [x1, y1, x2 - x1, y2 - y1]

    known = COCO()
    known.dataset = {
        "images": [{"id": int(number) + 1} for number in range(len(whole.numbers))],
        "categories": [{"id": number + 1} for number in range(CLASSES)],
        "annotations": [
            {
                **{"id": i + 1, "image_id": int(image) + 1, "category_id": int(cls) + 1},
                **{"bbox": box(corners), "area": float(area), "iscrowd": int(crowd)},
            }
            for i, (image, cls, corners, area, crowd) in enumerate(
                zip(
                    *(whole.known_image, whole.known_classes, whole.known_corners, whole.areas, whole.crowd),
                    strict=True,
                )
            )
        ],
    }
    rows = zip(whole.image, whole.classes, whole.corners, whole.scores, strict=True)
    found = [
        {
            **{"image_id": int(image) + 1, "category_id": int(cls) + 1},
            **{"bbox": box(corners), "score": float(score)},
        }
        for image, cls, corners, score in rows
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        known.createIndex()
        judged = COCOeval(known, known.loadRes(found), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return judged


NAMES = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large")
RECALLS = ("ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large")


@pytest.mark.parametrize("seed", range(3))
def test_figures_are_those_of_pycocotools(seed):
    whole = sample(seed)
    judged, found = pycocotools(whole), _coco.figures(whole, CLASSES)
    np.testing.assert_allclose([found.means[name] for name in (*NAMES, *RECALLS)], judged.stats, atol=1e-12)
    each = judged.eval["precision"][:, :, :, 0, 2]
    np.testing.assert_allclose(found.by_class[:, 0], each.mean((0, 1)), atol=1e-12)
    np.testing.assert_allclose(found.by_class[:, 1], each[0].mean(0), atol=1e-12)
    # Ours, which resamples: each IoU and class.
    own = Ranking(judge(whole), CLASSES).averages(np.ones(IMAGES))
    np.testing.assert_allclose(own, each.mean(1), atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_weights_stand_for_images_that_are_there_several_times(seed):
    whole = sample(seed)
    places = np.random.default_rng(seed).integers(0, IMAGES, IMAGES)
    weights = np.bincount(places, minlength=IMAGES).astype(float)
    judged = pycocotools(drawn(whole, np.sort(places)))
    each = judged.eval["precision"][:, :, :, 0, 2].mean(1)
    own = Ranking(judge(whole), CLASSES).averages(weights)
    np.testing.assert_allclose(np.nan_to_num(own, nan=-1), each, atol=1e-12)


def test_a_loss_has_an_interval():
    before = Ranking(judge(sample(1, noise=4)), CLASSES)
    same = loss(before, before, IMAGES, 50)
    assert (same.points, same.low, same.high, same.p_worse) == (0, 0, 0, 0.5)
    worse = sample(1, noise=4)
    rng = np.random.default_rng(0)
    worse = replace(worse, corners=worse.corners + rng.normal(0, 6, worse.corners.shape).astype(np.float32))
    found = loss(before, Ranking(judge(worse), CLASSES), IMAGES, 200)
    assert found.low < found.points < found.bound <= found.high and found.points > 1
    assert found.low > 0 and found.p_worse < 0.02 < 0.9 < found.p_better
    assert found.half == pytest.approx(1.96 * (found.bound - found.points) / 1.645)
    assert loss(before, Ranking(judge(worse), CLASSES), IMAGES, 200) == found


def truth(whole, place, fit=None):
    own = whole.known_image == place
    parts = (whole.known_corners[own], whole.known_classes[own], whole.crowd[own], whole.areas[own])
    return Truth(*parts, fit=fit, number=place)


def filled(whole, places, meaning=MEANING):
    """A scorer that saw these images."""
    scorer = meaning.scorer(CLASSES, "a bundle")
    for place in places:
        own = whole.image == place
        boxes = Boxes(whole.corners[own], whole.scores[own], whole.classes[own])
        known = np.empty(1, object)
        known[0] = truth(whole, place)
        scorer.update({"detections": rows_of(boxes, 120)[None]}, known)
    return scorer


def test_a_scorer_goes_on_and_adds_shards_in_any_order():
    whole = sample(4)
    kept = replace(whole, **{name: getattr(whole, name)[whole.scores >= 0.01] for name in
                             ("image", "corners", "scores", "classes")})  # fmt: skip
    once = filled(whole, range(IMAGES))
    shards = MEANING.scorer(CLASSES, "a bundle")
    assert shards.scores() is None and shards.state() == {}
    for part in (range(20, IMAGES), range(20)):
        shards.add(filled(whole, part).state())
    found = once.scores()
    assert found.to_json() == shards.scores().to_json()
    assert found.primary == pytest.approx(pycocotools(kept).stats[0], abs=1e-12)
    assert (found.images, found.boxes) == (IMAGES, int((~whole.crowd).sum()))
    assert found.lost(shards.scores(), 20).high == 0
    assert found.lost(filled(whole, range(30)).scores(), 20) is None  # other images
    with pytest.raises(ValueError, match="counts are not as many"):
        shards.add({**once.state(), "scores": once.state()["scores"][1:]})
    with pytest.raises(ValueError, match="classes up to"):
        shards.add({**once.state(), "classes": once.state()["classes"] + 9})


def test_precision_and_recall_are_those_at_the_threshold():
    corners = [[0, 0, 10, 10], [20, 20, 40, 40], [50, 50, 60, 60], [0, 0, 100, 100]]
    known = Truth(
        np.array(corners, float), np.array([0, 1, 1, 2]), np.array([False, False, False, True]),
        np.full(4, 100.0), number=0,
    )  # fmt: skip
    boxes = np.array([[0, 0, 10, 9], [20, 20, 40, 40], [0, 0, 10, 10], [70, 70, 90, 90], [50, 50, 60, 60]])
    scores, classes = np.array([0.9, 0.8, 0.7, 0.6, 0.2], np.float32), np.array([0, 0, 0, 2, 1])
    scorer = MEANING.scorer(CLASSES, "a bundle")
    held = np.empty(1, object)
    held[0] = known
    scorer.update({"detections": rows_of(Boxes(boxes.astype(np.float32), scores, classes), 9)[None]}, held)
    found = scorer.scores()
    # Right: the first. Wrong: another class, one that is taken. In the crowd: nothing. Under 0.3: not there.
    assert (found.precision.successes, found.precision.total) == (1, 3)
    assert (found.recall.successes, found.recall.total) == (1, 3)
    assert found.f1 == pytest.approx(2 / 6)
    assert [(one.number, one.truths, one.found, one.right) for one in found.classes] == [
        (0, 1, 3, 1),
        (1, 2, 0, 0),
    ]
    with pytest.raises(BundleError, match="gives class 7"):
        scorer.update({"detections": np.array([[[0, 0, 1, 1, 0.9, 7]]], np.float32)}, held)


def test_boxes_are_brought_to_the_photo_and_nothing_may_be_found():
    fit = Preprocess((64, 64), (0.0,) * 3, (1.0,) * 3, 1.0, letterbox=(0.0,) * 3).place((128, 64))
    known = np.empty(2, object)
    known[0] = Truth(
        np.array([[0.0, 0, 100, 60]]), np.array([3]), np.zeros(1, bool), np.full(1, 6000.0), fit=fit, number=0
    )
    known[1] = replace(known[0].chosen(np.zeros(1, bool)), number=1)
    rows = np.zeros((2, 1, 6), np.float32)
    rows[0, 0], rows[1, 0, 5] = (0, 0, 50, 30, 0.9, 3), -1
    scorer = MEANING.scorer(CLASSES, "a bundle")
    scorer.update({"detections": rows}, known)
    assert scorer.scores().primary == pytest.approx(1)
    nothing = MEANING.scorer(CLASSES, "a bundle")
    nothing.update({"detections": rows[1:]}, known[:1])
    assert nothing.scores().primary == 0 and np.isnan(nothing.scores().precision.value)
    empty = MEANING.scorer(CLASSES, "a bundle")
    empty.update({"detections": rows[:1]}, known[1:])
    assert np.isnan(empty.scores().primary)
    assert "no image has a box" in empty.scores().doubts("it", CLASSES)[0]


def test_a_high_floor_is_told():
    nms = Nms(0.3, max_boxes=20)
    scorer = filled(
        sample(0), range(3), Meaning("detection", 0.3, detection=Detection(Geometry((64, 64)), nms))
    )
    said = " ".join(scorer.scores().doubts("it", CLASSES))
    assert "under 0.3 are dropped" in said and "keeps 20 boxes" in said


def test_two_detectors_are_compared():
    whole = sample(2, noise=4)
    rng = np.random.default_rng(0)
    noisy = replace(whole, corners=whole.corners + rng.normal(0, 9, whole.corners.shape).astype(np.float32))
    old, new = (filled(one, range(IMAGES)).scores() for one in (whole, noisy))
    found = of_draws(("new", new), ("old", old), 0.5)
    assert found.conclusion.startswith("worse (p") and found.found.points > 0.5 and not found.not_inferior
    assert of_draws(("old", old), ("old", old), 0.5).conclusion == "no worse by 0.5 points"
    data = found.to_json()
    assert data["loss_interval_points"][0] < data["loss_points"] < data["loss_bound_points"]
    assert max(map(len, found.lines)) <= 80


def test_without_hotcoco_the_line_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "hotcoco", None)
    with pytest.raises(MissingRuntimeError, match="detection") as caught:
        MEANING.scorer(CLASSES, "a bundle")
    assert "[detection]" in caught.value.mend


@pytest.fixture
def reports():
    """Of a good detector, one a little worse and one far worse, on the same images."""

    def report(noise, count=IMAGES):
        whole = sample(2, noise=4)
        rng = np.random.default_rng(0)
        moved = whole.corners + rng.normal(0, noise, whole.corners.shape).astype(np.float32)
        scores = filled(replace(whole, corners=moved), range(count)).scores()
        return AccuracyReport("cells", count, count, 5, scores=scores, metric="map")

    return report


def test_two_bundles_are_held_against_each_other(reports):
    good, near, far = reports(0), reports(0.3), reports(12)
    same = gate.paired("a case", good, good, 0.5)
    assert (same.status, same.value, same.high, same.metric) == ("pass", 0, 0, "map")
    worse = gate.paired("a case", far, good, 0.5)
    assert worse.status == "fail" and worse.value > 5 and worse.low < worse.value < worse.high
    assert gate.paired("a case", good, far, 0.5).status == "pass"
    open_ = gate.paired("a case", near, good, 1e-4)
    assert open_.status == "inconclusive" and open_.settle.images > IMAGES
    assert gate.paired("a case", reports(0, 30), good, 0.5).status == "error"


def test_a_baseline_remembers_one_number(reports):
    found = reports(0).scores
    assert 0.5 < found.standard_error < 20
    new = (100 * found.primary, found.standard_error)
    assert gate.remembered("a case", "map", new, new, 1.0).status == "pass"
    assert gate.remembered("a case", "map", new, (new[0] + 2, 0.3 * new[1]), 1.0).status == "inconclusive"
    fallen = gate.remembered("a case", "map", (new[0] - 60, new[1]), new, 1.0)
    assert (
        fallen.status == "fail" and fallen.low < fallen.value == pytest.approx(60) and fallen.unit == "points"
    )
