"""Which part each tensor and layer plays in an EfficientNet, read off the graph and not off its names."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from edgeeff.graph.model import constant
from edgeeff.quantization.roles import in_squeeze_excite, is_depthwise, is_layer
from edgeeff.tasks import LOGITS

INPUT = "input"
STEM = "stem's output"
ACTIVATION = "activations"
PRODUCT = "SE products"
BRANCH = "SE branch"
INSIDE = "inside Swish"
RESIDUAL = "residual stream"
POOLED = "pooled features"
OUTPUT = "logits"
FEATURES = "features put out"

#: One of each, in words.
SINGULAR = {
    INPUT: "the input",
    STEM: "the stem's output",
    ACTIVATION: "an activation",
    PRODUCT: "an SE product",
    BRANCH: "in an SE branch",
    INSIDE: "inside Swish",
    RESIDUAL: "the residual stream",
    POOLED: "the pooled features",
    OUTPUT: "the logits",
    FEATURES: "an output",
}


def of_tensors(model: ir.Model) -> Mapping[str, str]:
    """The role of every tensor of a graph, one of the names above."""
    found: dict[str, str] = {str(value.name): INPUT for value in model.graph.inputs}
    layers = 0
    for node in model.graph:
        layers += is_layer(node)
        value = node.outputs[0]
        if layers == 0:
            role = INPUT
        elif value.is_graph_output():
            role = OUTPUT if value.name == LOGITS else FEATURES
        elif inside_swish(value):
            role = INSIDE
        elif layers == 1:
            role = STEM
        else:
            role = _of(node, found)
        found[str(value.name)] = role
    for node in model.graph:  # a mean that is taken from raw pixels is a tensor too
        for read in node.inputs:
            if node.op_type == "Sub" and read is not None and read.is_initializer():
                found[str(read.name)] = INPUT
    return found


def is_equalised(value: ir.Value | None) -> bool:
    """Whether a tensor was multiplied by a constant for each channel, or its gate was."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type != "Mul":
        return False
    if any(constant(read) is not None for read in node.inputs):
        return True
    return any(_is_vector(read) and is_equalised(read) for read in node.inputs)


def of_layer(node: ir.Node) -> str:
    """A layer in words: ``3×3 depthwise convolution``, ``classifier``."""
    if node.op_type == "Gemm":
        return "fully connected layer"
    weight = constant(node.inputs[1])
    assert weight is not None
    size = "×".join(map(str, weight.shape[2:]))
    kind = "depthwise convolution" if is_depthwise(node) else "convolution"
    return f"{size} {kind}{', SE' if in_squeeze_excite(node) else ''}"


def inside_swish(value: ir.Value) -> bool:
    """Whether a tensor exists only because Swish takes two steps: its input, or σ of it."""
    readers = list(value.consumers())
    producer = value.producer()
    if producer is not None and producer.op_type == "Sigmoid":
        return any(read is producer.inputs[0] for reader in readers for read in reader.inputs)
    kinds = sorted(reader.op_type for reader in readers)
    if kinds != ["Mul", "Sigmoid"]:
        return False
    sigmoid, product = sorted(readers, key=lambda reader: reader.op_type, reverse=True)
    return any(read is sigmoid.outputs[0] for read in product.inputs)


def _of(node: ir.Node, known: Mapping[str, str]) -> str:
    value = node.outputs[0]
    if node.op_type == "Flatten" or (
        node.op_type == "Mul" and any(constant(v) is not None for v in node.inputs)
    ):
        source = next(read for read in node.inputs if read is not None and constant(read) is None)
        return known[str(source.name)]
    if node.op_type == "GlobalAveragePool" or _is_vector(value):
        return BRANCH if _feeds_product(value) else POOLED
    if node.op_type == "Mul" and any(_is_vector(read) for read in node.inputs):
        return PRODUCT
    if node.op_type in ("Swish", "Clip", "Relu", "Mul"):
        return ACTIVATION
    return RESIDUAL


def _feeds_product(value: ir.Value) -> bool:
    """Whether a vector ends in the gate of a product, along a chain of few nodes."""
    waiting, seen = [value], 0
    while waiting and seen < 32:
        seen += 1
        for reader in waiting.pop().consumers():
            made = reader.outputs[0]
            if _is_vector(made):
                waiting.append(made)
            elif reader.op_type == "Mul":
                return True
    return False


def _is_vector(value: ir.Value | None) -> bool:
    return (
        value is not None
        and value.shape is not None
        and len(value.shape) == 4
        and tuple(value.shape)[2:] == (1, 1)
    )
