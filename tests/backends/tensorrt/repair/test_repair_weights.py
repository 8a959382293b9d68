"""Weights and biases, in other forms than int8 around 0 and float."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edgeeff.backends.tensorrt.repair import remaining, repair

BIAS = """
    q = QuantizeLinear (x, s, z)
    d = DequantizeLinear (q, s, z)
    w = DequantizeLinear <axis = 0> (w8, ws, wz)
    bd = DequantizeLinear <axis = 0> (b, bs, bz)
    y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (d, w, bd)
"""
FAKE = """
    q = QuantizeLinear (x, s, z)
    d = DequantizeLinear (q, s, z)
    v = QuantizeLinear <axis = 0> (w8, ws, wz)
    w = DequantizeLinear <axis = 0> (v, ws, wz)
    y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (d, w, b)
"""


@pytest.mark.parametrize("scales", [1, 6])
def test_int32_biases_become_float(scales, network, repaired, values):
    codes = np.array([-(2**31), 2**31 - 1, 0, 16777217, -5, 123456], np.int32)  # float32 rounds some
    scale = np.linspace(1e-5, 1e-4, scales, dtype=np.float32)
    scale = scale if scales > 1 else scale[0]
    zero = np.zeros_like(scale, np.int32)
    result, said = repaired(network(BIAS, b=codes, bs=scale, bz=zero))
    assert said == "1 bias behind DequantizeLinear became float: exactly codes × scale"
    np.testing.assert_array_equal(values(result)["bd"], codes.astype(np.float32) * scale)


def test_int8_biases_become_float(network, repaired, values):
    codes = np.arange(-3, 3, dtype=np.int8)
    result, _ = repaired(network(BIAS, b=codes, bs=np.float32(0.5), bz=np.int8(0)))
    np.testing.assert_array_equal(values(result)["bd"], codes * np.float32(0.5))


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
@pytest.mark.parametrize("scales", [1, 6])
def test_fake_quantised_weights_become_codes(kind, scales, network, values, computed, constants):
    weights = np.random.default_rng(1).standard_normal((6, 4, 3, 3)).astype(np.float32)
    weights[0, 0] = [[0.005, 0.015, 0.025], [-0.005, -0.015, -0.025], [9, -9, 0]]  # halves, and clipped ones
    scale = np.float32(0.01) if scales == 1 else constants["ws"]
    model = network(FAKE, w8=weights, ws=scale, wz=np.full_like(scale, 128 if kind is np.uint8 else 0, kind))
    result, said = repair(model)
    np.testing.assert_array_equal(computed(result), computed(model))
    assert said[0] == "1 float constant behind QuantizeLinear became the codes it makes of them"
    (codes,) = (value for value in values(result).values() if value.ndim == 4)
    assert codes.dtype == np.int8 and len(said) == (2 if kind is np.uint8 else 1)


@pytest.mark.parametrize(
    ("kind", "zero"), [(np.uint8, 128), (np.uint8, 120), (np.int8, 5), (np.int16, 300), (np.uint16, 32768)]
)
def test_codes_around_another_zero_point_become_int8(kind, zero, network, repaired, values, constants):
    """Where the largest difference fits: not only around 128."""
    codes = (np.clip(constants["w8"], -100, 100).astype(np.int32) + zero).astype(kind)
    opset = 21 if np.dtype(kind).itemsize == 2 else 17
    model = network(opset=opset, w8=codes, wz=np.full(6, zero, kind))
    if opset > 17:
        result, said = repair(model)
        assert len(said) == 2
        onnx.checker.check_model(result, full_check=True)
    else:
        result, sentence = repaired(model)
        assert sentence == "1 constant of other codes became int8 around 0: the weights are the same"
    (made,) = (value for value in values(result).values() if value.ndim == 4)
    np.testing.assert_array_equal(made, np.clip(constants["w8"], -100, 100))
    assert made.dtype == np.int8


def test_codes_beyond_int8_are_left_and_told(network, constants):
    codes = (constants["w8"].astype(np.int16) + 128).astype(np.uint8)
    model = network(w8=codes, wz=np.full(6, 100, np.uint8))
    result, said = repair(model)
    assert said == [] and result.SerializeToString() == model.SerializeToString()
    (left,) = remaining(result)
    assert "1 weight tensor" in left.what and "uint8" in left.what and "QInt8" in left.mend


def test_weights_that_two_layers_share_with_scales_of_their_own(network, repaired, values, constants):
    body = """
        w = DequantizeLinear <axis = 0> (w8, ws, wz)
        v = DequantizeLinear <axis = 0> (w8, vs, wz)
        c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w, b)
        e = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, v, b)
        y = Add (c, e)
    """
    codes = (constants["w8"].astype(np.int16) + 128).astype(np.uint8)
    result, _ = repaired(
        network(body, w8=codes, wz=np.full(6, 128, np.uint8), vs=constants["ws"] * 2, s=None, z=None)
    )
    assert sum(value.ndim == 4 for value in values(result).values()) == 2
