"""Quantised activations: their zero points, and pairs that are written more often than needed."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edgeeff.backends.tensorrt.repair import remaining, repair

TWICE = """
    q1 = QuantizeLinear (x, s, z)
    d1 = DequantizeLinear (q1, s, z)
    {second}
    w = DequantizeLinear <axis = 0> (w8, ws, wz)
    c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (d1, w, b)
    e = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (d2, w, b)
    y = Add (c, e)
"""


def test_uint8_around_128_becomes_int8(network, repaired, values):
    """The input reaches beyond both ends of the codes."""
    result, said = repaired(network(z=np.uint8(128), s=np.float32(0.01)))
    assert said == "1 activation of uint8 around 128 became int8 around 0: each code 128 less"
    assert {str(v.dtype) for v in values(result).values()} == {"int8", "float32"}


def test_codes_may_be_carried_on_the_way(network, repaired):
    body = """
        q = QuantizeLinear (x, s, z)
        m = MaxPool <kernel_shape = [2, 2]> (q)
        t = Transpose <perm = [0, 1, 3, 2]> (m)
        y = DequantizeLinear (t, s, z)
    """
    repaired(network(body, opset=13, z=np.uint8(128), s=np.float32(0.05)))


@pytest.mark.parametrize(
    ("zero", "said"), [(np.uint8(0), "uint8 with zero point 0"), (np.int8(-7), "int8 with zero point -7")]
)
def test_other_zero_points_are_left_and_told(zero, said, network):
    model = network(z=zero)
    result, done = repair(model)
    assert done == [] and result.SerializeToString() == model.SerializeToString()
    (left,) = remaining(result)
    assert left.what.startswith("1 of 1 activations are not int8 around 0") and said in left.what
    assert "'QuantizeLinear_0'" in left.what and "ActivationSymmetric" in left.mend and "--plan" in left.mend


def test_sixteen_bits_are_left_and_told(network):
    """And the opset stays, for there are none in 17."""
    model = network(opset=21, z=np.int16(0))
    assert repair(model)[1] == []
    wide, opset = remaining(model)
    assert "int16" in wide.what and "'z' is of a type" in opset.what


def test_scales_for_channels_are_left_and_told(network):
    model = network(s=np.full(4, 0.02, np.float32), z=np.zeros(4, np.int8))
    assert repair(model)[1] == [] and "4 scales" in remaining(model)[0].what


def test_a_reader_with_another_zero_point_keeps_its_codes(network):
    """DQ around 127 of codes around 128 would be around −1."""
    body = """
        q = QuantizeLinear (x, s, z)
        d = DequantizeLinear (q, s, z)
        e = DequantizeLinear (q, s, o)
        y = Add (d, e)
    """
    model = network(body, z=np.uint8(128), o=np.uint8(127))
    assert repair(model)[1] == []


def test_codes_that_leave_the_graph_stay(network):
    model = network("q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z)", z=np.uint8(128))
    model.graph.output.append(onnx.helper.make_tensor_value_info("q", onnx.TensorProto.UINT8, [1, 4, 8, 8]))
    assert repair(model)[1] == []


def test_zero_points_left_out_are_written(network, computed, values):
    """ONNX means uint8 0, of which there is no int8 twin; TensorRT would have read int8."""
    body = "q = QuantizeLinear (x, s) y = DequantizeLinear (q, s)"
    model = network(body)
    result, said = repair(model)
    assert said == ["2 zero points left out: written as ONNX means them, 0 (2 of uint8)"]
    np.testing.assert_array_equal(computed(result), computed(model))
    assert all(len(node.input) == 3 for node in result.graph.node)
    assert "uint8 with zero point 0" in remaining(result)[0].what


def test_zero_points_left_out_where_the_type_is_said(network, computed):
    """Opset 21 has an attribute for it, and a DequantizeLinear has its codes."""
    body = """
        q = QuantizeLinear <output_dtype = 3> (x, s)
        d = DequantizeLinear (q, s)
        w = DequantizeLinear <axis = 0> (w8, ws)
        y = Conv <kernel_shape = [3, 3]> (d, w, b)
    """
    model = network(body, opset=21)
    result, said = repair(model)
    np.testing.assert_array_equal(computed(result), computed(model))
    assert said[0] == "3 zero points left out: written as ONNX means them, 0 (3 of int8)"
    assert said[1:] == ["opset 21 became 17, in which its operators mean the same"] and not remaining(result)


@pytest.mark.parametrize(
    "second",
    [
        "q2 = QuantizeLinear (x, s2, z2) d2 = DequantizeLinear (q2, s2, z2)",
        "d2 = DequantizeLinear (q1, s2, z2)",
    ],
)
def test_equal_pairs_are_merged(second, network, repaired, operators):
    """Their parameters are equal, whatever they are called."""
    model = network(TWICE.format(second=second), s2=np.float32(0.03), z2=np.int8(0))
    result, said = repaired(model)
    assert "merged with the first of its kind" in said
    assert operators(result).count("QuantizeLinear") == 1 and operators(result).count("DequantizeLinear") == 2


def test_pairs_with_scales_of_their_own_are_not_merged(network):
    second = "q2 = QuantizeLinear (x, s2, z) d2 = DequantizeLinear (q2, s2, z)"
    assert repair(network(TWICE.format(second=second), s2=np.float32(0.031)))[1] == []
