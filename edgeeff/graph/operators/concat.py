"""Concat along channels, height or width; in front of the network, of channels taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder, Options, attribute
from edgeeff.graph.lowering import Tensor as Lowered
from edgeeff.graph.operators import (
    Operator,
    Traits,
    _axes,
    _channels,
    _padding,
    _rearranging,
    _sizes,
    as_read,
)
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor


#: Tensors that XNNPACK puts together in one operator, at most.
_AT_ONCE = 5


def translate(step: Step) -> View:
    """Of channels that were taken out of the pixels, as one Gather; else a Concat."""
    if any(not isinstance(value, View) for value in step.inputs):
        step.refuse("it puts together what depends on the image and what does not")
    views = [_padding.whole(step, i) for i in range(len(step.inputs))]
    first = views[0]
    axis = _axes.counted(step, first, step.attribute("axis", 0))
    if len(views) == 1:
        return first
    if all(map(_channels.in_front, views)) and all(_channels.lies_as(view, first, axis) for view in views):
        parts = [_channels.part_of(view.value) for view in views]
        if all(part.source is parts[0].source for part in parts):
            return _channels.together(step, first, axis, parts)
    return _written(step, views, axis)


def _written(step: Step, views: list[View], axis: int) -> View:
    widest = max(views, key=lambda view: view.shape[axis])
    dimension = _axes.dimension(step, widest, axis)
    others = [d for d in range(4) if d != dimension]
    same = all([view.dims[d] for d in others] == [widest.dims[d] for d in others] for view in views)
    runs = all(
        view.axes[axis] in ((), (dimension,)) for view in views if len(view.shape) == len(widest.shape)
    )
    if not (same and _axes.alike(views, axis) and runs):
        step.refuse(
            f"it puts together tensors of {[list(view.shape) for view in views]}, or in several layouts"
        )
    dims, total = [*widest.dims], sum(view.shape[axis] for view in views)
    dims[dimension] = total
    operands = [view.value for view in views]
    value = step.write("Concat", operands, dims[1], (dims[2], dims[3]), {"axis": dimension})
    return _axes.resized(widest, value, {axis: (dimension, total)})


def execute(node: ir.Node, x: list[Tensor]) -> Tensor:
    """Along one axis."""
    import torch

    return torch.cat(x, node.attributes.get_int("axis", 1))


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """CONCATENATION, at the scale of its result: what has another is brought to it by a QUANTIZE before.

    Of more tensors than XNNPACK takes at once the last ones, a detector's smallest, are put together first.
    """
    if attribute(node, "axis", 1) % len(builder.shapes[node.output[0]]) == 0:
        raise GraphError(f"Concat {node.name!r} puts images together", mend="concatenate another axis")
    result = builder.result(node, node.input, clamps=False)
    operands = []
    for value in node.input:
        operand = builder.operand(value, result)
        if result.quantization is not None:
            operand = builder.requantized(operand, result.quantization)
        operands.append(operand)
    axis = _rearranging.axis_of(attribute(node, "axis", 1), len(result.shape))
    while len(operands) > _AT_ONCE:
        count = min(_AT_ONCE, len(operands) - _AT_ONCE + 1)
        operands[-count:] = [_together(operands[-count:], axis, result.name, builder)]
    fields = {"axis": axis, "fusedActivationFunction": result.activation}
    builder.add("CONCATENATION", operands, builder.produce(result), Options("ConcatenationOptions", fields))


def _together(operands: Sequence[Lowered], axis: int, name: str, builder: Builder) -> Lowered:
    first = operands[0]
    size = sum(operand.shape[axis] for operand in operands)
    shape = tuple(size if i == axis else n for i, n in enumerate(first.shape))
    target = builder.tensor(f"{name}/last", shape, first.type, first.quantization)
    fields = {"axis": axis, "fusedActivationFunction": 0}
    return builder.add("CONCATENATION", operands, target, Options("ConcatenationOptions", fields))


OPERATORS = (
    Operator(
        "Concat",
        translate=translate,
        most=_sizes.as_read,
        execute=execute,
        traits=Traits(scale="of output", nonnegative=as_read),
        lower=lower,
    ),
)
