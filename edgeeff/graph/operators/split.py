"""Split, which is a Slice for each of its parts."""

from __future__ import annotations

import numpy as np
import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder, attribute
from edgeeff.graph.operators import (
    Operator,
    Traits,
    _axes,
    _channels,
    _padding,
    _rearranging,
    as_first,
    selects,
)
from edgeeff.graph.operators.slice import written
from edgeeff.graph.views import CHANNEL, View
from edgeeff.graph.writer import Step


def translate(step: Step) -> list[View]:
    """Into parts of equal size, or of sizes that are said."""
    x = _padding.whole(step, 0)
    axis = _axes.counted(step, x, step.attribute("axis", 0))
    count, size = len(step.node.output), x.shape[axis]
    given = step.attribute("split", [0][:0]) if step.opset < 13 else step.constant(1)
    sizes = _parts(
        size, count, [int(part) for part in np.asarray(given).reshape(-1)] if given is not None else []
    )
    if sum(sizes) != size or len(sizes) != count or min(sizes) < 1:
        step.refuse(f"it splits {size} into {sizes}")
    if count == 1:
        return [x]
    ends = [int(end) for end in np.cumsum(sizes)]
    ranges = [range(end - part, end) for part, end in zip(sizes, ends, strict=True)]
    if _channels.in_front(x) and x.runs_over(axis, CHANNEL):
        return [_channels.chosen(step, x, axis, np.asarray(r, np.int64)) for r in ranges]
    return [written(step, x, axis, r) for r in ranges]


def _parts(size: int, count: int, given: list[int]) -> list[int]:
    each = -(-size // count)
    return given or [min(each, size - i * each) for i in range(count)]


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """A SLICE for each part, each at the scale of the whole."""
    shape = builder.shapes[node.input[0]]
    axis, rank = attribute(node, "axis", 0) % len(shape), len(shape)
    given = builder.constant(node.input[1]) if len(node.input) > 1 and node.input[1] else None
    sizes = _parts(shape[axis], len(node.output), [] if given is None else [int(part) for part in given])
    start = 0
    for number, size in enumerate(sizes):
        if axis == 0:
            raise GraphError(f"Split {node.name!r} takes the images apart", mend="split another axis")
        taken = [range(start, start + size) if i == axis else range(n) for i, n in enumerate(shape)]
        start += size
        name = node.output[number]
        if name in builder.outputs or builder.consumers.get(name):
            kept = builder.keeping(node, selects=True, output=number)
            _rearranging.sliced(kept, _rearranging.ordered(taken, rank), builder)


OPERATORS = (
    Operator("Split", translate=translate, traits=Traits(selects=selects, nonnegative=as_first), lower=lower),
)
