"""Metrics against figures computed by hand, against scikit-learn, and by their properties."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import precision_recall_fscore_support, top_k_accuracy_score

from edgeeff.metrics import (
    ClassificationAccumulator,
    Noise,
    Proportion,
    agreement,
    bootstrap_ratio,
    hits,
    json_number,
    sqnr,
    top_k,
    wilson,
)

logits_2d = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.floats(-100, 100, width=32)
)


def test_sqnr_by_hand():
    # Σref² = 1 + 4 + 9 + 16 = 30, Σerr² = 0.01 + 0.02 = 0.03: exactly 30 dB.
    reference = np.array([[1.0, 2.0], [3.0, 4.0]])
    test = reference + np.array([[0.1, 0.0], [0.0, math.sqrt(0.02)]])
    assert sqnr(reference, test) == pytest.approx(30.0)


def test_sqnr_pools_over_images_rather_than_averaging():
    reference = np.array([[10.0, 0.0], [1.0, 0.0]])
    test = np.array([[10.0, 0.0], [0.0, 0.0]])
    assert sqnr(reference, test) == pytest.approx(10 * math.log10(101))


def test_per_image_mean_ignores_a_shift_of_each_image():
    reference = np.array([[1.0, 3.0], [5.0, 1.0]])
    shifted = reference + np.array([[7.0], [-2.0]])
    assert sqnr(reference, shifted, per_image_mean=True) == math.inf
    # Without means: ref ±1, ±2 → 10; error ±0.5 in the first image → 0.5.
    test = shifted + np.array([[0.5, -0.5], [0.0, 0.0]])
    assert sqnr(reference, test, per_image_mean=True) == pytest.approx(10 * math.log10(10 / 0.5))
    assert sqnr(reference, test) < 0


def test_sqnr_of_equal_of_silent_and_of_broken_logits():
    assert sqnr(np.ones((2, 3)), np.ones((2, 3))) == math.inf
    assert sqnr(np.zeros((2, 3)), np.ones((2, 3))) == -math.inf
    assert math.isnan(sqnr(np.ones((1, 2)), np.array([[1.0, math.nan]])))
    with pytest.raises(ValueError, match="two of one"):
        sqnr(np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="two of one"):
        sqnr(np.ones(3), np.ones(3))


@settings(deadline=None)
@given(logits_2d, st.floats(0.5, 2.0), st.integers(1, 5))
def test_sqnr_is_scale_free_and_streams(reference, factor, split):
    test = reference + np.float32(0.25)
    whole = sqnr(reference, test)
    assert sqnr(reference * 4, test * 4) == pytest.approx(whole)
    for centred in (False, True):
        stream = Noise()
        noisy = reference * np.float32(factor) + np.arange(reference.shape[1], dtype=np.float32)
        for part in np.array_split(np.arange(len(reference)), split):
            stream += Noise.of(reference[part], noisy[part], per_image_mean=centred)
        assert stream.sqnr == pytest.approx(sqnr(reference, noisy, per_image_mean=centred), abs=1e-9)


def test_hits_breaks_ties_as_argmax_does():
    logits = np.array([[5, 5, 1]] * 3)
    assert hits(logits, np.array([0, 1, 2]), 1).tolist() == [True, False, False]
    assert hits(logits, np.array([0, 1, 2]), 2).tolist() == [True, True, False]


@settings(deadline=None)
@given(
    hnp.arrays(np.int8, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.integers(-3, 3)),
    st.data(),
)
def test_hits_against_argmax_and_a_stable_sort(logits, data):
    n, classes = logits.shape
    labels = data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, classes - 1)))
    assert (hits(logits, labels, 1) == (logits.argmax(axis=1) == labels)).all()
    ranked = np.argsort(-logits.astype(int), axis=1, kind="stable")
    for k in range(1, classes + 1):
        assert (hits(logits, labels, k) == (ranked[:, :k] == labels[:, None]).any(axis=1)).all()
    assert top_k(logits, labels, classes) == 1.0


def test_broken_logits_are_never_hits():
    logits = np.array([[math.nan, 1.0], [math.nan, 1.0]])
    assert hits(logits, np.array([0, 1]), 1).tolist() == [False, False]
    assert hits(logits, np.array([0, 1]), 2).tolist() == [False, True]


@pytest.mark.parametrize("labels", [[-1, 0], [0, 3], [0]])
def test_hits_refuses_labels_that_do_not_fit(labels):
    with pytest.raises(ValueError, match="label"):
        hits(np.zeros((2, 3)), np.array(labels), 1)


def test_agreement_by_hand():
    reference = np.array([[1.0, 2.0], [2.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    test = np.array([[0.0, 9.0], [0.0, 1.0], [5.0, 6.0], [1.0, 0.0]])
    assert agreement(reference, test) == 0.75
    assert agreement(reference, reference) == 1.0


def test_wilson_against_published_figures():
    # Newcombe (1998), table I, method 3.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@settings(deadline=None)
@given(st.integers(0, 5000), st.data())
def test_wilson_holds_the_proportion_and_mirrors(n, data):
    successes = data.draw(st.integers(0, n))
    low, high = wilson(successes, n)
    assert 0.0 <= low <= high <= 1.0
    if n:
        assert low <= successes / n <= high
    assert wilson(n - successes, n) == pytest.approx((1 - high, 1 - low))


def test_wilson_refuses_what_is_no_proportion():
    with pytest.raises(ValueError, match="no proportion"):
        wilson(3, 2)


def test_bootstrap_is_paired_deterministic_and_honest_about_one_launch():
    drift = np.array([1.0, 2.0, 4.0, 8.0, 16.0])  # a machine that slows down slows both
    assert bootstrap_ratio(3 * drift, drift, seed=0) == (3.0, 3.0)
    noisy = drift * [0.9, 1.0, 1.1, 1.2, 1.3]
    assert bootstrap_ratio(noisy, drift, seed=5) == bootstrap_ratio(noisy, drift, seed=5)
    assert bootstrap_ratio([1.0], [2.0], seed=0) is None
    with pytest.raises(ValueError, match="paired"):
        bootstrap_ratio([1.0, 2.0], [1.0], seed=0)


def test_five_launches_give_the_smallest_and_the_largest_ratio():
    ratios = [1.3, 0.9, 1.0, 1.2, 1.1]
    assert bootstrap_ratio(ratios, [1.0] * 5, seed=1) == pytest.approx((0.9, 1.3))


@pytest.mark.parametrize("launches", [5, 15])
def test_bootstrap_interval_covers_the_true_ratio(launches):
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        clock = generator.uniform(1, 2, launches)
        a = 0.8 * clock * generator.lognormal(0, 0.03, launches)
        low, high = bootstrap_ratio(a, clock, seed=0)
        covered += low <= 0.8 <= high
    assert 0.88 <= covered / 100 <= 0.99


@settings(deadline=None)
@given(st.data())
def test_scores_are_scikit_learns_whatever_the_batches(data):
    classes = data.draw(st.integers(2, 8))
    n = data.draw(st.integers(1, 30))
    generator = np.random.default_rng(data.draw(st.integers(0, 1000)))
    logits, labels = generator.normal(size=(n, classes)), generator.integers(0, classes, n)
    accumulator = ClassificationAccumulator(classes)
    for part in np.array_split(np.arange(n), data.draw(st.integers(1, 4))):
        accumulator.update(logits[part], labels[part])
    expected = precision_recall_fscore_support(
        labels, logits.argmax(axis=1), average="macro", zero_division=0
    )
    macro = accumulator.macro
    assert (macro.precision, macro.recall, macro.f1) == pytest.approx(expected[:3])
    assert accumulator.top_1.value == pytest.approx((logits.argmax(axis=1) == labels).mean())
    if classes > 5:
        every = np.arange(classes)
        assert accumulator.top_5.value == pytest.approx(
            top_k_accuracy_score(labels, logits, k=5, labels=every)
        )
    else:
        assert accumulator.top_5 is None


def test_macro_scores_leave_out_classes_that_do_not_occur():
    accumulator = ClassificationAccumulator(1000)
    logits = np.zeros((2, 1000))
    logits[0, 7] = logits[1, 9] = 1.0
    accumulator.update(logits, np.array([7, 9]))
    assert (accumulator.macro.f1, accumulator.macro.classes) == (1.0, 2)
    assert math.isnan(ClassificationAccumulator(3).macro.f1)


def test_every_figure_is_valid_json():
    assert [json_number(v) for v in (1.5, math.inf, -math.inf, math.nan)] == [1.5, "inf", "-inf", "nan"]
    for proportion in (Proportion(3, 4), Proportion(0, 0)):
        json.dumps(proportion.to_json(), allow_nan=False)
