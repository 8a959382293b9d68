"""GlobalAveragePool."""

from __future__ import annotations

import onnx

from edgeeff.graph.lowering import Builder, Options
from edgeeff.graph.operators import Operator, Traits, _pooling, as_read
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """Of [N, C, H, W]."""
    x = step.unpadded(0)
    if not x.is_nchw:
        step.refuse(f"it pools a tensor of {list(x.shape)}")
    return _pooling.pooled(step, x)


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """MEAN over height and width (XNNPACK takes no int8 AVERAGE_POOL_2D)."""
    result = builder.result(node, node.input, clamps=False)
    source = builder.operand(node.input[0], result)
    axes = builder.integers(f"{result.name}/axes", [1, 2])
    builder.add(
        "MEAN", [source, axes], builder.produce(result), Options("ReducerOptions", {"keepDims": True})
    )


OPERATORS = (
    Operator(
        "GlobalAveragePool",
        translate=translate,
        execute=lambda _, x: x[0].mean((2, 3), keepdim=True),
        traits=Traits(nonnegative=as_read, lopsided=True),
        lower=lower,
    ),
)
