"""Identity."""

from __future__ import annotations

from edgeeff.graph.operators import Operator, _sizes
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """The output is the input."""
    return step.view(0)


OPERATORS = (Operator("Identity", translate=translate, most=_sizes.as_read),)
