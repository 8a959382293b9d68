"""Sigmoid."""

from __future__ import annotations

import onnx

from edgeeff.graph.lowering import Builder
from edgeeff.graph.operators import Operator, Traits, _probabilities, _unary, always


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """LOGISTIC. Followed by the MUL of a Swish, XNNPACK fuses both into one table look-up."""
    result = builder.result(node, node.input, clamps=False)
    _probabilities.hold(node, result)
    builder.add("LOGISTIC", [builder.operand(node.input[0], result)], builder.produce(result))


OPERATORS = (
    Operator(
        "Sigmoid",
        translate=_unary.of("Sigmoid"),
        execute=lambda _, x: x[0].sigmoid(),
        traits=Traits(activation=True, nonnegative=always, fixed=_probabilities.FIXED),
        lower=lower,
    ),
)
