"""Flatten."""

from __future__ import annotations

from math import prod

from edgeeff.graph.operators import Operator, Traits, _padding, _rearranging, _sizes, as_first, selects
from edgeeff.graph.views import View, reshaped
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """The axes before ``axis`` run together, and those from it on."""
    x = _padding.whole(step, 0)
    axis = step.attribute("axis", 1)
    axis += len(x.shape) if axis < 0 else 0
    return reshaped(x, [prod(x.shape[:axis]), prod(x.shape[axis:])])


OPERATORS = (
    Operator(
        "Flatten",
        translate=translate,
        most=_sizes.as_read,
        execute=lambda _, x: x[0].flatten(1),
        traits=Traits(view=True, selects=selects, nonnegative=as_first),
        lower=_rearranging.reshape,
    ),
)
