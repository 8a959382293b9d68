"""Each way to end a range, on samples whose best range is known or can be tried out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeeff.calibration.statistics import TensorStatistics
from edgeeff.quantization import estimators, ranges
from edgeeff.quantization.estimators import Grid, Sample, weighted

GRIDS = {
    "symmetric": Grid(True, False),
    "unsigned": Grid(True, True),
    "any zero point": Grid(False, False),
}


def sample_of(values, gain=1.0, curve=None, tail=1e-4):
    values = np.sort(np.asarray(values, np.float64).ravel())
    counts = np.ones_like(values)
    return Sample(values, counts, counts * gain, curve, tail)


def limits(sample):
    return min(float(sample.values[0]), 0.0), max(float(sample.values[-1]), 0.0)


def error(sample, low, high, grid):
    """The weighted squared error behind the curve, by rounding every value to the codes of a range."""
    step = float(grid.step(np.float64(low), np.float64(high)))
    if grid.symmetric:
        first, last = (0, 255) if grid.unsigned else (-128, 127)
        codes = np.clip(np.rint(sample.values / step), first, last)
        found = codes * step
    else:
        zero = np.rint(-low / step)
        found = (np.clip(np.rint(sample.values / step) + zero, 0, 255) - zero) * step
    curve = sample.curve or (lambda x: x)
    return float((sample.weights * (curve(found) - curve(sample.values)) ** 2).sum())


@pytest.fixture
def laplace():
    return np.random.default_rng(0).laplace(0, 1, 20000)


def test_every_file_is_an_estimator():
    assert estimators.names() == ["entropy", "minmax", "mse", "percentile", "weighted"]
    assert all(callable(estimators.get(name)) for name in estimators.names())


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("name", estimators.names())
def test_a_range_holds_zero_and_lies_within_what_was_seen(name, grid, laplace):
    sample = sample_of(np.abs(laplace) if grid.unsigned else laplace)
    low, high = limits(sample)
    found_low, found_high = estimators.get(name)(sample, low, high, grid)
    assert low <= found_low <= 0 <= found_high <= high
    assert (found_low, found_high) != (0, 0)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("name", [n for n in estimators.names() if n != "entropy"])
def test_a_bounded_range_stays_whole(name, grid):
    """What fills its range evenly has no tail to give up."""
    values = np.random.default_rng(1).uniform(0 if grid.unsigned else -6, 6, 20000)
    sample = sample_of(values)
    low, high = estimators.get(name)(sample, *limits(sample), grid)
    assert high == pytest.approx(6, rel=0.03)
    assert grid.unsigned or low == pytest.approx(-6, rel=0.03)


@pytest.mark.parametrize("name", estimators.names())
def test_one_outlier(name, laplace):
    values = np.append(np.sort(np.clip(laplace, -4, 4)), 80.0)
    counts = np.append(np.full(len(laplace), 1000.0), 1.0)  # of twenty million
    sample = Sample(values, counts, counts, None, 1e-4)
    _, high = estimators.get(name)(sample, *limits(sample), GRIDS["symmetric"])
    if name == "minmax":
        assert high == 80
    else:
        assert 2 < high < 20


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("name", estimators.names())
def test_one_sided_values(name, side):
    sample = sample_of(side * np.random.default_rng(2).uniform(0, 5, 1000))
    low, high = estimators.get(name)(sample, *limits(sample), GRIDS["any zero point"])
    assert (low == 0 and 1 < high <= 5) if side == 1 else (high == 0 and -5 <= low < -1)


def test_percentile_leaves_just_its_tail_outside():
    values = np.arange(1, 10001) / 100.0
    sample = sample_of(np.concatenate([-values, values]), tail=0.01)
    low, high = estimators.get("percentile")(sample, *limits(sample), GRIDS["symmetric"])
    assert low == pytest.approx(-98, abs=0.02) and high == pytest.approx(98, abs=0.02)


def test_entropy_cuts_a_long_tail_and_keeps_a_whole_body():
    random = np.random.default_rng(3)
    body = random.normal(0, 1, 200000)
    tailed = np.concatenate([body, random.uniform(20, 60, 20)])
    sample = sample_of(tailed)
    _, high = estimators.get("entropy")(sample, *limits(sample), GRIDS["symmetric"])
    assert 3 < high < 25


def test_entropy_of_zeros_and_one_value():
    sample = Sample(np.array([0.0, 3.0]), np.array([1e6, 1.0]), np.array([1e6, 1.0]), None, 0)
    low, high = estimators.get("entropy")(sample, 0.0, 3.0, GRIDS["unsigned"])
    assert low == 0 and 0 < high <= 3


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("curve", [None, ranges.swish], ids=["itself", "after Swish"])
def test_the_cost_is_the_error_of_rounding_every_value(grid, curve, laplace):
    random = np.random.default_rng(4)
    values = np.abs(laplace) * 2 if grid.unsigned else laplace * 2
    sample = sample_of(values, gain=random.uniform(0.5, 2, len(values)), curve=curve)
    low, high = limits(sample)
    cost = weighted._Cost.of(sample)
    for share in (0.1, 0.2, 0.35, 0.6, 1.0):
        if grid.symmetric:
            bound = share * max(-low, high)
            ends = (0.0 if grid.unsigned else -bound, bound)
        else:
            ends = (share * low, share * high)
        tried = np.array([ends[0]]), np.array([ends[1]])
        found = float(cost(*tried, grid.step(*tried))[0])
        assert found == pytest.approx(error(sample, *ends, grid), rel=0.05), share


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_weighted_finds_what_trying_every_range_finds(grid, laplace):
    sample = sample_of(np.abs(laplace[:4000]) if grid.unsigned else laplace[:4000] + 1)
    low, high = limits(sample)
    found = error(sample, *estimators.get("weighted")(sample, low, high, grid), grid)
    shares = np.linspace(0.1, 1, 40)
    if grid.symmetric:
        bounds = shares * max(-low, high)
        every = [error(sample, 0.0 if grid.unsigned else -b, b, grid) for b in bounds]
    else:
        every = [error(sample, a * low, b * high, grid) for a in shares for b in shares]
    assert found <= 1.03 * min(every)


def test_of_pixels_a_few_large_values_do_not_set_the_scale(laplace):
    """A thousandth of the values is a hundred times as large as the others; without it nothing changes."""
    values = np.concatenate([laplace, np.full(20, 300.0)])
    plain, few = sample_of(values), sample_of(laplace)
    of_pixels = replace(plain, relative=True)
    grid = GRIDS["any zero point"]
    wide, tight, usual, same = (
        estimators.get("weighted")(one, *limits(one), grid)[1]
        for one in (plain, of_pixels, few, replace(few, relative=True))
    )
    assert wide > 200 and usual < tight < wide / 2 and same == pytest.approx(usual, rel=0.4)
    sparse = replace(sample_of(np.concatenate([laplace * 1e-3, np.full(100, 10.0)])), relative=True)
    # What is seldom, and all there is.
    assert estimators.get("weighted")(sparse, *limits(sparse), grid)[1] > 9


def test_mse_does_not_look_at_weight_or_curve(laplace):
    sample = sample_of(laplace, gain=np.random.default_rng(5).uniform(0, 9, len(laplace)), curve=ranges.swish)
    plain = sample_of(laplace)
    for grid in GRIDS.values():
        found = estimators.get("mse")(sample, *limits(sample), grid)
        assert found == estimators.get("mse")(plain, *limits(plain), grid)
        assert found == estimators.get("weighted")(plain, *limits(plain), grid)


def channels(*spreads):
    """Statistics of channels of normal values, by their standard deviations."""
    random = np.random.default_rng(6)
    rows = random.normal(0, 1, (len(spreads), 4096)) * np.array(spreads)[:, None]
    edge = np.exp2(np.ceil(np.log2(np.abs(rows).max(1))))
    histograms = [np.histogram(row, 128, (-e, e))[0] for row, e in zip(rows, edge, strict=True)]
    return TensorStatistics(
        *(rows.min(1).astype(np.float32), rows.max(1).astype(np.float32)),
        *(rows.mean(1), (rows**2).mean(1), rows.shape[1]),
        *(np.array(histograms, np.float32), edge),
    )


def test_channels_that_the_logits_do_not_feel_are_clipped():
    tensor = channels(1.0, 20.0)
    felt = ranges.value_range(tensor, True, "int8", "weighted", 0, gain=np.array([1.0, 0.0]))
    alone = ranges.value_range(channels(1.0), True, "int8", "weighted", 0)
    assert felt[1] < 6 and felt[1] == pytest.approx(alone[1], rel=0.5)
    both = ranges.value_range(tensor, True, "int8", "weighted", 0, gain=np.array([1.0, 1.0]))
    assert both[1] > 30


def test_a_gain_of_nothing_counts_all_channels_alike():
    tensor = channels(1.0, 3.0)
    silent = ranges.value_range(tensor, False, "int8", "weighted", 0, gain=np.zeros(2))
    assert silent == ranges.value_range(tensor, False, "int8", "weighted", 0)


def test_the_input_of_swish_is_clipped_where_swish_is_flat():
    tensor = channels(10.0)
    plain_low, plain_high = ranges.value_range(tensor, False, "int8", "weighted", 0)
    low, high = ranges.value_range(tensor, False, "int8", "weighted", 0, curve=ranges.swish)
    assert plain_low < -20 and -12 < low < -3  # Swish of less than −6 is nearly nothing
    assert high == pytest.approx(plain_high, rel=0.1)
