"""Sqrt."""

from __future__ import annotations

import onnx

from edgeeff.graph.lowering import Builder
from edgeeff.graph.operators import Operator, Traits, _sizes, _unary, always


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """SQRT, which has no int8 kernel."""
    result = builder.result(node, node.input, clamps=False, integers=False)
    builder.add("SQRT", [builder.operand(node.input[0], result)], builder.produce(result))


OPERATORS = (
    Operator(
        "Sqrt",
        translate=_unary.of("Sqrt"),
        most=_sizes.broadcast,
        execute=lambda _, x: x[0].sqrt(),
        traits=Traits(nonnegative=always),
        lower=lower,
    ),
)
