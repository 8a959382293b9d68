"""What takes channels out of a tensor and puts them together again: the colours turned around, a grey image
made three.

Slice, Gather and Split each write a Gather along the channels; Concat, Expand and Tile put such parts of one
tensor together as one Gather, with what was done to each part alone (a Mul, an Add) behind it. What remains
is taken up by :mod:`edgeeff.graph.importing.normalisation`, which allows it in front of the network alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from edgeeff.graph.importing.operators.elementwise import affine
from edgeeff.graph.importing.views import CHANNEL, View, nchw_axes, reshaped
from edgeeff.graph.importing.writer import Step
from edgeeff.graph.model import Array, constant


@dataclass(frozen=True)
class _Part:
    """Channels of a tensor, each times ``scale`` plus ``shift``."""

    source: ir.Value
    channels: Array
    scale: Array
    shift: Array


def gather(step: Step) -> View:
    """Gather of channels, all or some, in any order; of one alone by a number, its axis goes."""
    x, indices = step.unpadded(0), step.required(1)
    axis = _axis(step, x, step.attribute("axis", 0))
    if indices.ndim > 1 or indices.dtype.kind not in "iu":
        step.refuse(f"its indices are {indices.dtype} of {list(indices.shape)}")
    size = x.shape[axis]
    chosen = np.asarray([_within(step, int(i), size) for i in indices.reshape(-1)], np.int64)
    whole = size == 1 and not x.runs_over(axis, CHANNEL)
    found = x if whole else _chosen(step, x, axis, chosen)
    return found if indices.ndim else reshaped(found, [n for i, n in enumerate(found.shape) if i != axis])


def slice_(step: Step) -> View:
    """Slice that takes all of an axis, or some of the channels, forwards or backwards."""
    x = step.unpadded(0)
    if step.opset < 10:
        starts, ends = step.attribute("starts", [0][:0]), step.attribute("ends", [0][:0])
        axes, steps = step.attribute("axes", list(range(len(starts)))), [1] * len(starts)
    else:
        starts, ends = ([int(v) for v in step.required(i).reshape(-1)] for i in (1, 2))
        given_axes, given_steps = step.constant(3), step.constant(4)
        axes = list(range(len(starts))) if given_axes is None else [int(a) for a in given_axes.reshape(-1)]
        steps = [1] * len(starts) if given_steps is None else [int(s) for s in given_steps.reshape(-1)]
    for start, end, axis, stride in zip(starts, ends, axes, steps, strict=True):
        axis = _axis(step, x, axis)
        size = x.shape[axis]
        # As in Python, but that −1 of a backward end counts from the end as well, so that it is empty.
        end = max(end, -1 - size) if stride < 0 else end
        chosen = np.arange(size)[slice(start, None if end < -size else end, stride)]
        if len(chosen) != size or (chosen != np.arange(size)).any():
            x = _chosen(step, x, axis, chosen)
    return x


def split(step: Step) -> list[View]:
    """Split of the channels into parts."""
    x = step.unpadded(0)
    axis = _axis(step, x, step.attribute("axis", 0))
    count, size = len(step.node.output), x.shape[axis]
    given = step.attribute("split", [0][:0]) if step.opset < 13 else step.constant(1)
    if given is None or not len(given):
        each = -(-size // count)
        sizes = [min(each, size - i * each) for i in range(count)]
    else:
        sizes = [int(part) for part in np.asarray(given).reshape(-1)]
    if sum(sizes) != size or len(sizes) != count or min(sizes) < 1:
        step.refuse(f"it splits {size} into {sizes}")
    ends = np.cumsum(sizes)
    return [_chosen(step, x, axis, np.arange(end - part, end)) for part, end in zip(sizes, ends, strict=True)]


def concat(step: Step) -> View:
    """Concat of channels that were taken out of one tensor, or of that tensor several times."""
    if any(not isinstance(value, View) for value in step.inputs):
        step.refuse("it puts together what depends on the image and what does not")
    views = [step.unpadded(i) for i in range(len(step.inputs))]
    first = views[0]
    axis = _axis(step, first, step.attribute("axis", 0))
    if not all(_lies_as(view, first, axis) for view in views):
        step.refuse(f"it puts together tensors of {[list(view.shape) for view in views]}, not their channels")
    return _together(step, first, axis, [_part(view.value) for view in views])


def expand(step: Step) -> View:
    """Expand of one channel to several."""
    x = step.unpadded(0)
    wanted = [int(size) for size in step.required(1).reshape(-1)]
    rank = max(len(wanted), len(x.shape))
    shape = [
        max(a, b) for a, b in zip([1] * (rank - len(wanted)) + wanted, _padded(x.shape, rank), strict=True)
    ]
    return _repeated(step, x, [new // old for new, old in zip(shape, _padded(x.shape, rank), strict=True)])


def tile(step: Step) -> View:
    """Tile of the channels."""
    x = step.unpadded(0)
    return _repeated(step, x, [int(times) for times in step.required(1).reshape(-1)])


def _repeated(step: Step, x: View, times: list[int]) -> View:
    if len(times) != len(x.shape):
        step.refuse(f"it changes the number of axes of {list(x.shape)}")
    for axis, count in enumerate(times):
        if count != 1:
            _axis(step, x, axis)
            if not x.runs_over(axis, CHANNEL) or not 0 < count < 1024:
                step.refuse("it repeats something else than channels")
            x = _together(step, x, axis, [_part(x.value)] * count)
    return x


def _padded(shape: Sequence[int], rank: int) -> list[int]:
    return [1] * (rank - len(shape)) + list(shape)


def _axis(step: Step, x: View, axis: int) -> int:
    found = axis + len(x.shape) if axis < 0 else axis
    if not 0 <= found < len(x.shape):
        step.refuse(f"its axis is {axis} of {list(x.shape)}")
    return found


def _within(step: Step, index: int, size: int) -> int:
    if not -size <= index < size:
        step.refuse(f"it takes number {index} of {size}")
    return index % size


def _lies_as(view: View, first: View, axis: int) -> bool:
    """Whether two views are the same but for the number of channels along an axis."""
    same = view.dims[:1] + view.dims[2:] == first.dims[:1] + first.dims[2:]
    others = len(view.shape) == len(first.shape) and all(
        (view.shape[i], view.axes[i]) == (first.shape[i], first.axes[i])
        for i in range(len(first.shape))
        if i != axis
    )
    return same and others and view.runs_over(axis, CHANNEL) and first.runs_over(axis, CHANNEL)


def _chosen(step: Step, x: View, axis: int, channels: Array) -> View:
    """The view of some channels."""
    if not x.runs_over(axis, CHANNEL):
        step.refuse("it takes a part of something else than the channels")
    part = _part(x.value)
    picked = _Part(part.source, part.channels[channels], part.scale[channels], part.shift[channels])
    return _together(step, x, axis, [picked])


def _together(step: Step, x: View, axis: int, parts: list[_Part]) -> View:
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


def _part(value: ir.Value) -> _Part:
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


OPERATORS = {
    "Concat": concat,
    "Expand": expand,
    "Gather": gather,
    "Slice": slice_,
    "Split": split,
    "Tile": tile,
}
