"""Decoding and suppression, against the textbook loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgeeff.detection import Boxes, Geometry, Nms, decode, ious, matched, paired
from edgeeff.detection.candidates import largest
from edgeeff.detection.decoding import of_rows, rows_of

GEOMETRY = Geometry((64, 96))


def values(seed: int, mean: float = -3.0, classes: int = 5):
    rng = np.random.default_rng(seed)
    logits = rng.normal(mean, 1.5, (GEOMETRY.count, classes)).astype(np.float32)
    return logits, rng.normal(0, 0.4, (GEOMETRY.count, 4)).astype(np.float32)


def brute(logits, codes, nms: Nms, candidates: int = 5000):
    """Every pair of an anchor and a class, sorted, and each box against all that stay."""
    pairs = sorted(
        ((float(logits[a, c]), a, c) for a in range(len(logits)) for c in range(logits.shape[1])),
        key=lambda pair: (-pair[0], pair[1], pair[2]),
    )
    kept = []
    for logit, anchor, number in pairs[:candidates]:
        score = 1 / (1 + math.exp(-logit))
        if score < nms.score:
            break
        top, left, bottom, right = (float(v) for v in GEOMETRY.anchors()[anchor])
        ty, tx, th, tw = (float(v) for v in codes[anchor])
        y, x = ty * (bottom - top) + (top + bottom) / 2, tx * (right - left) + (left + right) / 2
        height, width = math.exp(th) * (bottom - top), math.exp(tw) * (right - left)
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        if all((c != number and not nms.across) or overlap(box, b) <= nms.iou for b, _, c in kept):
            kept.append((box, score, number))
        if len(kept) == nms.max_boxes:
            break
    return kept


def overlap(a, b) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(wide, 0) * max(high, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / (sum(areas) - common)


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize(
    ("mean", "nms"),
    [(-4.0, Nms(0.3)), (-3.0, Nms(0.01, 0.5, 100)), (-3.0, Nms(0.2, 0.3, 7)), (0.0, Nms(0.0, 0.9, 500))],
)
def test_boxes_are_those_of_the_textbook(mean, nms, across):
    nms = Nms(nms.score, nms.iou, nms.max_boxes, across)
    logits, codes = values(1, mean, 3)
    found, expected = decode(logits, codes, GEOMETRY, nms), brute(logits, codes, nms)
    assert len(found) == len(expected) > 3
    np.testing.assert_allclose(found.corners, [box for box, _, _ in expected], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.scores, [score for _, score, _ in expected], rtol=1e-5)
    assert found.classes.tolist() == [number for _, _, number in expected]


@pytest.mark.parametrize("floor", [-math.inf, -1.0, 2.0, 50.0])
@pytest.mark.parametrize("kind", ["normal", "equal", "rising", "falling"])
def test_the_largest_are_those_of_a_stable_sort(kind, floor):
    """However many are over the floor, and over more than one part of what is read at a time."""
    rng = np.random.default_rng(2)
    flat = {
        "normal": rng.normal(0, 1, 200_000).round(2),
        "equal": np.full(150_000, 2.0),
        "rising": np.arange(150_000) / 1e4,
        "falling": -np.arange(150_000) / 1e4,
    }[kind].astype(np.float32)
    flat[[5, 100_000]] = -np.inf
    found, invalid = largest(flat.reshape(-1, 10), floor, 700)
    there = np.flatnonzero((flat >= np.float32(floor)) & (flat > -np.inf))
    expected = there[np.argsort(-flat[there], kind="stable")][:700]
    np.testing.assert_array_equal(found, expected)
    assert invalid == 0


def test_other_layouts_and_types_of_the_same_values_say_the_same():
    logits, codes = (each.astype(np.float16) for each in values(7))
    expected = decode(logits.astype(np.float32), codes.astype(np.float32), GEOMETRY, Nms())
    across = np.asfortranarray(logits.astype(np.float64))
    assert decode(logits, codes, GEOMETRY, Nms()) == decode(across, codes, GEOMETRY, Nms()) == expected


def test_what_is_no_number_gives_no_box_and_is_counted():
    logits, codes = values(3, -9.0)
    logits[10, 2], logits[11, 1], logits[12, 0], logits[13, 4] = np.nan, np.inf, 3.0, -np.inf
    codes[12, 3] = np.nan
    found = decode(logits, codes, GEOMETRY, Nms(0.5))
    assert (found.classes.tolist(), found.scores.tolist(), found.invalid) == ([1], [1.0], 2)


@pytest.mark.parametrize("odd", [np.inf, -np.inf, 1e30, -1e30, 200.0])
def test_absurd_codes_give_finite_boxes(odd):
    logits, codes = values(4, -9.0)
    logits[:50, 1] = np.linspace(1, 2, 50)
    for place in range(4):
        codes[10 * place : 10 * place + 5, place] = odd
    found = decode(logits, codes, GEOMETRY, Nms(0.5))
    assert len(found) and np.isfinite(found.corners).all()
    assert np.isfinite(ious(found.corners, found.corners)).all()


def test_other_shapes_are_refused():
    logits, codes = values(5)
    for one, other in ((logits[:-1], codes), (logits, codes[:, :3]), (logits[None], codes)):
        with pytest.raises(ValueError, match=f"the anchors are {GEOMETRY.count}"):
            decode(one, other, GEOMETRY, Nms())


def test_rows_of_a_runtime_are_read_back():
    logits, codes = values(6)
    boxes = decode(logits, codes, GEOMETRY, Nms(0.2, max_boxes=10))
    rows = rows_of(boxes, 15)
    assert rows[10:].tolist() == [[0, 0, 0, 0, 0, -1]] * 5
    assert of_rows(rows[::-1], 0.2) == boxes
    assert of_rows(rows, 0.9) == boxes.at(0.9)
    rows[0, 5], rows[1, 2], rows[2, 4], rows[3, 5] = 1.5, np.inf, np.nan, 1e30
    assert (len(of_rows(rows, 0)), of_rows(rows, 0).invalid) == (6, 4)


def test_boxes_match_once_and_in_their_class():
    corners = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40], [50, 50, 50, 60]], np.float32)
    one = Boxes(corners, np.array([0.9, 0.8, 0.7, 0.6], np.float32), np.array([1, 1, 2, 3]))
    other = Boxes(corners[[1, 2, 0, 3]], one.scores, np.array([1, 1, 1, 3]))
    assert matched(one, other).tolist() == [2, 0, -1, -1]
    assert matched(one, other.of(np.array([0]))).tolist() == [0, -1, -1, -1]
    assert matched(one, Boxes.none()).tolist() == [-1] * 4
    assert not len(matched(Boxes.none(), one))
    own, found = paired(one, other)
    np.testing.assert_allclose(own, [0.9, 0.8, 0.7, 0.6, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(found, [0.7, 0.9, 0, 0, 0.8, 0.6], rtol=1e-6)
    other = Boxes(
        corners[:1] * np.float32([1, 1, 1, 2]), one.scores[:1], one.classes[:1]
    )  # half of it overlaps
    np.testing.assert_allclose(paired(other, one.of(np.array([0]))), [[0.9], [0.45]], rtol=1e-6)
