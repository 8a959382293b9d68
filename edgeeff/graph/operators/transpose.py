"""Transpose."""

from __future__ import annotations

from edgeeff.graph.operators import Operator, _sizes
from edgeeff.graph.views import View, transposed
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """Another view."""
    x = step.view(0)
    return transposed(x, step.attribute("perm", list(reversed(range(len(x.shape))))))


OPERATORS = (Operator("Transpose", translate=translate, most=_sizes.as_read),)
