from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeeff.quantization.rounding import FULL_RANGE, SEVEN_BITS, nearest, weight_scale

weights = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=4, max_side=5),
    elements=st.floats(-100, 100, width=32),
)


@given(weights, st.sampled_from([FULL_RANGE, SEVEN_BITS]))
def test_every_weight_is_within_half_a_step(weight, largest):
    scale = weight_scale(weight, np.zeros(len(weight), np.float32), 0.1, largest)
    codes = nearest(weight, scale, largest)
    assert (scale.shape, scale.dtype, codes.dtype) == ((len(weight),), np.float32, np.int8)
    assert (scale > 0).all() and np.isfinite(scale).all()
    assert np.abs(codes.astype(int)).max() <= largest
    step = scale.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
    assert (np.abs(codes * step - weight) <= step * 0.5001).all()


def test_the_largest_weight_of_a_channel_has_the_largest_code():
    weight = np.random.default_rng(0).normal(size=(6, 4, 3, 3)).astype(np.float32)
    zeros = np.zeros(6, np.float32)
    for largest in (FULL_RANGE, SEVEN_BITS):
        codes = nearest(weight, weight_scale(weight, zeros, 0.1, largest), largest)
        np.testing.assert_array_equal(np.abs(codes.astype(int)).reshape(6, -1).max(1), largest)


def test_ties_go_to_even():
    weight = np.array([[127, 0.5, 1.5, 2.5, -0.5, -1.5]], np.float32)
    np.testing.assert_array_equal(nearest(weight, np.ones(1, np.float32)), [[127, 0, 2, 2, 0, -2]])


def test_dead_channels_take_the_middle_scale():
    weight = np.array([[1, 2], [0, 0], [10, 20], [100, 200]], np.float32)
    scale = weight_scale(weight, np.zeros(4, np.float32), 0.1)
    assert scale[1] == pytest.approx(20 / 127)
    assert not nearest(weight, scale)[1].any()
    np.testing.assert_array_equal(weight_scale(weight[1:2], np.zeros(1, np.float32), 0.1), [1])


@pytest.mark.parametrize("tiny", [1e-45, 1e-40, 1e-38, 1e-30])
def test_a_nearly_dead_channel_has_a_scale_that_float32_can_hold(tiny):
    """Batch normalisation with a vanishing gain leaves weights of almost nothing."""
    weight = np.array([[tiny, -tiny], [1, 2]], np.float32)
    scale = weight_scale(weight, np.zeros(2, np.float32), 1e-3)
    assert (scale * np.float32(1e-3) > np.finfo(np.float32).tiny).all()
    error = nearest(weight, scale) * scale.astype(np.float64)[:, None] - weight
    assert (np.abs(error) <= scale[:, None] * 0.5001).all()


@given(st.floats(-1e4, 1e4), st.floats(1e-9, 1.0))
def test_a_vast_bias_fits_32_bits(bias, input_scale):
    weight = np.array([[1e-6, -2e-6]], np.float32)
    scale = weight_scale(weight, np.array([bias], np.float32), input_scale)
    assert abs(bias / (input_scale * float(scale[0]))) <= 2**30 * 1.001
    assert scale[0] >= np.float32(2e-6 / 127)
