"""Relu."""

from __future__ import annotations

from edgeeff.graph.operators import Operator, Traits, _clamping, _sizes, _unary, always

OPERATORS = (
    Operator(
        "Relu",
        translate=_unary.of("Relu"),
        most=_sizes.as_read,
        execute=lambda _, x: x[0].relu(),
        traits=Traits(activation=True, clamp=True, nonnegative=always, lopsided=True),
        lower=_clamping.lower,
    ),
)
