"""Unsqueeze."""

from __future__ import annotations

from edgeeff.graph.operators import Operator, _sizes
from edgeeff.graph.views import View, reshaped
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """Axes of one element come in."""
    x = step.unpadded(0)
    given = step.required(1).size if step.opset >= 13 else len(step.attribute("axes", [0][:0]))
    axes = step.axes(1, len(x.shape) + given, since=13) or []
    left = iter(x.shape)
    return reshaped(x, [1 if i in axes else next(left) for i in range(len(x.shape) + len(axes))])


OPERATORS = (Operator("Unsqueeze", translate=translate, most=_sizes.as_read),)
