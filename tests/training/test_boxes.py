"""What a detector learns from: anchors matched with boxes, the loss, photos shown anew, a new head."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from edgeeff.detection import Geometry, ious
from edgeeff.detection.decoding import codes_of, corners_of
from edgeeff.preprocess import Preprocess
from edgeeff.training.boxes import losses
from edgeeff.training.boxes.losses import Wanted
from edgeeff.training.boxes.matching import BACKGROUND, IGNORED, Targets, targets
from edgeeff.training.boxes.network import renamed
from edgeeff.training.boxes.views import Look, view
from edgeeff.zoo import catalog
from edgeeff.zoo.detection import efficientdet

#: 4 x 4 places of 16 pixels, at each a square of 32 and of 45 pixels.
GEOMETRY = Geometry((64, 64), (4, 4), 2, ((1.0, 1.0),), 2.0)
NONE = np.zeros(0, bool)


def wanted(corners, classes, ignored=None, geometry=GEOMETRY):
    corners = np.asarray(corners, np.float64).reshape(-1, 4)
    ignored = np.zeros(len(corners), bool) if ignored is None else np.asarray(ignored, bool)
    return targets(corners, np.asarray(classes, np.int64), ignored, geometry)


def test_a_box_that_is_an_anchor_wants_no_change_of_it_and_background_elsewhere():
    # The place in row 1, column 2 has its middle at (40, 24); its small anchor is 32 pixels wide.
    found = wanted([[24, 8, 56, 40]], [5])
    number = (1 * 4 + 2) * 2
    assert number in found.anchors
    np.testing.assert_allclose(found.codes[found.anchors == number], 0, atol=1e-6)
    assert (found.classes[found.anchors] == 5).all()
    rest = np.delete(np.arange(GEOMETRY.count), found.anchors)
    assert (found.classes[rest] == BACKGROUND).all()
    places = GEOMETRY.anchors()[:, [1, 0, 3, 2]]
    shared = ious(np.array([[24.0, 8, 56, 40]]), places)[0]
    np.testing.assert_array_equal(found.anchors, np.flatnonzero(shared >= 0.5))


def test_every_box_has_an_anchor_and_two_share_none():
    # Both are far too small for any anchor: each gets the one that overlaps it most.
    small = wanted([[22, 22, 26, 26], [38, 38, 43, 42]], [0, 1])
    assert small.classes[small.anchors].tolist() == [0, 1]
    assert (small.classes == BACKGROUND).sum() == GEOMETRY.count - 2
    # Two boxes whose best anchor is the same: the first has it.
    same = wanted([[30, 30, 34, 34], [31, 31, 34, 34]], [0, 1])
    assert same.classes[same.anchors].tolist() == [0]


def test_a_box_that_touches_no_anchor_has_none_and_a_photo_without_boxes_is_background():
    corner = Geometry((64, 64), (4, 4), 1, ((1.0, 1.0),), 0.25)  # anchors of 4 pixels, 16 apart
    assert len(wanted([[0, 0, 3, 3]], [0], geometry=corner).anchors) == 0
    nothing = wanted([], [])
    assert (nothing.classes == BACKGROUND).all()
    assert nothing.codes.shape == (0, 4)


def test_anchors_on_a_crowd_count_for_nothing_unless_they_are_for_a_box():
    found = wanted([[0, 0, 64, 32], [24, 8, 56, 40]], [3, 5], [True, False])
    assert (found.classes[found.anchors] == 5).all()
    others = np.delete(np.arange(GEOMETRY.count), found.anchors)
    centres = GEOMETRY.centres()[others]
    assert (found.classes[others][centres[:, 0] > 48] == BACKGROUND).all()
    small = centres[:, 2] < 40
    assert (found.classes[others][small & (centres[:, 0] == 8)] == IGNORED).all()
    assert not (found.classes == 3).any()


def test_many_boxes_are_matched_as_all_pairs_at_once_would_be(monkeypatch):
    draw = np.random.default_rng(0).uniform
    corners = draw(0, 40, (30, 4))
    corners[:, 2:] = corners[:, :2] + draw(4, 24, (30, 2))
    classes = np.arange(30)
    whole = wanted(corners, classes)
    monkeypatch.setattr("edgeeff.training.boxes.matching._TOGETHER", GEOMETRY.count)
    parts = wanted(corners, classes)
    np.testing.assert_array_equal(whole.classes, parts.classes)
    np.testing.assert_array_equal(whole.codes, parts.codes)


def test_codes_are_what_decoding_makes_the_box_of():
    draw = np.random.default_rng(1).uniform
    corners = draw(0, 300, (50, 4))
    corners[:, 2:] = corners[:, :2] + draw(2, 200, (50, 2))
    centres = Geometry((320, 320)).centres()[::400][:50]
    back = corners_of(codes_of(corners[: len(centres)], centres), centres)
    np.testing.assert_allclose(back, corners[: len(centres)], rtol=1e-5, atol=1e-3)


def by_hand(logit: float, one: bool, smoothing: float = 0.0) -> float:
    """Focal loss of one value, as Lin et al. write it."""
    p = 1 / (1 + math.exp(-logit))
    t = (1 - smoothing if one else 0) + smoothing / 2
    entropy = -t * math.log(p) - (1 - t) * math.log(1 - p)
    return (0.25 * (1 - p) ** 1.5 if one else 0.75 * p**1.5) * entropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_what_the_formulas_give(smoothing):
    values = torch.tensor([[[-1.0, 2.0], [0.5, -3.0], [4.0, 4.0]]])
    codes = torch.tensor([[[0.05, -0.3, 0.0, 1.0], [9.0] * 4, [9.0] * 4]])
    image = Targets(
        np.array([1, BACKGROUND, IGNORED]), np.array([0]), np.array([[0.0, 0.0, 0.0, 0.5]], np.float32)
    )
    classes = by_hand(-1, False, smoothing) + by_hand(2, True, smoothing)
    classes += by_hand(0.5, False, smoothing) + by_hand(-3, False, smoothing)
    boxes = 0.5 * 0.05**2 + 0.1 * (0.3 - 0.05) + 0 + 0.1 * (0.5 - 0.05)
    found = losses.total(values, codes, Wanted.of([image]), 1, smoothing)
    assert float(found) == pytest.approx((classes + 50 * boxes / 4) / 2, rel=1e-5)


def test_parts_of_a_batch_add_up_to_its_loss_and_large_logits_stay_finite():
    draw = torch.Generator().manual_seed(0)
    logits, codes = torch.randn(2, 32, 3, generator=draw) * 40, torch.randn(2, 32, 4, generator=draw)
    images = [wanted([[24, 8, 56, 40]], [2]), wanted([], [])]
    whole = losses.total(logits, codes, Wanted.of(images), 4)
    parts = [
        losses.total(logits[i : i + 1], codes[i : i + 1], Wanted.of(images[i : i + 1]), 4) for i in (0, 1)
    ]
    assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-5)
    far = torch.full((1, 32, 3), 1e4, requires_grad=True)
    lost = losses.total(far, codes[:1], Wanted.of(images[:1]), 4)
    (gradient,) = torch.autograd.grad(lost, far)
    assert torch.isfinite(lost) and torch.isfinite(gradient).all()


PREPROCESS = Preprocess((96, 128), (127.0,) * 3, (128.0,) * 3, 1.0, "bilinear", letterbox=(20.0, 30.0, 40.0))


@pytest.mark.parametrize("photo", [(300, 200), (90, 240), (128, 96)])
def test_boxes_stay_on_what_they_are_around_however_a_photo_is_looked_at(photo):
    """A white rectangle on black: the box and the white pixels of the view are in the same place."""
    width, height = photo
    box = np.array([[width * 0.3, height * 0.2, width * 0.7, height * 0.6]]).round()
    image = Image.new("RGB", photo)
    image.paste((255, 255, 255), tuple(int(side) for side in box[0]))
    random, seen = np.random.default_rng(0), 0
    for _ in range(40):
        look = Look.drawn(random, (0.2, 2.0))
        found = view(image, (box, np.array([7]), np.array([False])), PREPROCESS, look)
        assert found.pixels.shape == (96, 128, 3)
        white = np.argwhere(found.pixels.min(axis=2) > 128)
        if not len(found.corners):
            assert len(white) <= 130  # a row or a column at the border, of rounding
            continue
        seen += 1
        assert found.classes.tolist() == [7]
        low, high = white.min(axis=0), white.max(axis=0) + 1
        np.testing.assert_allclose(found.corners[0], [low[1], low[0], high[1], high[0]], atol=1.5)
        assert (found.corners[0] >= 0).all() and (found.corners[0] <= [128, 96, 128, 96]).all()
    assert seen > 20


def test_a_photo_looked_at_plainly_is_the_deployments_and_a_small_one_stands_on_its_colour():
    image = Image.effect_noise((300, 200), 80).convert("RGB")
    nothing = (np.zeros((0, 4)), np.zeros(0, np.int64), NONE)
    np.testing.assert_array_equal(view(image, nothing, PREPROCESS).pixels, PREPROCESS.fit(image))
    small = view(image, nothing, PREPROCESS, Look(scale=0.5)).pixels
    assert (small[48:, 64:] == [20, 30, 40]).all()
    assert not (small[:40, :60] == [20, 30, 40]).all()


def test_what_a_cut_leaves_of_a_box_is_no_longer_to_be_found():
    image, few = Image.new("RGB", (128, 96)), np.array([[0.0, 0.0, 70.0, 20.0], [0.0, 0.0, 20.0, 20.0]])
    look = Look(scale=2.0, across=1.0)  # the right half
    found = view(image, (few, np.array([1, 2]), np.array([False, False])), PREPROCESS, look)
    assert found.classes.tolist() == [1]  # the other is gone
    assert found.ignored.tolist() == [True]  # 6 of 70 pixels are left


@pytest.fixture(scope="module")
def lite():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return efficientdet.build(catalog.detector("efficientdet-lite0"), 3, (128, 128))


def test_a_class_of_the_same_name_keeps_what_is_known_of_it_and_others_are_improbable(lite):
    x = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        lite.class_head.predict.pointwise.bias.copy_(
            torch.randn(27, generator=torch.Generator().manual_seed(1))
        )
        before, codes = lite(x)
        assert renamed(lite, ("cat", "dog", "cow"), ("emu", "cow", "cat", "owl"), 0) == ("cow", "cat")
        after, same = lite(x)
    assert after.shape == (1, before.shape[1], 4)
    torch.testing.assert_close(after[..., 1], before[..., 2])
    torch.testing.assert_close(after[..., 2], before[..., 0])
    torch.testing.assert_close(same, codes)
    assert float((after[..., [0, 3]].sigmoid() - 0.01).abs().max()) < 0.01
