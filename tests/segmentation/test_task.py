"""Masks: what is decided, where it lies in a photo, how good it is."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeeff.drawings import Drawings
from edgeeff.errors import BundleError, OptionError
from edgeeff.gate.fidelity import _agreement, by_chance
from edgeeff.images import Picture
from edgeeff.images.drawing import drawn
from edgeeff.images.mask_picture import png
from edgeeff.metrics import Proportion
from edgeeff.preprocess import Preprocess
from edgeeff.segmentation import Mask, classes_of
from edgeeff.tasks import SEGMENTATION, Meaning, Naming, room
from edgeeff.tasks.segmentation import SegmentationScorer

MEANING, NAMING = Meaning(SEGMENTATION), Naming(("road", "car", "sky"))


def logits(classes: np.ndarray, count: int = 3, seed: int = 0) -> np.ndarray:
    """Scores [N, C, H, W] whose largest are these classes."""
    found = np.random.default_rng(seed).normal(size=(*classes.shape[:1], count, *classes.shape[1:]))
    np.put_along_axis(found, classes[:, None], 9.0, axis=1)
    return found.astype(np.float32)


class Known:
    """A truth that is in memory."""

    def __init__(self, mask: np.ndarray | None, number: int = 0, fit: object = None) -> None:
        self.mask, self.number, self.fit = mask, number, fit

    def read(self) -> np.ndarray | None:
        return self.mask


def scored(*pairs: tuple[np.ndarray, np.ndarray], fit: object = None) -> SegmentationScorer:
    """A scorer that has seen pairs of decided and true classes, [H, W] each."""
    scorer = SegmentationScorer(3)
    for number, (decided, true) in enumerate(pairs):
        truth = np.empty(1, object)
        truth[0] = Known(true.astype(np.uint8), number, fit)
        scorer.update({"mask": decided[None].astype(np.int32)}, truth)
    return scorer


def test_the_largest_score_decides_and_of_equal_ones_the_lower_class_as_argmax_has_it() -> None:
    values = np.round(np.random.default_rng(1).normal(size=(2, 5, 6, 7)) * 2).astype(np.float32)
    assert (classes_of(values, 5) == values.argmax(1)).all()
    values[1, 3, 2, 2] = np.nan
    found = classes_of(values, 5)
    assert found[1, 2, 2] == 255
    assert (found == 255).sum() == 1


@pytest.mark.parametrize(
    ("options", "photo"),
    [
        ({"crop": 1.0, "squash": True}, (50, 30)),
        ({"crop": 0.8}, (64, 40)),
        ({"crop": 1.0, "letterbox": (0.0, 0.0, 0.0)}, (30, 52)),
        ({"crop": 1.0}, (24, 16)),
    ],
)
def test_a_mask_goes_back_to_the_photo_as_the_preprocessing_took_it(
    options: dict[str, object], photo: tuple[int, int]
) -> None:
    """A photo whose pixels are one of two colours comes back as the mask of these colours."""
    preprocess = Preprocess((16, 24), (0.0,) * 3, (1.0,) * 3, interpolation="bilinear", **options)  # type: ignore[arg-type]
    width, height = photo
    true = np.zeros((height, width), np.uint8)
    true[height // 3 :, width // 4 : width // 2] = 1
    pixels, fit = preprocess.fitted(Image.fromarray(true * 255).convert("RGB"))
    mask = Mask((pixels[:, :, 0] > 127).astype(np.uint8)).placed(fit)
    assert mask.size == photo
    seen = mask.classes != mask.void
    left, top, right, bottom = fit.box
    shown = (min(right, width) - max(left, 0)) * (min(bottom, height) - max(top, 0))
    assert abs(seen.sum() - shown) <= width + height
    assert mask.cut_off == (~seen).sum()
    # What differs lies at the border of the two colours: within an input's pixel of it.
    near = 2 * (width / 24 + height / 16) * (width // 4 + 2 * height // 3) / 2
    assert (mask.classes != true)[seen].sum() <= near
    assert (mask.classes == 1).sum() > 0.7 * (true[seen.any(1)][:, seen.any(0)] == 1).sum()


def test_shares_are_of_the_whole_photo_and_a_crop_is_said() -> None:
    preprocess = Preprocess((10, 10), (0.0,) * 3, (1.0,) * 3, crop=1.0)
    classes = np.repeat([[0] * 6 + [1] * 4], 10, 0)
    (found,) = MEANING.decode({"mask_logits": logits(classes[None])}, NAMING, [preprocess.place((40, 20))])
    assert found.mask is not None
    assert found.mask.cut_off == 400
    assert [(one.label, one.pixels, one.share) for one in found.mask.shares] == [
        ("road", 240, 0.3),
        ("car", 160, 0.2),
    ]
    assert found.label == "road"
    assert found.line() == "road 30.0%, car 20.0%"
    said = MEANING.to_json(found)
    assert said["size"] == [40, 20]
    assert said["cut_off"] == 0.5


def test_artifacts_that_end_in_classes_and_in_scores_say_the_same() -> None:
    classes = np.random.default_rng(3).integers(0, 3, (2, 4, 5))
    scores = {"mask_logits": logits(classes)}
    ended = MEANING.outputs(scores, room(SEGMENTATION).outputs({"mask": (1, 4, 5)}))
    assert ended["mask"].dtype == np.int32
    one, other = (MEANING.decode(each, NAMING) for each in (scores, ended))
    assert [each.mask for each in one] == [each.mask for each in other]
    changed = ended["mask"].copy()
    changed[0, 0, 0] = (changed[0, 0, 0] + 1) % 3
    found = MEANING.fidelity(*MEANING.alike(scores, {"mask": changed}))
    assert (found.agreeing, found.decisions, found.images) == (39, 40, 2)
    assert found.sqnr == pytest.approx(10 * np.log10(40 / 2))
    assert (found + found).agreement == Proportion(78, 80, 4)  # the pixels of four images


def test_a_thousand_pixels_of_an_image_are_one_image_to_a_test() -> None:
    """An interval and the gate count images: the same share of more pixels of as many is no surer."""
    few, many = (Proportion(9 * count, 10 * count, 20) for count in (20, 2000))
    assert few.interval == many.interval == Proportion(18, 20).interval
    assert Proportion.from_json(many.to_json()) == many
    assert (
        by_chance(many, Proportion(40000, 40000, 20))
        == by_chance(Proportion(18, 20), Proportion(20, 20))
        > 0.1
    )
    verdict = _agreement("net", (many, None), 5.0, "the float", 20)
    assert verdict.status == "inconclusive"
    assert _agreement("net", (Proportion(18000, 20000), None), 5.0, "the float", 20).status == "fail"


def test_a_number_added_to_all_scores_of_a_pixel_is_no_noise() -> None:
    values = logits(np.random.default_rng(4).integers(0, 3, (2, 8, 9)))
    shift = np.random.default_rng(5).normal(size=(2, 1, 8, 9)).astype(np.float32)
    found = MEANING.fidelity({"mask_logits": values}, {"mask_logits": values + shift})
    assert found.sqnr < 20 < 100 < found.sqnr_centred
    assert found.agreement is not None
    assert found.agreement.value == 1


def test_iou_is_that_of_all_pixels_and_ignored_ones_count_for_nothing() -> None:
    true = np.array([[0, 0, 1, 1], [0, 255, 2, 2]])
    decided = np.array([[0, 1, 1, 1], [0, 2, 2, 0]])
    found = scored((decided, true)).scores()
    assert found is not None
    assert [one.iou for one in found.classes] == [2 / 4, 2 / 3, 1 / 2]
    assert found.primary == pytest.approx((2 / 4 + 2 / 3 + 1 / 2) / 3)
    assert (found.pixels.successes, found.pixels.total) == (5, 7)
    assert found.confusion.tolist() == [[2, 1, 0, 0], [0, 2, 0, 0], [1, 0, 1, 0]]
    assert found.to_json()["pixels"] == {"scored": 7, "ignored": 1, "cut_off": 0, "invalid": 0}


def test_a_class_that_the_truth_lacks_is_in_no_mean_and_errs_where_it_stands() -> None:
    found = scored((np.array([[0, 2]]), np.array([[0, 0]]))).scores()
    assert found is not None
    assert found.primary == 0.5
    assert [(one.number, one.iou) for one in found.classes] == [(0, 0.5), (2, None)]


def test_shards_in_any_order_add_up_to_the_whole() -> None:
    generator = np.random.default_rng(6)
    pairs = [(generator.integers(0, 3, (5, 6)), generator.integers(0, 3, (5, 6))) for _ in range(4)]
    whole, parted = scored(*pairs), SegmentationScorer(3)
    states = []
    for number, pair in enumerate(pairs):
        truth = np.empty(1, object)
        truth[0] = Known(pair[1].astype(np.uint8), number)
        part = SegmentationScorer(3)
        part.update({"mask": pair[0][None]}, truth)
        states.append(part.state())
    for state in reversed(states):
        parted.add(state)
    one, other = whole.scores(), parted.scores()
    assert one is not None
    assert other is not None
    assert one.to_json() == other.to_json()
    assert (one.numbers == other.numbers).all()
    with pytest.raises(ValueError, match="counts of"):
        SegmentationScorer(2).add(states[0])


def test_a_loss_has_an_interval_and_equal_networks_lose_nothing() -> None:
    generator = np.random.default_rng(7)
    truths = [generator.integers(0, 3, (20, 20)) for _ in range(30)]
    noisy = [np.where(generator.random((20, 20)) < 0.2, 2 - t, t) for t in truths]
    good = scored(*((t, t) for t in truths)).scores()
    bad = scored(*zip(noisy, truths, strict=True)).scores()
    assert good is not None
    assert bad is not None
    found = bad.lost(good)
    assert found is not None
    assert found.low < found.points < found.high
    assert found.points == pytest.approx(100 * (1 - bad.primary))
    assert found.p_worse < 1e-6
    same = good.lost(good)
    assert same is not None
    assert (same.points, same.low, same.high) == (0, 0, 0)
    fewer = scored(*((t, t) for t in truths[:-1])).scores()
    assert fewer is not None
    assert fewer.lost(good) is None


def test_pixels_that_a_crop_cut_off_are_left_out_and_said() -> None:
    fit = Preprocess((10, 10), (0.0,) * 3, (1.0,) * 3, crop=1.0).place((20, 10))
    found = scored((np.zeros((10, 10), int), np.zeros((10, 20), int)), fit=fit).scores()
    assert found is not None
    assert found.to_json()["pixels"] == {"scored": 100, "ignored": 0, "cut_off": 100, "invalid": 0}
    assert found.primary == 1
    assert any("cuts off 50.0%" in text for text in found.doubts("b", 3))


def test_scores_that_are_no_numbers_are_wrong_and_said() -> None:
    values = logits(np.zeros((1, 2, 2), int))
    values[0, :, 0, 0] = np.nan
    truth = np.empty(1, object)
    truth[0] = Known(np.zeros((2, 2), np.uint8))
    scorer = SegmentationScorer(3)
    scorer.update({"mask_logits": values}, truth)
    found = scorer.scores()
    assert found is not None
    assert found.primary == 0.75
    assert any("no numbers" in text for text in found.doubts("b", 3))
    (prediction,) = MEANING.decode({"mask_logits": values}, NAMING)
    assert prediction.mask is not None
    assert prediction.mask.invalid == 1
    assert MEANING.to_json(prediction)["invalid"] == 1


def test_outputs_of_another_form_or_of_other_classes_are_refused() -> None:
    task = room(SEGMENTATION)
    assert task.outputs({"logits": (1, 3, 4, 5)})[0].meaning == "scores"
    with pytest.raises(OptionError, match="mask_logits"):
        task.outputs({"logits": (1, 10)})
    with pytest.raises(BundleError, match="class 7"):
        MEANING.decode({"mask": np.full((1, 2, 2), 7)}, NAMING)
    with pytest.raises(BundleError, match="2 classes"):
        MEANING.decode({"mask_logits": np.zeros((1, 2, 2, 2), np.float32)}, NAMING)


def test_an_overlay_shows_classes_and_the_file_of_a_mask_holds_them(tmp_path: Path) -> None:
    preprocess = Preprocess((32, 48), (0.0,) * 3, (1.0,) * 3, crop=1.0)
    classes = np.zeros((1, 32, 48), np.int64)
    classes[:, 16:] = 2
    photo = Image.new("RGB", (400, 200), (128, 128, 128))
    (found,) = MEANING.decode({"mask_logits": logits(classes)}, NAMING, [preprocess.place(photo.size)])
    assert found.mask is not None
    shown = np.asarray(drawn(photo, found)).astype(int)
    colours = {tuple(shown[y, 300]) for y in (60, 99, 120, 190)}
    assert len(colours) == 2
    assert tuple(shown[100, 10]) == (128, 128, 128)  # cut off: no class
    assert (np.asarray(drawn(photo, found))[:20, :20] != 128).any()  # the legend
    Drawings(tmp_path, "overlay").photo(Picture(Path("a.jpg")), drawn(photo, found), png(found.mask))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mask.png", "a.overlay.jpg"]
    with Image.open(tmp_path / "a.mask.png") as file:
        assert (file.mode, file.size) == ("P", (400, 200))
        values = np.asarray(file)
    np.testing.assert_array_equal(values, found.mask.classes)
    assert set(np.unique(values)) == {0, 2, 255}
    wide = Mask(np.array([[0, 300, 65535]], np.uint16))
    with Image.open(io.BytesIO(png(wide))) as file:
        np.testing.assert_array_equal(np.asarray(file), wide.classes)
