"""A vector divided by its own length, in the ways that exporters write it: one LpNormalization."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from edgeeff.graph.model import Array, constant, ints
from edgeeff.graph.views import CHANNEL, View
from edgeeff.graph.writer import Step

#: Below it a bound of the length only keeps from dividing by zero, and an embedding's length is never there.
_TINY = 1e-5


def normalised(step: Step, x: View | Array | None, by: View | Array | None) -> View | None:
    """``x`` by its length over the channels, where ``by`` is that length; else None."""
    if not isinstance(x, View) or not isinstance(by, View) or _of(by.value) is not x.value:
        return None
    along = len(by.shape) == len(x.shape) and all(
        small == 1 or (small, over) == (size, runs)
        for small, over, size, runs in zip(by.shape, by.axes, x.shape, x.axes, strict=True)
    )
    if not along:
        return None
    sides = (x.dims[2], x.dims[3])
    value = step.write("LpNormalization", [x.value], x.dims[CHANNEL], sides, {"axis": CHANNEL, "p": 2})
    return replace(x, value=value)


def _of(value: ir.Value) -> ir.Value | None:
    """What a tensor is the length of, over the channels; None: of nothing."""
    node = value.producer()
    if node is not None and node.op_type == "Mul" and _is_ones(node.inputs[1]) and node.inputs[0] is not None:
        node = node.inputs[0].producer()  # brought to the vector's size, as torch writes it
    if node is not None and node.op_type == "Clip":
        low, high = constant(node.inputs[1]), constant(node.inputs[2])
        if low is None or high is None or not 0 <= float(low) <= _TINY or float(high) < 1e30:
            return None
        source = node.inputs[0]
        node = source.producer() if source is not None else None
    if node is None:
        return None
    if node.op_type == "ReduceL2" and ints(node, "axes", []) == [CHANNEL]:
        return node.inputs[0]
    return _of_squares(node) if node.op_type == "Sqrt" and node.inputs[0] is not None else None


def _is_ones(value: ir.Value | None) -> bool:
    array = constant(value)
    return array is not None and bool((array == 1).all())


def _of_squares(root: ir.Node) -> ir.Value | None:
    """What the root of a sum of squares is taken of."""
    assert root.inputs[0] is not None
    total = root.inputs[0].producer()
    if total is not None and total.op_type == "Clip":  # TensorFlow bounds the square
        low, source = constant(total.inputs[1]), total.inputs[0]
        if low is None or not 0 <= float(low) <= _TINY or source is None:
            return None
        total = source.producer()
    axes = constant(total.inputs[1]) if total is not None and total.op_type == "ReduceSum" else None
    if total is None or axes is None or axes.reshape(-1).tolist() != [CHANNEL] or total.inputs[0] is None:
        return None
    square = total.inputs[0].producer()
    same = square is not None and square.op_type == "Mul" and square.inputs[0] is square.inputs[1]
    return square.inputs[0] if square is not None and same else None
