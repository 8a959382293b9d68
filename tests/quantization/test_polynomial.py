"""Swish's polynomials: exact beyond their limit, nowhere far off, best where the channel's values lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeeff.calibration.statistics import BINS, TensorStatistics
from edgeeff.quantization import polynomial

LINE = np.linspace(-30, 30, 6001)


def swish(x):
    return x / (1 + np.exp(-x))


def statistics(*samples, edge=16.0):
    """Statistics of one tensor, a channel for each sample."""
    edges = np.full(len(samples), edge)
    counts = [np.histogram(np.clip(s, -edge, edge - 1e-9), BINS, (-edge, edge))[0] for s in samples]
    return TensorStatistics(
        minimum=np.array([s.min() for s in samples], np.float32),
        maximum=np.array([s.max() for s in samples], np.float32),
        mean=np.array([s.mean() for s in samples]),
        second_moment=np.array([(s**2).mean() for s in samples]),
        count=len(samples[0]),
        histogram=np.array(counts, np.float32),
        edge=edges,
    )


def normal(mean, deviation, seed=0):
    return np.random.default_rng(seed).normal(mean, deviation, 4000)


@pytest.mark.parametrize("degree", [2, 3, 4, 5])
def test_beyond_the_limit_it_is_swish_of_infinity(degree):
    found = polynomial.fit(statistics(normal(0, 1), normal(-3, 2)), degree, bound=1.0)
    far = np.array([[-30.0, -9.5, 9.5, 30.0]] * 2)
    assert found(far) == pytest.approx(np.maximum(far, 0), abs=1e-9)
    assert found.coefficients.shape == (2, degree) and (found.limit <= 9).all()


def test_it_errs_by_no_more_than_the_bound_anywhere():
    channels = [normal(m, d, i) for i, (m, d) in enumerate([(0, 0.3), (2, 1), (-4, 2), (6, 3), (-8, 0.5)])]
    found = polynomial.fit(statistics(*channels))
    line = np.tile(LINE, (len(channels), 1))
    assert np.abs(found(line) - swish(line)).max() <= polynomial.BOUND + 1e-4
    assert found.worst() == pytest.approx(np.abs(found(line) - swish(line)).max(), abs=1e-3)


def test_small_values_are_followed_closely_and_large_ones_still_not_lost():
    small = normal(0, 0.1)
    found = polynomial.fit(statistics(small, edge=0.5))
    assert np.abs(found(small[None]) - swish(small)).max() < 1e-4
    assert found.worst() <= 3 * polynomial.BOUND + 1e-4


def test_it_is_best_where_the_values_lie():
    low, high = normal(-0.5, 0.3), normal(3.0, 0.4)
    found = polynomial.fit(statistics(low, high))
    error = [np.mean((found(np.stack([v, v])) - swish(v)) ** 2, axis=1) for v in (low, high)]
    assert error[0][0] < error[0][1] / 4 and error[1][1] < error[1][0] / 4


def test_a_bound_that_no_fit_keeps_gives_all_channels_the_one_that_is_best_everywhere():
    found = polynomial.fit(statistics(normal(-0.5, 0.3), normal(3, 1)), bound=1e-4)
    assert np.array_equal(found.coefficients[0], found.coefficients[1]) and found.worst() < 0.02


def test_a_channel_is_fitted_alone_whatever_its_neighbours_edges():
    mixed = statistics(normal(0, 1), normal(1, 2), normal(-2, 1))
    wide = polynomial.fit(mixed)
    # A channel whose histogram is twice as wide with bins merged in pairs says the same, more coarsely.
    coarse = np.zeros(BINS, np.float32)
    coarse[BINS // 4 : 3 * BINS // 4] = mixed.histogram[1].reshape(-1, 2).sum(axis=1)
    changed = replace(
        mixed,
        histogram=np.stack([mixed.histogram[0], coarse, mixed.histogram[2]]),
        edge=np.array([16.0, 32.0, 16.0]),
    )
    other = polynomial.fit(changed)
    for channel in (0, 2):
        assert np.array_equal(wide.coefficients[channel], other.coefficients[channel])
    values = normal(1, 2)[None].repeat(3, axis=0)
    assert np.abs(wide(values)[1] - other(values)[1]).max() < 0.02


def test_a_channel_without_values_has_a_polynomial_all_the_same():
    found = polynomial.fit(
        replace(
            statistics(normal(0, 1), normal(0, 1)),
            histogram=np.stack([np.zeros(BINS, np.float32), np.ones(BINS, np.float32)]),
        )
    )
    assert np.isfinite(found.coefficients).all() and found.worst() <= polynomial.BOUND
