"""Add."""

from __future__ import annotations

from edgeeff.graph.operators import Operator, Traits, _elementwise, _sizes
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """Of two tensors, or of a tensor and a constant."""
    return _elementwise.combined(step, "Add") or _elementwise.with_constant(step, lambda k: (1.0, k))


OPERATORS = (
    Operator(
        "Add",
        translate=translate,
        most=_sizes.broadcast,
        execute=lambda _, x: x[0] + x[1],
        traits=Traits(constants=True),
        lower=_elementwise.lower,
    ),
)
