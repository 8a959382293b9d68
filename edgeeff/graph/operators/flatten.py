"""Flatten."""

from __future__ import annotations

from math import prod

from edgeeff.graph.operators import Operator, Traits, _reshaping, _sizes, as_read
from edgeeff.graph.views import View, reshaped
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """The axes before ``axis`` run together, and those from it on."""
    x = step.unpadded(0)
    axis = step.attribute("axis", 1)
    axis += len(x.shape) if axis < 0 else 0
    return reshaped(x, [prod(x.shape[:axis]), prod(x.shape[axis:])])


OPERATORS = (
    Operator(
        "Flatten",
        translate=translate,
        most=_sizes.as_read,
        execute=lambda _, x: x[0].flatten(1),
        traits=Traits(view=True, nonnegative=as_read),
        lower=_reshaping.lower,
    ),
)
