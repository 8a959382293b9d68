"""Let the channels of a tensor fill one scale more evenly, exactly, at no cost at run time.

    x ─ Swish ─ Conv(W)            ⇒   x ─ Swish ─ Mul(c) ─ Conv(W / c)
    x ─ Mul(gate) ─ Conv(W)        ⇒   x ─ Mul(gate · c) ─ Conv(W / c)
    x ─ GlobalAveragePool ─ Gemm(W)   ⇒   x ─ GlobalAveragePool ─ Mul(c) ─ Gemm(W / c)

c is a positive constant for each channel, W / c divides by it where the layer reads that channel. The Mul
runs in the kernel that quantises: OpenVINO and TensorRT-RTX compile to the same layers with and without it.
(The idea of Nagel et al. 2019, section 4.1, which asks for f(c·x) = c·f(x); Swish is not so, hence the Mul.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgeeff.calibration.statistics import Statistics
from edgeeff.graph.model import add_constant, constant

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

SUFFIX = ".equalised"


@dataclass(frozen=True)
class Candidate:
    """A tensor whose channels can be scaled: its one reader undoes it.

    Args:
        tensor: Its name.
        layer: The convolution or fully connected layer that reads it.
        scaled: The tensor that is multiplied: itself, or the gate of the product that it is.
        carries: The name of the tensor that holds the scaled values.
    """

    tensor: str
    layer: str
    scaled: str
    carries: str


def candidates(model: ir.Model, *, of_swish: bool = True) -> list[Candidate]:
    """All tensors of a graph that can be equalised, in its order; with ``of_swish`` outputs of Swish, too."""
    found = []
    for node in model.graph:
        output = node.outputs[0]
        layer = _only_layer(output)
        if layer is None:
            continue
        name = str(output.name)
        if node.op_type == "Swish" and not of_swish:
            continue
        if node.op_type in ("Swish", "GlobalAveragePool"):
            found.append(Candidate(name, str(layer.name), name, f"{name}{SUFFIX}"))
        elif node.op_type == "Mul" and (gate := _gate(node)) is not None:
            found.append(Candidate(name, str(layer.name), gate, name))
    return found


def rewrite(
    model: ir.Model, statistics: Statistics, gain: Mapping[str, F64], factors: Mapping[str, F32]
) -> tuple[ir.Model, Statistics, Mapping[str, F64]]:
    """Scale the channels of some candidates; the arguments are left as they are.

    Args:
        model: The float graph.
        statistics: Of its tensors; carried along.
        gain: What the logits make of noise on each channel (sensitivity.py); carried along.
        factors: c of each tensor, float32 [C], by the candidate's ``tensor``.
    """
    model = model.clone()
    carried, gains = dict(statistics), dict(gain)
    values = {str(n.outputs[0].name): n.outputs[0] for n in model.graph}
    nodes = {str(n.name): n for n in model.graph}
    for candidate in candidates(model):
        factor = factors.get(candidate.tensor)
        if factor is None:
            continue
        factor64 = factor.astype(np.float64)
        carried[candidate.carries] = statistics[candidate.tensor].scaled(factor64)
        if candidate.tensor in gain:
            gains[candidate.carries] = gain[candidate.tensor] / factor64**2
        _multiply(model.graph, values[candidate.scaled], factor, nodes, candidate)
        _divide(model.graph, nodes[candidate.layer], factor64)
    return model, carried, gains


def _multiply(
    graph: ir.Graph, value: ir.Value, factor: F32, nodes: Mapping[str, ir.Node], candidate: Candidate
) -> None:
    shape = [1, len(factor)] + [1] * (len(value.shape) - 2 if value.shape is not None else 2)
    readers = list(value.uses())
    if candidate.scaled != candidate.tensor:  # the gate may have other readers; the product alone is meant
        readers = [use for use in readers if str(use[0].outputs[0].name) == candidate.tensor]
    name = f"{candidate.scaled}{SUFFIX}"
    made = ir.Node(
        "",
        "Mul",
        [value, add_constant(graph, f"{name}.factor", factor.reshape(shape))],
        name=name,
        num_outputs=1,
    )
    output = made.outputs[0]
    output.name, output.shape, output.type = name, value.shape, value.type
    producer = value.producer()
    assert producer is not None
    graph.insert_after(producer, made)
    for node, index in readers:
        node.replace_input_with(index, output)


def _divide(graph: ir.Graph, layer: ir.Node, factor: F64) -> None:
    """Divide the weights that read a channel by its factor."""
    weight = constant(layer.inputs[1])
    assert weight is not None
    shape: tuple[int, ...]
    if layer.op_type == "Gemm":
        shape = (1, -1) if layer.attributes.get_int("transB", 0) else (-1, 1)
    else:
        shape = (-1, 1, 1, 1) if layer.attributes.get_int("group", 1) > 1 else (1, -1, 1, 1)
    divisor = factor.reshape(shape)
    divided = (weight.astype(np.float64) / divisor).astype(np.float32)
    layer.replace_input_with(1, add_constant(graph, f"{layer.name}.weight_equalised", divided))


def _only_layer(value: ir.Value) -> ir.Node | None:
    """The layer that alone reads a tensor as its input, if that is so; Flatten is looked through."""
    uses = list(value.uses())
    if len(uses) != 1 or value.is_graph_output():
        return None
    node, index = uses[0]
    if node.op_type == "Flatten":
        layer = _only_layer(node.outputs[0])
        return layer if layer is not None and layer.op_type == "Gemm" else None
    if node.op_type == "Conv" and index == 0:
        group = node.attributes.get_int("group", 1)
        weight = constant(node.inputs[1])
        depthwise = weight is not None and group == weight.shape[0] and weight.shape[1] == 1
        return node if weight is not None and (group == 1 or depthwise) else None
    return node if node.op_type == "Gemm" and index == 0 and constant(node.inputs[1]) is not None else None


def _gate(product: ir.Node) -> str | None:
    """The input of a product that is a vector, one number a channel, which a node computes."""
    for value in product.inputs:
        if value is None or value.producer() is None or value.shape is None:
            continue
        if len(value.shape) == 4 and tuple(value.shape)[2:] == (1, 1):
            return str(value.name)
    return None
