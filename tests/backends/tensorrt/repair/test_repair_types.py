"""Opsets, float types, and operators that are written in another way."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgeeff.backends.tensorrt.fp16 import fp16_from_fp32
from edgeeff.backends.tensorrt.repair import opset_17, remaining, repair
from edgeeff.metrics import sqnr


@pytest.mark.parametrize("opset", [18, 19, 21, 23])
def test_later_opsets_become_17(opset, network, repaired):
    result, said = repaired(network(opset=opset))
    assert said == f"opset {opset} became 17, in which its operators mean the same"
    assert {o.domain: o.version for o in result.opset_import} == {"": 17, "com.microsoft": 1}


def test_attributes_that_say_what_17_does_are_dropped(network, repaired):
    body = """
        q = QuantizeLinear <axis = 1, saturate = 1, block_size = 0, output_dtype = 3> (x, s, z)
        y = DequantizeLinear <block_size = 0> (q, s, z)
    """
    result, _ = repaired(network(body, opset=21))
    assert [a.name for node in result.graph.node for a in node.attribute] == ["axis"]


@pytest.mark.parametrize(
    ("body", "operator"),
    [("q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z) y = Gelu (d)", "Gelu"),
     ("y = ReduceMean (x, axes)", "ReduceMean")],
)  # fmt: skip
def test_an_operator_with_another_meaning_keeps_the_opset(body, operator, network):
    model = network(body, opset=20, axes=np.array([2, 3], np.int64))
    result, said = repair(model)
    assert said == [] and result.opset_import[0].version == 20
    (left,) = remaining(result)
    assert operator in left.what and "opset 17" in left.mend


def test_every_attribute_that_was_added_is_known_or_refused():
    """A new opset of onnx that adds one changes this."""
    known = {
        (name, added)
        for name in opset_17._ALIKE
        for version in range(18, opset_17._LAST_READ + 1)
        for added in (
            onnx.defs.get_schema(name, version).attributes.keys()
            - onnx.defs.get_schema(name, 17).attributes.keys()
        )
    }
    assert known == {
        ("Cast", "saturate"),
        ("Cast", "round_mode"),  # refused where it is said
        *(("QuantizeLinear", name) for name in ("block_size", "output_dtype", "precision", "saturate")),
        *(("DequantizeLinear", name) for name in ("block_size", "output_dtype")),
    }


def test_an_fp16_graph_becomes_float32(hub, unseen, run_onnx):
    """Ours for strongly typed networks enters again: the same codes, scales, and biases as FP16 has them."""
    half = fp16_from_fp32(hub)
    result, said = repair(half)
    onnx.checker.check_model(result, full_check=True)
    assert len(said) == 2 and "float32 instead of FP16" in said[0] and "2⁻¹¹" in said[0] and "17" in said[1]
    assert not {node.op_type for node in result.graph.node} & {"Cast"} and remaining(result) == []
    assert not [t for t in result.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert [v.name for v in (*result.graph.input, *result.graph.output)] == ["input", "logits"]
    before = {t.name: numpy_helper.to_array(t) for t in half.graph.initializer}
    for tensor in result.graph.initializer:
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), before[tensor.name])
    (of_half,), (of_result,) = run_onnx(half, unseen), run_onnx(result, unseen)
    assert sqnr(of_half, of_result) > 25


def test_fp16_scales_where_no_opset_allows_them(network, computed):
    """Nothing runs such a file; its twin is the network with those numbers as float32."""
    half = np.float16(0.03)
    result, said = repair(network(s=half, ws=np.full(6, 0.01, np.float16), valid=False))
    assert said == ["2 FP16 scales are float32 now, the same numbers"]
    onnx.checker.check_model(result, full_check=True)
    twin = network(s=np.float32(half), ws=np.full(6, np.float16(0.01), np.float32))
    np.testing.assert_array_equal(computed(result), computed(twin))


def test_casts_around_fp16_scales_vanish(network, computed, operators):
    body = """
        h = Cast <to = 10> (x)
        q = QuantizeLinear (h, s, z)
        d = DequantizeLinear (q, s, z)
        g = Relu (d)
        y = Cast <to = 1> (g)
    """
    model = network(body, opset=19, s=np.float16(0.0625))
    result, _ = repair(model)
    assert operators(result) == ["QuantizeLinear", "DequantizeLinear", "Relu"]
    x = np.linspace(-10, 10, 256, dtype=np.float32).reshape(1, 4, 8, 8)
    x = x.astype(np.float16).astype(np.float32)  # what the Cast rounds is the difference that is told
    np.testing.assert_array_equal(computed(result, x), computed(model, x))


def test_swish_is_written_out(network, computed, operators):
    model = network("y = Swish (x)", opset=24)
    result, said = repair(model)
    assert operators(result) == ["Sigmoid", "Mul"]
    assert said == [
        "1 Swish operator written as Sigmoid and Mul, its definition",
        "opset 24 became 17, in which its operators mean the same",
    ]
    np.testing.assert_allclose(computed(result), computed(model), rtol=1e-6)


def test_hard_swish_is_written_out(network, computed, operators):
    model = network("y = HardSwish (x)")
    result, said = repair(model)
    assert operators(result) == ["HardSigmoid", "Mul"]
    assert said == ["1 HardSwish operator written as HardSigmoid and Mul"]
    np.testing.assert_allclose(computed(result), computed(model), rtol=1e-6)


def test_swish_with_another_factor_is_left(network):
    assert repair(network("y = Swish <alpha = 1.7> (x)", opset=24))[1] == []


def test_constant_nodes_become_initializers(network, repaired, values, constant_node, constants):
    model = network(s=None, z=None, valid=False)
    for name, held in {
        "s": {"value_float": 0.03},
        "z": {"value": numpy_helper.from_array(constants["z"], "other")},
    }.items():
        model.graph.node.insert(0, constant_node(name, **held))
    result, said = repaired(model)
    assert said == "2 Constant nodes became initializers, unchanged"
    assert values(result)["z"].dtype == np.int8 and values(result)["s"] == np.float32(0.03)


def test_onnxruntimes_own_operators_become_standard_ones(network, repaired):
    model = network()
    for node in model.graph.node:
        if node.op_type.endswith("Linear"):
            node.domain = "com.microsoft"
    result, said = repaired(model)
    assert said == "3 Q or DQ nodes of com.microsoft became the standard ones, which mean the same"
    assert {node.domain for node in result.graph.node} == {""}


def test_inputs_that_repeat_initializers_go_with_them(network, values):
    """Before IR version 4 each initializer was an input as well."""
    model = network(z=np.uint8(128))
    for name in ("z", "b"):
        (tensor,) = (t for t in model.graph.initializer if t.name == name)
        model.graph.input.append(helper.make_tensor_value_info(name, tensor.data_type, list(tensor.dims)))
    result, _ = repair(model)
    assert [value.name for value in result.graph.input] == ["x", "b"]
    assert "z" not in values(result)
