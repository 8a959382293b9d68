"""ReduceL2: the length of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from edgeeff.graph.lowering import Builder, Options
from edgeeff.graph.operators import Operator, Traits, _reducing, always
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor


def translate(step: Step) -> View:
    """Over channels, height or width."""
    return _reducing.translate(step, "ReduceL2", 18, _reducing.BY_ATTRIBUTE)


def execute(node: ir.Node, x: list[Tensor]) -> Tensor:
    """The root of the sum of squares."""
    axes, keep = _reducing.axes_of(node, [v.numpy() for v in x]), bool(node.attributes.get_int("keepdims", 1))
    return x[0].square().sum(axes, keepdim=keep).sqrt()


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """SQUARE, SUM and SQRT, in float: int8 has no kernel for two of them."""
    result = builder.result(node, node.input[:1], clamps=False, integers=False)
    source = builder.operand(node.input[0], result)
    squares = builder.tensor(f"{result.name}/squares", source.shape, "float32")
    builder.add("SQUARE", [source], squares, Options("SquareOptions"))
    total = builder.tensor(f"{result.name}/sum", result.shape, "float32")
    builder.add("SUM", [squares, _reducing.axes(node, builder)], total, _reducing.options(node))
    builder.add("SQRT", [total], builder.produce(result))


OPERATORS = (
    Operator(
        "ReduceL2",
        translate=translate,
        execute=execute,
        traits=Traits(nonnegative=always),
        lower=lower,
    ),
)
