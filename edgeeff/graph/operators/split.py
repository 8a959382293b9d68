"""Split of channels."""

from __future__ import annotations

import numpy as np

from edgeeff.graph.operators import Operator, _channels
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> list[View]:
    """Of the channels into parts."""
    x = step.unpadded(0)
    axis = _channels.axis_of(step, x, step.attribute("axis", 0))
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
    return [
        _channels.chosen(step, x, axis, np.arange(end - part, end))
        for part, end in zip(sizes, ends, strict=True)
    ]


OPERATORS = (Operator("Split", translate=translate),)
