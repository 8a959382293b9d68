"""What takes channels out of a tensor and puts them together again: the colours turned around, a grey image
made three.

Slice, Gather and Split each write a Gather along the channels; Concat, Expand and Tile put such parts of one
tensor together as one Gather, with what was done to each part alone (a Mul, an Add) behind it. What remains
is taken up by the importer's ``normalisation``, which allows it in front of the network alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from edgeeff.graph.model import Array, constant
from edgeeff.graph.operators import _axes
from edgeeff.graph.operators._elementwise import affine
from edgeeff.graph.views import CHANNEL, View, nchw_axes
from edgeeff.graph.writer import Step

#: What is done to pixels before the network: normalised, clamped, their channels put in another order.
_PIXELS = ("Add", "Clip", "Gather", "Mul", "Relu")


@dataclass(frozen=True)
class _Part:
    """Channels of a tensor, each times ``scale`` plus ``shift``."""

    source: ir.Value
    channels: Array
    scale: Array
    shift: Array


def repeated(step: Step, x: View, times: list[int]) -> View:
    """Channels, each axis so many times."""
    if len(times) != len(x.shape):
        step.refuse(f"it changes the number of axes of {list(x.shape)}")
    for axis, count in enumerate(times):
        if count != 1:
            _axes.counted(step, x, axis)
            if not x.runs_over(axis, CHANNEL) or not 0 < count < 1024:
                step.refuse("it repeats something else than channels")
            x = together(step, x, axis, [part_of(x.value)] * count)
    return x


def lies_as(view: View, first: View, axis: int) -> bool:
    """Whether two views are the same but for the number of channels along an axis."""
    same = view.dims[:1] + view.dims[2:] == first.dims[:1] + first.dims[2:]
    others = len(view.shape) == len(first.shape) and all(
        (view.shape[i], view.axes[i]) == (first.shape[i], first.axes[i])
        for i in range(len(first.shape))
        if i != axis
    )
    return same and others and view.runs_over(axis, CHANNEL) and first.runs_over(axis, CHANNEL)


def chosen(step: Step, x: View, axis: int, channels: Array) -> View:
    """The view of some channels."""
    if not x.runs_over(axis, CHANNEL):
        step.refuse("it takes a part of something else than the channels")
    part = part_of(x.value)
    picked = _Part(part.source, part.channels[channels], part.scale[channels], part.shift[channels])
    return together(step, x, axis, [picked])


def together(step: Step, x: View, axis: int, parts: list[_Part]) -> View:
    """The view of parts of one tensor behind each other, along an axis where ``x`` has its channels."""
    source = parts[0].source
    if any(part.source is not source for part in parts):
        step.refuse("it puts together channels of different tensors")
    channels, scale, shift = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("channels", "scale", "shift")
    )
    count = len(channels)
    assert source.shape is not None
    everything = int(list(source.shape)[CHANNEL])  # type: ignore[arg-type]  # all sizes are known
    if count < 1:
        step.refuse("it takes no channel at all")
    value = source
    if count != everything or (channels != np.arange(everything)).any():
        indices = step.writer.constant(channels.astype(np.int64))
        value = step.write("Gather", [source, indices], count, (x.dims[2], x.dims[3]), {"axis": CHANNEL})
    dims = (x.dims[0], count, x.dims[2], x.dims[3])
    shape = tuple(count if i == axis else size for i, size in enumerate(x.shape))
    runs = nchw_axes(dims)[CHANNEL]
    axes = tuple(runs if i == axis else over for i, over in enumerate(x.axes))
    return affine(step, replace(x, value=value, dims=dims, shape=shape, axes=axes), scale, shift)


def in_front(x: View) -> bool:
    """Whether a view is of the pixels' own channels, before any layer."""
    value = x.value
    while (node := value.producer()) is not None:
        others = node.inputs[1:]
        if node.op_type not in _PIXELS or any(constant(other) is None for other in others):
            return False
        assert node.inputs[0] is not None
        value = node.inputs[0]
    return True


def part_of(value: ir.Value) -> _Part:
    """What a tensor is of the one that channels were taken out of."""
    assert value.shape is not None
    count = int(list(value.shape)[CHANNEL])  # type: ignore[arg-type]  # all sizes are known
    scale, shift = np.ones(count), np.zeros(count)
    start, at = value, value
    while (node := at.producer()) is not None:
        operand = constant(node.inputs[1]) if len(node.inputs) == 2 else None
        if node.op_type not in ("Mul", "Add", "Gather") or operand is None or node.inputs[0] is None:
            break
        at = node.inputs[0]
        if node.op_type == "Gather":
            return _Part(at, operand.astype(np.int64), scale, shift)
        each = np.broadcast_to(operand.astype(np.float64).reshape(-1), (count,))
        scale, shift = (scale * each, shift) if node.op_type == "Mul" else (scale, shift + scale * each)
    return _Part(start, np.arange(count), np.ones(count), np.zeros(count))
