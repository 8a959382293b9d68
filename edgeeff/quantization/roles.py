"""What a layer is for, as far as it can be told by what it reads and what is made of it."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from edgeeff.detection.facts import CODES, LOGITS
from edgeeff.graph.operators import traits
from edgeeff.target import Role

_HEADS: Mapping[str, frozenset[Role]] = {CODES: frozenset({"box head"}), LOGITS: frozenset({"class head"})}


def is_layer(node: ir.Node) -> bool:
    """Whether a node has weights to quantise."""
    return traits(node).layer


def is_depthwise(node: ir.Node) -> bool:
    """Whether a convolution has a filter of its own for each channel."""
    return node.op_type == "Conv" and node.attributes.get_int("group", 1) > 1


def in_squeeze_excite(node: ir.Node) -> bool:
    """Whether a convolution works on the pooled vector of a squeeze-excite branch: its input is 1×1."""
    value = node.inputs[0]
    while value is not None and (producer := value.producer()) is not None:
        if producer.op_type == "GlobalAveragePool":
            return node.op_type == "Conv"
        passes = producer.op_type in ("Conv", "Mul") or traits(producer).activation
        if not passes or not _is_vector(value):
            return False
        value = producer.inputs[0]
    return False


def roles(node: ir.Node) -> frozenset[Role]:
    """What a layer is for, as far as a scheme may ask.

    The stem is the convolution that reads the image; the first depthwise convolution is the one that reads
    what the stem makes, where there is such (not in V2, whose first blocks are fused). The classifier is the
    fully connected layer. A detector's heads are the layers from which one of its outputs alone is made.
    """
    if node.op_type != "Conv":
        return frozenset(("classifier",)) if node.op_type == "Gemm" else frozenset()
    of_head = head(node)
    if not is_depthwise(node):
        return of_head | {"stem"} if _source(node) is None else of_head
    before = _source(node)
    first = before is not None and before.op_type == "Conv" and "stem" in roles(before)
    return of_head | ({"depthwise", "first depthwise"} if first else {"depthwise"})


def head(node: ir.Node) -> frozenset[Role]:
    """The head of a detector that a convolution is of: the one output that its values become part of."""
    value = node.outputs[0]
    while not value.is_graph_output():
        readers = list(value.consumers())
        if len(readers) == 2:  # Swish in its steps
            readers = [r for r in readers if not (r.op_type == "Sigmoid" and len(r.outputs[0].uses()) == 1)]
        if len(readers) != 1:
            return frozenset()
        value = readers[0].outputs[0]
    return _HEADS.get(str(value.name), frozenset())


def _source(layer: ir.Node) -> ir.Node | None:
    """The node that makes what a layer reads, seen through activations; None: it reads the image."""
    value = layer.inputs[0]
    while value is not None and (producer := value.producer()) is not None:
        gate = producer.op_type == "Mul" and any(
            v is not None and (p := v.producer()) is not None and p.op_type == "Sigmoid"
            for v in producer.inputs
        )
        # The mean of raw pixels; activations, whole or in their steps.
        if producer.op_type != "Sub" and not traits(producer).activation and not gate:
            return producer
        value = producer.inputs[0]
    return None


def _is_vector(value: ir.Value) -> bool:
    return value.shape is not None and len(value.shape) == 4 and tuple(value.shape)[2:] == (1, 1)
