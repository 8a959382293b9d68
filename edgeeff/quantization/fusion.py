"""The nodes of a detector's pyramid: sums of features that were resized and weighted."""

from __future__ import annotations

import onnx_ir as ir

from edgeeff.graph.model import constant
from edgeeff.graph.operators import traits
from edgeeff.target import Scheme


def weighting(node: ir.Node) -> tuple[ir.Value, float] | None:
    """What a node multiplies by one positive number, and the number; None: it does something else."""
    if node.op_type != "Mul":
        return None
    for factor, value in (node.inputs, reversed(node.inputs)):
        number = constant(factor)
        if number is not None and value is not None and number.size == 1 and float(number.reshape(-1)[0]) > 0:
            return value, float(number.reshape(-1)[0])
    return None


def is_fusion(addition: ir.Node) -> bool:
    """Whether an addition is of a pyramid's node: its sum is of resized or weighted tensors, or of three."""
    if addition.op_type != "Add":
        return False
    (reader, *more) = [*addition.outputs[0].consumers(), None]
    if reader is not None and more == [None] and reader.op_type == "Add":
        return is_fusion(reader) or _is_resized_or_weighted(addition) or _adds_sum(reader)
    return _is_resized_or_weighted(addition) or _adds_sum(addition)


def is_summand(node: ir.Node, index: int, scheme: Scheme) -> bool:
    """Whether an addition of a pyramid's node, or the product before it, reads a level's features as codes.

    What a convolution makes for this sum alone is added in the convolution's own kernel, in float.
    """
    value = node.inputs[index]
    producer = value.producer() if value is not None else None
    if not scheme.before_selection or producer is None or constant(value) is not None:
        return False
    if producer.op_type == "Add" or weighting(producer) is not None:
        return False
    return not (producer.op_type == "Conv" and len(producer.outputs[0].uses()) == 1)


def _is_resized_or_weighted(addition: ir.Node) -> bool:
    made = [value.producer() for value in addition.inputs if value is not None]
    return any(n is not None and (weighting(n) is not None or _resizes(n)) for n in made)


def _adds_sum(addition: ir.Node) -> bool:
    """Whether an addition adds to what another one made for it alone."""
    made = [value.producer() for value in addition.inputs if value is not None and len(value.uses()) == 1]
    return any(n is not None and n.op_type == "Add" for n in made)


def _resizes(node: ir.Node) -> bool:
    return traits(node).selects(node) and node.op_type in ("Resize", "MaxPool")
