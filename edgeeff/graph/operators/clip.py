"""Clip between constants: ReLU6 and its like."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import onnx_ir as ir

from edgeeff.graph.model import constant
from edgeeff.graph.operators import Operator, Traits, _clamping, _sizes
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor


def translate(step: Step) -> View:
    """Each bound one value; an infinite one is none."""
    bounds = (_clamping.bound(step, step.constant(index)) for index in (1, 2))
    return _clamping.clamped(step, *bounds)


def execute(_: ir.Node, x: list[Tensor]) -> Tensor:
    """Both bounds are there."""
    return x[0].clamp(float(x[1]), float(x[2]))


def nonnegative(node: ir.Node, of: Callable[[ir.Value], bool]) -> bool:
    """Where the lower bound is."""
    low = constant(node.inputs[1])
    return low is not None and float(low) >= 0


OPERATORS = (
    Operator(
        "Clip",
        translate=translate,
        most=_sizes.broadcast,
        execute=execute,
        traits=Traits(activation=True, clamp=True, nonnegative=nonnegative, lopsided=True),
        lower=_clamping.lower,
    ),
)
