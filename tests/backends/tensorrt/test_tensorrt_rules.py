from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgeeff.backends.tensorrt.fp16 import fp16_from_fp32
from edgeeff.backends.tensorrt.rules import findings

Mutation = Callable[[onnx.GraphProto], None]


def breaches(model: onnx.ModelProto, severity: str | None = None) -> set[str]:
    return {f.rule for f in findings(model) if severity in (None, f.severity)}


def copy(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.load_from_string(model.SerializeToString())


def node(graph: onnx.GraphProto, output: str) -> onnx.NodeProto:
    return next(n for n in graph.node if n.output[0] == output)


def put(graph: onnx.GraphProto, name: str, value: np.ndarray | np.generic) -> str:
    for constant in graph.initializer:
        if constant.name == name:
            constant.CopyFrom(numpy_helper.from_array(np.asarray(value), name))
            return name
    graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def quantise(graph: onnx.GraphProto, tensor: str, reader: str, index: int) -> None:
    """Q/DQ on one input of one node."""
    after = [n.output[0] for n in graph.node].index(reader)
    scale, zero = put(graph, "new_scale", np.float32(0.05)), put(graph, "new_zero", np.int8(0))
    names = f"{tensor}_new_q", f"{tensor}_new_dq"
    node(graph, reader).input[index] = names[1]
    graph.node.insert(
        after, helper.make_node("QuantizeLinear", [tensor, scale, zero], [names[0]], name="new_q")
    )
    graph.node.insert(
        after + 1, helper.make_node("DequantizeLinear", [names[0], scale, zero], [names[1]], name="new_dq")
    )


def test_a_hub_of_the_scheme_breaks_no_rule(hub):
    assert breaches(hub) == set()
    assert breaches(fp16_from_fp32(hub)) == set()


def unnamed_zero_point(graph: onnx.GraphProto) -> None:
    del node(graph, "input_q").input[2]


def computed_zero_point(graph: onnx.GraphProto) -> None:
    node(graph, "input_q").input[2] = "elsewhere"


def computed_scale(graph: onnx.GraphProto) -> None:
    node(graph, "input_dq").input[1] = "elsewhere"


def int32_bias(graph: onnx.GraphProto) -> None:
    codes, scale = (
        put(graph, "bias_q", np.zeros(16, np.int32)),
        put(graph, "bias_scale", np.full(16, 1e-4, np.float32)),
    )
    zero = put(graph, "bias_zero", np.zeros(16, np.int32))
    node(graph, "stem").input[2] = "bias_dq"
    graph.node.insert(
        0, helper.make_node("DequantizeLinear", [codes, scale, zero], ["bias_dq"], axis=0, name="bias_dq")
    )


def per_channel_activation(graph: onnx.GraphProto) -> None:
    put(graph, "input_scale", np.full(3, 0.01, np.float32))
    put(graph, "input_zero_point", np.zeros(3, np.int8))


def float_weights(graph: onnx.GraphProto) -> None:
    node(graph, "stem").input[1] = put(graph, "plain", np.zeros((16, 3, 3, 3), np.float32))


def float_activation(graph: onnx.GraphProto) -> None:
    node(graph, "stem").input[0] = "input"


def wide_weights(graph: onnx.GraphProto) -> None:
    put(graph, "stem_weight_q", np.zeros((16, 3, 3, 3), np.uint8))


def other_operator(graph: onnx.GraphProto) -> None:
    node(graph, "pooled").op_type = "Swish"


def other_domain(graph: onnx.GraphProto) -> None:
    node(graph, "pooled").domain = "com.microsoft"


def open_dimension(graph: onnx.GraphProto) -> None:
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"


def half_scale(graph: onnx.GraphProto) -> None:
    put(graph, "input_scale", np.float16(0.01))


ERRORS: dict[str, tuple[str, Mutation]] = {
    "no zero point": ("zero-point-missing", unnamed_zero_point),
    "zero point from a node": ("zero-point-constant", computed_zero_point),
    "uint8 zero point": ("zero-point-type", lambda g: put(g, "input_zero_point", np.uint8(0))),
    "int16 zero point": ("zero-point-type", lambda g: put(g, "input_zero_point", np.int16(0))),
    "zero point of 3": ("zero-point-value", lambda g: put(g, "input_zero_point", np.int8(3))),
    "INT32 bias": ("int32-dequantised", int32_bias),
    "scale from a node": ("scale-constant", computed_scale),
    "scale of 0": ("scale-value", lambda g: put(g, "input_scale", np.float32(0))),
    "negative scale": ("scale-value", lambda g: put(g, "stem_weight_scale", np.full(16, -0.1, np.float32))),
    "scale that is no number": ("scale-value", lambda g: put(g, "input_scale", np.float32(np.nan))),
    "more zero points than scales": (
        "scale-count",
        lambda g: put(g, "stem_weight_zero_point", np.zeros(8, np.int8)),
    ),
    "fewer scales than channels": (
        "scale-count",
        lambda g: put(g, "stem_weight_scale", np.ones(8, np.float32)),
    ),
    "per-channel activation": ("activation-per-channel", per_channel_activation),
    "float weights": ("weights-float", float_weights),
    "float activation": ("activation-float", float_activation),
    "uint8 weights": ("weights-type", wide_weights),
    "bias from a node": ("bias-constant", int32_bias),
    "an operator too new": ("operator", other_operator),
    "an operator of another domain": ("operator", other_domain),
    "open batch": ("static-shape", open_dimension),
    "FP16 scale in an FP32 graph": ("scale-type", half_scale),
    "FP16 scale at opset 17": ("opset", half_scale),
}


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_is_caught(lite_hub, name):
    rule, mutate = ERRORS[name]
    model = copy(lite_hub)
    mutate(model.graph)
    assert rule in breaches(model, "error")


def test_opset_beyond_17_is_for_strongly_typed_graphs_only(lite_hub):
    model = copy(lite_hub)
    model.opset_import[0].version = 18
    assert breaches(model) == {"opset"}


def test_fp32_scale_on_an_fp16_activation_is_caught(lite_hub):
    half = fp16_from_fp32(lite_hub)
    put(half.graph, "input_scale", np.float32(0.01))
    assert "scale-type" in breaches(half, "error")


@pytest.mark.parametrize(("tensor", "index"), [("stem_sigmoid", 1), ("stem", 0)])
def test_quantisation_inside_swish_is_an_error(swish_hub, tensor, index):
    model = copy(swish_hub)
    quantise(model.graph, tensor, "stem_swish", index)
    assert breaches(model) == {"swish"}


def test_quantisation_before_the_sigmoid_of_swish_is_an_error(swish_hub):
    model = copy(swish_hub)
    quantise(model.graph, "stem", "stem_sigmoid", 0)
    assert breaches(model) == {"swish"}


def test_a_quantised_squeeze_excite_gate_is_not_taken_for_swish(swish_hub):
    model = copy(swish_hub)
    quantise(model.graph, "gate", "gated", 0)
    assert breaches(model) == set()


def test_quantisation_on_both_inputs_of_an_addition_is_a_warning(lite_hub):
    model = copy(lite_hub)
    quantise(model.graph, "project1", "residual1", 0)
    assert breaches(model) == breaches(model, "warning") == {"add"}


def test_quantised_logits_are_a_warning(lite_hub):
    model = copy(lite_hub)
    node(model.graph, "logits").output[0] = "float_logits"
    scale, zero = put(model.graph, "s", np.float32(0.1)), put(model.graph, "z", np.int8(0))
    model.graph.node.append(
        helper.make_node("QuantizeLinear", ["float_logits", scale, zero], ["q"], name="q")
    )
    model.graph.node.append(helper.make_node("DequantizeLinear", ["q", scale, zero], ["logits"], name="dq"))
    assert breaches(model) == breaches(model, "warning") == {"logits"}


def test_a_float_convolution_is_a_warning_outside_of_squeeze_excite(lite_hub, swish_hub):
    model = copy(lite_hub)
    float_weights(model.graph)
    float_activation(model.graph)
    assert breaches(model) == breaches(model, "warning") == {"float-layer"}
    assert sum(n.op_type == "Conv" and n.name.startswith("se_") for n in swish_hub.graph.node) == 2


@pytest.mark.parametrize("scale", [1e-6, 1e-9, 1e3])
def test_scales_that_fp16_cannot_hold_well_are_a_warning(lite_hub, scale):
    model = copy(lite_hub)
    put(model.graph, "input_scale", np.float32(scale))
    assert breaches(model) == breaches(model, "warning") == {"scale-fp16"}


def test_errors_come_before_warnings(lite_hub):
    model = copy(lite_hub)
    put(model.graph, "input_scale", np.float32(1e-9))
    put(model.graph, "input_zero_point", np.int8(1))
    assert [f.severity for f in findings(model)] == sorted(f.severity for f in findings(model))
    assert str(findings(model)[0]).startswith("zero-point-value: input_q/QuantizeLinear: ")


def test_a_narrow_convolution_is_a_warning(lite_hub):
    model = copy(lite_hub)
    stem = next(v for v in model.graph.value_info if v.name == "stem")
    stem.type.tensor_type.shape.dim[1].dim_value = 12
    assert breaches(model) == breaches(model, "warning") == {"narrow"}
