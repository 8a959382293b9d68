"""Tanh."""

from __future__ import annotations

import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder, Quantization
from edgeeff.graph.operators import Operator, Traits, _unary

#: Scale and zero point of TFLite's specification: −1…1.
FIXED = (1 / 128, 0)


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """TANH."""
    result = builder.result(node, node.input, clamps=False)
    wanted = result.quantization
    if wanted is not None and not wanted.same(Quantization.per_tensor(*FIXED)):
        raise GraphError(
            f"Tanh {node.name!r} is quantised with scale {wanted.scale[0]:.6g}",
            mend="use scale 1/128 and zero point 0 there: TFLite's int8 kernel has no other",
        )
    builder.add("TANH", [builder.operand(node.input[0], result)], builder.produce(result))


OPERATORS = (
    Operator(
        "Tanh",
        translate=_unary.of("Tanh"),
        execute=lambda _, x: x[0].tanh(),
        traits=Traits(activation=True, fixed=FIXED),
        lower=lower,
    ),
)
