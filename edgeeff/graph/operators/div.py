"""Div."""

from __future__ import annotations

import numpy as np
import onnx

from edgeeff.graph.lowering import Builder
from edgeeff.graph.operators import Operator, _elementwise, _length, _sizes
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """By a constant: a product. By its own length: LpNormalization. Else a quotient of two tensors."""
    if isinstance(step.inputs[0], View) and not isinstance(step.inputs[1], View):
        with np.errstate(divide="ignore"):  # what is infinite is refused when it is written
            return _elementwise.with_constant(step, lambda k: (1 / k, 0.0))
    if (normalised := _length.normalised(step, step.inputs[0], step.inputs[1])) is not None:
        return normalised
    return _elementwise.combined(step, "Div") or _elementwise.constant_first(step, "Div")


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """DIV, which has no int8 kernel."""
    _elementwise.lower(node, builder, integers=False)


OPERATORS = (
    Operator(
        "Div",
        translate=translate,
        most=_sizes.broadcast,
        execute=lambda _, x: x[0] / x[1],
        lower=lower,
    ),
)
