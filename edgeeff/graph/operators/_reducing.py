"""Sums, means and lengths over some of channels, height and width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir

from edgeeff.graph.lowering import Builder, Options, Tensor, attribute
from edgeeff.graph.model import Array
from edgeeff.graph.operators import _axes, _padding, _pooling, _rearranging
from edgeeff.graph.views import HEIGHT, WIDTH, View
from edgeeff.graph.writer import Step

#: How a node says its axes: by an attribute of our opset 17, or by an input.
BY_ATTRIBUTE, BY_INPUT = "attribute", "input"


def translate(step: Step, operator: str, since: int, says: str) -> View:
    """A node that keeps its axes; the view drops them where the file's node does.

    Args:
        step: The node.
        operator: Ours.
        since: The opset from which on the file's node has its axes as an input.
        says: How ours has them.
    """
    x = _padding.whole(step, 0)
    rank = len(x.shape)
    axes = step.axes(1, rank, since)
    if not axes:
        if step.attribute("noop_with_empty_axes", 0):
            return x
        step.refuse(f"it goes over all axes of {list(x.shape)}, the images among them")
    over = {dimension for axis in axes for dimension in x.axes[axis]}
    value = x.value
    if operator == "ReduceMean" and over and over == {d for d in (HEIGHT, WIDTH) if x.dims[d] > 1}:
        value = _pooling.pooled(step, x).value
    else:
        dimensions = sorted(over | {_axes.dimension(step, x, axis) for axis in axes if len(x.axes[axis]) < 2})
        if 0 in dimensions:
            step.refuse(f"it goes over the images of {list(x.shape)}")
        value = _written(step, x, operator, dimensions, says)
        over = set(dimensions)
    kept = bool(step.attribute("keepdims", 1))
    left = [i for i in range(rank) if kept or i not in axes]
    dims = tuple(1 if d in over else size for d, size in enumerate(x.dims))
    return View(
        value,
        (dims[0], dims[1], dims[2], dims[3]),
        tuple(1 if i in axes else x.shape[i] for i in left),
        tuple(() if i in axes else x.axes[i] for i in left),
    )


def _written(step: Step, x: View, operator: str, dimensions: list[int], says: str) -> ir.Value:
    dims = [1 if d in dimensions else size for d, size in enumerate(x.dims)]
    operands, attributes = [x.value], {"keepdims": 1}
    if says == BY_INPUT:
        operands.append(step.writer.constant(np.asarray(dimensions, np.int64)))
        return step.write(operator, operands, dims[1], (dims[2], dims[3]), attributes)
    both = {**attributes, "axes": dimensions}
    return step.write(operator, operands, dims[1], (dims[2], dims[3]), both)


def axes_of(node: ir.Node, operands: Sequence[Array]) -> list[int]:
    """The axes of a node of ours, by attribute or by input."""
    found = node.attributes.get("axes")
    return [int(axis) for axis in (found.as_ints() if found is not None else operands[1])]


def lower(node: onnx.NodeProto, builder: Builder, code: str) -> None:
    """MEAN or SUM."""
    result = builder.result(node, node.input[:1], clamps=False)
    source = builder.operand(node.input[0], result)
    builder.add(code, [source, axes(node, builder)], builder.produce(result), options(node))


def axes(node: onnx.NodeProto, builder: Builder) -> Tensor:
    """The axes of a node of the hub in TFLite's order, as a constant."""
    given = attribute(node, "axes", None)
    array = builder.constant(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    rank = len(builder.shapes[node.input[0]])
    found = given if given is not None else array.reshape(-1).tolist() if array is not None else range(rank)
    here = sorted(_rearranging.axis_of(int(axis), rank) for axis in found)
    return builder.integers(f"{node.output[0]}/axes", here)


def options(node: onnx.NodeProto) -> Options:
    """Of a reduction."""
    return Options("ReducerOptions", {"keepDims": bool(attribute(node, "keepdims", 1))})
