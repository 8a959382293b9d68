"""Sub."""

from __future__ import annotations

from edgeeff.graph.operators import Operator, Traits, _elementwise, _sizes
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """Of two tensors; of a constant, or from one."""
    if (both := _elementwise.combined(step, "Sub")) is not None:
        return both
    if isinstance(step.inputs[0], View):
        return _elementwise.with_constant(step, lambda k: (1.0, -k))
    return _elementwise.with_constant(step, lambda k: (-1.0, k))


OPERATORS = (
    Operator(
        "Sub",
        translate=translate,
        most=_sizes.broadcast,
        execute=lambda _, x: x[0] - x[1],
        traits=Traits(constants=True),
        lower=_elementwise.lower,
    ),
)
