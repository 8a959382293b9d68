"""Unsqueeze."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from edgeeff.graph.operators import Operator, Traits, _padding, _rearranging, _sizes, as_first, selects
from edgeeff.graph.views import View, reshaped
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor


def translate(step: Step) -> View:
    """Axes of one element come in."""
    x = _padding.whole(step, 0)
    given = step.required(1).size if step.opset >= 13 else len(step.attribute("axes", [0][:0]))
    axes = step.axes(1, len(x.shape) + given, since=13) or []
    left = iter(x.shape)
    return reshaped(x, [1 if i in axes else next(left) for i in range(len(x.shape) + len(axes))])


def execute(_: ir.Node, x: list[Tensor]) -> Tensor:
    """The axes that are said, counted in what comes out."""
    rank = x[0].dim() + x[1].numel()
    new, left = {int(axis) % rank for axis in x[1]}, iter(x[0].shape)
    return x[0].reshape([1 if axis in new else next(left) for axis in range(rank)])


OPERATORS = (
    Operator(
        "Unsqueeze",
        translate=translate,
        most=_sizes.as_read,
        execute=execute,
        traits=Traits(selects=selects, nonnegative=as_first),
        lower=_rearranging.reshape,
    ),
)
