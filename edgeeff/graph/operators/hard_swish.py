"""HardSwish: x · max(0, min(1, x / 6 + 1/2))."""

from __future__ import annotations

import onnx

from edgeeff.graph.lowering import Builder, Options
from edgeeff.graph.operators import Operator, Traits, _unary


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """HARD_SWISH."""
    result = builder.result(node, node.input, clamps=False)
    source = builder.operand(node.input[0], result)
    builder.add("HARD_SWISH", [source], builder.produce(result), Options("HardSwishOptions"), version=1)


OPERATORS = (
    Operator(
        "HardSwish",
        translate=_unary.of("HardSwish"),
        execute=lambda _, x: x[0] * (x[0] / 6 + 0.5).clamp(0, 1),
        traits=Traits(activation=True, lopsided=True),
        lower=lower,
    ),
)
