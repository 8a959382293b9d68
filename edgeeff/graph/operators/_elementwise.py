"""Sums and products: of two tensors, or with a constant for each channel.

With constants they are most of what tf2onnx and Keras leave of batch normalisation, and of the normalisation
of the input. They are written as Mul and Add, for the importer's ``affine`` and ``normalisation`` to take up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder, Options, Tensor
from edgeeff.graph.model import Array
from edgeeff.graph.operators import _padding
from edgeeff.graph.views import CHANNEL, View, broadcast
from edgeeff.graph.writer import Step

Vector = npt.NDArray[np.float64]


def affine(step: Step, x: View, scale: Array, shift: Array) -> View:
    """x · scale + shift, each of one value or one for each channel; what changes nothing is not written."""
    channels, sides, value = x.dims[CHANNEL], (x.dims[2], x.dims[3]), x.value
    for operator, operand, neutral in (("Mul", scale, 1), ("Add", shift, 0)):
        if (operand != neutral).any():
            each = step.channels(np.broadcast_to(operand.reshape(-1), (channels,)))
            value = step.write(operator, [value, each], channels, sides)
    return replace(x, value=value)


def combined(step: Step, operator: str) -> View | None:
    """Two tensors that both depend on the image."""
    if not all(isinstance(value, View) for value in step.inputs):
        return None
    left, right = _padding.whole(step, 0), _padding.whole(step, 1)
    shape, axes = broadcast(left, right)
    pairs = list(zip(left.dims, right.dims, strict=True))
    batch, channels, height, width = (max(pair) for pair in pairs)
    value = step.write(operator, [left.value, right.value], channels, (height, width))
    return View(value, (batch, channels, height, width), shape, axes)


def with_constant(step: Step, of: Callable[[Vector], tuple[Vector | float, Vector | float]]) -> View:
    """A tensor, and the scale and shift that ``of`` makes of a constant."""
    index = 0 if isinstance(step.inputs[0], View) else 1
    x, constant = step.view(index), step.required(1 - index)
    if x.pads != (0, 0, 0, 0):
        step.refuse("it changes a tensor after zeros were put around it; they would no longer be zeros")
    x = _of_rank(x, max(len(x.shape), constant.ndim))
    scale, shift = of(_per_channel(step, x, constant).astype(np.float64))
    return affine(step, x, np.atleast_1d(np.asarray(scale)), np.atleast_1d(np.asarray(shift)))


def _of_rank(x: View, rank: int) -> View:
    missing = max(rank - len(x.shape), 0)
    return replace(x, shape=(1,) * missing + x.shape, axes=((),) * missing + x.axes)


def _per_channel(step: Step, x: View, constant: Array) -> Array:
    """A constant as one value, or one for each channel."""
    values = constant.reshape((1,) * (len(x.shape) - constant.ndim) + constant.shape)
    for axis, size in enumerate(values.shape):
        if size not in (1, x.shape[axis]):
            step.refuse(f"a constant of {list(constant.shape)} does not fit {list(x.shape)}")
        if size > 1 and not x.runs_over(axis, CHANNEL):
            first = values.take([0], axis)
            if (values != first).any():
                step.refuse(
                    f"a constant of {list(constant.shape)} differs along an axis that is not the channels"
                )
            values = first
    return values.reshape(-1)


def constant_first(step: Step, operator: str) -> View:
    """A node on a constant, of one value or one for each channel, and a tensor, in this order."""
    x = _of_rank(_padding.whole(step, 1), step.required(0).ndim)
    channels = x.dims[CHANNEL]
    each = step.channels(np.broadcast_to(_per_channel(step, x, step.required(0)), (channels,)))
    return replace(x, value=step.write(operator, [each, x.value], channels, (x.dims[2], x.dims[3])))


def lower(
    node: onnx.NodeProto,
    builder: Builder,
    version: Callable[[Sequence[Tensor], Tensor], int | None] = lambda _operands, _made: None,
    *,
    integers: bool = True,
) -> None:
    """ADD, MUL, SUB, DIV: with broadcasting from either side, each tensor at its own scale."""
    result = builder.result(node, node.input, integers=integers)
    operands = [builder.operand(value, result) for value in node.input]
    if any(len(operand.shape) != len(result.shape) for operand in operands):
        raise GraphError(
            f"{node.op_type} {node.name!r} broadcasts over ranks {[len(o.shape) for o in operands]}",
            mend="reshape both operands to one rank: NCHW and NHWC broadcast differently",
        )
    tensor = builder.produce(result)
    options = Options(f"{node.op_type}Options", {"fusedActivationFunction": result.activation})
    builder.add(node.op_type.upper(), operands, tensor, options, version=version(operands, tensor))
