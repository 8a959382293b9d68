"""Pow with a constant exponent of 1, 2 or 1/2, and Reciprocal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeeff.graph.operators import Operator, _padding, _sizes, _unary
from edgeeff.graph.views import CHANNEL, View
from edgeeff.graph.writer import Step


def power(step: Step) -> View:
    """A product of a tensor with itself, or its root."""
    x, exponents = _padding.whole(step, 0), np.unique(step.required(1))
    exponent = float(exponents[0]) if exponents.size == 1 else float("nan")
    if exponent == 1:
        return x
    if exponent == 0.5:
        return _unary.written(step, "Sqrt")
    if exponent != 2:
        step.refuse(f"its exponent is {exponents.tolist()}")
    return replace(x, value=step.write("Mul", [x.value, x.value], x.dims[CHANNEL], (x.dims[2], x.dims[3])))


def reciprocal(step: Step) -> View:
    """A quotient of 1."""
    x = _padding.whole(step, 0)
    one = step.writer.constant(np.ones((1, 1, 1, 1), np.float32))
    return replace(x, value=step.write("Div", [one, x.value], x.dims[CHANNEL], (x.dims[2], x.dims[3])))


OPERATORS = (
    Operator("Pow", translate=power, most=_sizes.broadcast),
    Operator("Reciprocal", translate=reciprocal, most=_sizes.broadcast),
)
