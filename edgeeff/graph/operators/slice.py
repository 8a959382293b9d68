"""Slice of height, width or channels; in front of the network, channels in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder
from edgeeff.graph.model import node_label
from edgeeff.graph.operators import (
    Operator,
    Traits,
    _axes,
    _channels,
    _padding,
    _rearranging,
    _sizes,
    as_first,
    selects,
)
from edgeeff.graph.views import CHANNEL, HEIGHT, WIDTH, View
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor


def translate(step: Step) -> View:
    """That takes all of an axis, or some of it, forwards or backwards."""
    x = _padding.whole(step, 0)
    if step.opset < 10:
        starts, ends = step.attribute("starts", [0][:0]), step.attribute("ends", [0][:0])
        axes, steps = step.attribute("axes", list(range(len(starts)))), [1] * len(starts)
    else:
        starts, ends = ([int(v) for v in step.required(i).reshape(-1)] for i in (1, 2))
        given_axes, given_steps = step.constant(3), step.constant(4)
        axes = list(range(len(starts))) if given_axes is None else [int(a) for a in given_axes.reshape(-1)]
        steps = [1] * len(starts) if given_steps is None else [int(s) for s in given_steps.reshape(-1)]
    for start, end, axis, stride in zip(starts, ends, axes, steps, strict=True):
        axis = _axes.counted(step, x, axis)
        taken = _taken(x.shape[axis], start, end, stride)
        if len(taken) == x.shape[axis] and stride > 0:
            continue
        if _channels.in_front(x) and x.runs_over(axis, CHANNEL):
            x = _channels.chosen(step, x, axis, np.asarray(taken, np.int64))
        else:
            x = written(step, x, axis, taken)
    return x


def written(step: Step, x: View, axis: int, taken: range) -> View:
    """A Slice node of our graph along one axis."""
    dimension = _axes.dimension(step, x, axis)
    if not taken:
        step.refuse(f"it takes nothing of axis {axis} of {list(x.shape)}")
    if dimension in (HEIGHT, WIDTH):
        step.writer.sized.append((f"{node_label(step.node)} takes a part of the image", x.shape[axis]))
    end = taken.stop if taken.stop >= 0 else -x.shape[axis] - 1  # backwards to the first
    numbers = [
        step.writer.constant(np.asarray([v], np.int64)) for v in (taken.start, end, dimension, taken.step)
    ]
    dims = [*x.dims]
    dims[dimension] = len(taken)
    value = step.write("Slice", [x.value, *numbers], dims[1], (dims[2], dims[3]))
    return _axes.resized(x, value, {axis: (dimension, len(taken))})


def _taken(size: int, start: int, end: int, step: int) -> range:
    """Which of so many are taken: as in Python, but that −1 of a backward end counts from the end as well."""
    end = max(end, -1 - size) if step < 0 else end
    return range(*slice(start, None if end < -size else end, step).indices(size))


def _numbers(rank: int, constants: list[list[int]], shape: list[int]) -> list[range]:
    """What is taken of each axis, by the constants that a node reads."""
    starts, ends, *rest = constants
    axes = rest[0] if rest else list(range(len(starts)))
    steps = rest[1] if len(rest) > 1 else [1] * len(starts)
    found = [range(size) for size in shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        found[axis % rank] = _taken(shape[axis % rank], start, end, step)
    return found


def execute(_: ir.Node, x: list[Tensor]) -> Tensor:
    """Each axis by itself."""
    import torch

    constants = [[int(v) for v in values] for values in x[1:]]
    result = x[0]
    for axis, taken in enumerate(_numbers(x[0].dim(), constants, list(x[0].shape))):
        if taken.step != 1:
            result = result.index_select(axis, torch.tensor(list(taken), dtype=torch.int64))
        elif len(taken) < x[0].shape[axis]:
            result = result.narrow(axis, taken.start, len(taken))
    return result


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """SLICE, or STRIDED_SLICE where it skips some."""
    kept = builder.keeping(node, selects=True)
    constants = [builder.constant(name) for name in node.input[1:] if name]
    rank = len(kept.shape)
    if any(array is None for array in constants) or "" in node.input[1:]:
        raise GraphError(
            f"Slice {node.name!r} computes what it takes",
            mend="export it with constant starts, ends and axes",
        )
    numbers = [[int(v) for v in array.reshape(-1)] for array in constants if array is not None]
    taken = _rearranging.ordered(_numbers(rank, numbers, list(builder.shapes[node.input[0]])), rank)
    _rearranging.sliced(kept, taken, builder)


OPERATORS = (
    Operator(
        "Slice",
        translate=translate,
        most=_sizes.as_read,
        execute=execute,
        traits=Traits(selects=selects, nonnegative=as_first),
        lower=lower,
    ),
)
