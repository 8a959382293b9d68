"""Max of a tensor and a constant: a clamp from below."""

from __future__ import annotations

from edgeeff.graph.operators import Operator, _clamping, _sizes
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """A Clip with one bound."""
    return _clamping.clamped(step, _clamping.other(step), None)


OPERATORS = (Operator("Max", translate=translate, most=_sizes.broadcast),)
