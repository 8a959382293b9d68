"""A zero point where the runtime has none: what a layer reads is shifted, and its bias takes the shift back.

    x ── Q(s, z) DQ ── Conv(W, b)   ⇒   x ── Sub(o) ── Q(s, 0) DQ ── Conv(W, b + o·ΣW),   o = −z·s

The codes are the same ones, so the layer computes the same sum, as long as it reads no padding: beside an
image a convolution reads zeros, which among shifted values would mean o. Activations are positive but for a
sliver, and without a zero point half of the codes would hold nothing.

Behind a product or a Swish the Sub is elementwise as they are, and is compiled into their kernel. A clamp is
part of the convolution's own kernel, which a Sub behind it could break; there the shift goes before it:

    Conv(b) ── Clip(l, h) ── Sub(o)   ⇒   Conv(b − o) ── Clip(l − o, h − o)

(That a bias can hold what a zero point adds: Jacob et al. 2018, section 2.3, of integer kernels.)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgeeff.graph.model import add_constant, constant
from edgeeff.quantization.draft import layer_constants
from edgeeff.quantization.plan import ActivationQuantization, LayerQuantization, Plan

SUFFIX = ".shifted"


def rewrite(model: ir.Model, plan: Plan) -> tuple[ir.Model, Plan]:
    """The graph and plan in which every zero point is 0; the arguments are left as they are.

    Args:
        model: The float graph that the plan is of.
        plan: Whose zero points stand on nothing but what unpadded layers read.
    """
    model = model.clone()
    values = {str(n.outputs[0].name): n.outputs[0] for n in model.graph}
    nodes = {str(n.name): n for n in model.graph}
    activations, readers, layers = {}, {}, dict(plan.layers)
    for tensor, activation in plan.activations.items():
        name = tensor
        if activation.zero_point:
            offset = float(np.float32(-activation.zero_point * activation.scale))
            value, name = values[tensor], f"{tensor}{SUFFIX}"
            clamp = _clamp(value)
            if clamp is None:
                _subtract(model.graph, value, offset, name)
            else:
                _shift_clamp(model.graph, clamp, offset, layers)
                value.name = name
            for reader, _ in plan.readers[tensor]:
                layer = _layer(nodes[reader])
                layers[layer] = _raised(layers[layer], offset * _sums(layers[layer]))
        activations[name] = ActivationQuantization(activation.scale, 0, activation.type)
        readers[name] = plan.readers[tensor]
    return model, replace(plan, activations=activations, readers=readers, layers=layers)


def _clamp(value: ir.Value) -> ir.Node | None:
    """The Clip behind a convolution that alone makes a tensor, itself or its mean, for one reader."""
    clamp = _producer(value, "Clip")
    if clamp is None and (pool := _producer(value, "GlobalAveragePool")) is not None:
        assert pool.inputs[0] is not None
        clamp = _producer(pool.inputs[0], "Clip")
    if clamp is None or clamp.inputs[0] is None or _producer(clamp.inputs[0], "Conv") is None:
        return None
    return clamp


def _producer(value: ir.Value, operator: str) -> ir.Node | None:
    """The node that makes a tensor for one reader and nobody else, if it is of that operator."""
    node = value.producer()
    private = len(value.uses()) == 1 and not value.is_graph_output()
    return node if node is not None and node.op_type == operator and private else None


def _shift_clamp(
    graph: ir.Graph, clamp: ir.Node, offset: float, layers: dict[str, LayerQuantization]
) -> None:
    """Lower a convolution's bias and the bounds of its clamp."""
    assert clamp.inputs[0] is not None
    convolution = clamp.inputs[0].producer()
    assert convolution is not None
    name = str(convolution.name)
    if name in layers:
        layers[name] = _raised(layers[name], np.full(len(layers[name].bias), -offset))
    else:
        lowered = np.asarray(layer_constants(convolution)[1] - offset, np.float32)
        convolution.resize_inputs(3)
        convolution.replace_input_with(2, add_constant(graph, f"{name}.bias{SUFFIX}", lowered))
    for index in range(1, len(clamp.inputs)):
        bound = constant(clamp.inputs[index])
        if bound is not None:
            lowered = np.asarray(bound.astype(np.float64) - offset, np.float32)
            clamp.replace_input_with(
                index, add_constant(graph, f"{clamp.name}.bound{index}{SUFFIX}", lowered)
            )


def _subtract(graph: ir.Graph, value: ir.Value, offset: float, name: str) -> None:
    """Put a Sub behind a tensor, for its quantiser to read."""
    number = add_constant(graph, f"{name}.offset", np.array(offset, np.float32))
    node = ir.Node("", "Sub", [value, number], name=name, num_outputs=1)
    output = node.outputs[0]
    output.name, output.shape, output.type = name, value.shape, value.type
    producer = value.producer()
    assert producer is not None
    graph.insert_after(producer, node)


def _layer(reader: ir.Node) -> str:
    """The layer that reads a site, seen through Flatten."""
    if reader.op_type == "Flatten":
        (reader,) = reader.outputs[0].consumers()
    return str(reader.name)


def _sums(layer: LayerQuantization) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """ΣW of each output channel, [C]."""
    codes = layer.codes.reshape(len(layer.codes), -1).sum(axis=1, dtype=np.int64)
    return np.asarray(codes * layer.scale.astype(np.float64))


def _raised(layer: LayerQuantization, by: np.ndarray[tuple[int], np.dtype[np.float64]]) -> LayerQuantization:
    return replace(layer, bias=np.asarray(layer.bias + by, np.float32))
