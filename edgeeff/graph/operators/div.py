"""Div."""

from __future__ import annotations

import numpy as np

from edgeeff.graph.operators import Operator, _elementwise, _sizes
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """By a constant: a product."""
    if not isinstance(step.inputs[0], View):
        step.refuse("it divides by a tensor that depends on the image")
    with np.errstate(divide="ignore"):  # what is infinite is refused when it is written
        return _elementwise.with_constant(step, lambda k: (1 / k, 0.0))


OPERATORS = (Operator("Div", translate=translate, most=_sizes.broadcast),)
