"""ReduceSum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from edgeeff.graph.lowering import Builder
from edgeeff.graph.operators import Operator, Traits, _reducing, _sizes, as_first
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor


def translate(step: Step) -> View:
    """Over channels, height or width."""
    return _reducing.translate(step, "ReduceSum", 13, _reducing.BY_INPUT)


def execute(node: ir.Node, x: list[Tensor]) -> Tensor:
    """Over the axes that are said."""
    axes, keep = _reducing.axes_of(node, [v.numpy() for v in x]), bool(node.attributes.get_int("keepdims", 1))
    return x[0].sum(axes, keepdim=keep)


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """SUM."""
    _reducing.lower(node, builder, "SUM")


OPERATORS = (
    Operator(
        "ReduceSum",
        translate=translate,
        most=_sizes.as_read,
        execute=execute,
        traits=Traits(nonnegative=as_first),
        lower=lower,
    ),
)
