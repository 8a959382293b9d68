"""Write a plan into the float graph as QuantizeLinear and DequantizeLinear: the hub graph.

Explicit zero points of the plan's type; per-channel weights on axis 0; biases stay float32 (TensorRT's
parser refuses an INT32 bias through DequantizeLinear). One Q for each tensor, and one DQ for its readers.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from edgeeff.graph.model import add_constant, constant, drop_unused_constants, expand_functions
from edgeeff.quantization.plan import ActivationQuantization, LayerQuantization, Plan


def insert(model: ir.Model, plan: Plan, opset: int) -> onnx.ModelProto:
    """The hub graph of a plan, in standard operators, checked; the float graph is left as it is."""
    model = model.clone()
    assert model.opset_imports[""] == opset, f"opset {model.opset_imports['']} where {opset} is meant"
    nodes = {node.name: node for node in model.graph}
    for name, layer in plan.layers.items():
        _quantise_weights(model.graph, nodes[name], layer)
    made = [n.outputs[0] for n in model.graph]
    values = {v.name: v for v in [*model.graph.inputs, *model.graph.initializers.values(), *made]}
    for tensor, activation in plan.activations.items():
        value = values[tensor]
        dequantised = _quantise_activation(model.graph, value, activation)
        for reader, index in plan.readers[tensor]:
            nodes[reader].replace_input_with(index, dequantised)
        if tensor in plan.outputs:
            _make_output(model.graph, value, dequantised)
    drop_unused_constants(model)
    standard = expand_functions(model)
    del model
    hub = onnx.shape_inference.infer_shapes(standard)
    del standard
    onnx.checker.check_model(hub, full_check=True)
    return hub


def _quantise_weights(graph: ir.Graph, node: ir.Node, layer: LayerQuantization) -> None:
    name = node.name
    codes = add_constant(graph, f"{name}.weight_codes", layer.codes)
    scale = add_constant(graph, f"{name}.weight_scale", layer.scale)
    zero = add_constant(graph, f"{name}.weight_zero_point", np.zeros(len(layer.scale), np.int8))
    axis = ir.AttrInt64("axis", 0)
    weight = ir.Node(
        "", "DequantizeLinear", [codes, scale, zero], [axis], name=f"{name}.weight_dequantize", num_outputs=1
    )
    weight.outputs[0].name = f"{name}.weight_dequantized"
    graph.insert_before(node, weight)
    node.replace_input_with(1, weight.outputs[0])
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, add_constant(graph, f"{name}.bias_corrected", layer.bias))


def _quantise_activation(graph: ir.Graph, value: ir.Value, activation: ActivationQuantization) -> ir.Value:
    name = value.name
    scale = add_constant(graph, f"{name}.scale", np.array(activation.scale, np.float32))
    zero = add_constant(graph, f"{name}.zero_point", np.array(activation.zero_point, activation.type))
    fixed = constant(value)
    if fixed is not None:
        low, high = (-128, 127) if activation.type == "int8" else (0, 255)
        integers = np.clip(
            np.rint(fixed.astype(np.float32) / np.float32(activation.scale)) + activation.zero_point,
            low,
            high,
        )
        codes = add_constant(graph, f"{name}.codes", integers.astype(activation.type))
    else:
        quantize = ir.Node("", "QuantizeLinear", [value, scale, zero], name=f"{name}.quantize", num_outputs=1)
        codes = quantize.outputs[0]
        codes.name = f"{name}.codes"
    dequantize = ir.Node(
        "", "DequantizeLinear", [codes, scale, zero], name=f"{name}.dequantize", num_outputs=1
    )
    dequantize.outputs[0].name = f"{name}.dequantized"
    made = [dequantize] if fixed is not None else [quantize, dequantize]
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], made)
    else:
        graph.insert_after(producer, made)
    return dequantize.outputs[0]


def _make_output(graph: ir.Graph, value: ir.Value, dequantised: ir.Value) -> None:
    """Let the dequantised tensor be the graph's output, under the output's own name."""
    position = list(graph.outputs).index(value)
    name = value.name
    value.name, dequantised.name = f"{name}.float", name
    dequantised.shape, dequantised.type = value.shape, value.type
    graph.outputs[position] = dequantised
