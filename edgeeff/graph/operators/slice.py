"""Slice of channels."""

from __future__ import annotations

import numpy as np

from edgeeff.graph.operators import Operator, _channels, _sizes
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """That takes all of an axis, or some of the channels, forwards or backwards."""
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
        axis = _channels.axis_of(step, x, axis)
        size = x.shape[axis]
        # As in Python, but that −1 of a backward end counts from the end as well, so that it is empty.
        end = max(end, -1 - size) if stride < 0 else end
        chosen = np.arange(size)[slice(start, None if end < -size else end, stride)]
        if len(chosen) != size or (chosen != np.arange(size)).any():
            x = _channels.chosen(step, x, axis, chosen)
    return x


OPERATORS = (Operator("Slice", translate=translate, most=_sizes.as_read),)
