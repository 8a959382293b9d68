"""Squeeze."""

from __future__ import annotations

from edgeeff.graph.operators import Operator, _sizes
from edgeeff.graph.views import View, reshaped
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """Axes of one element go."""
    x = step.unpadded(0)
    axes = step.axes(1, len(x.shape), since=13)
    gone = [i for i, size in enumerate(x.shape) if size == 1] if axes is None else axes
    if any(x.shape[axis] != 1 for axis in gone):
        step.refuse(f"it takes the axes {gone} out of {list(x.shape)}")
    return reshaped(x, [size for i, size in enumerate(x.shape) if i not in gone])


OPERATORS = (Operator("Squeeze", translate=translate, most=_sizes.as_read),)
