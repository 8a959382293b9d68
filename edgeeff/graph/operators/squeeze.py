"""Squeeze."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from edgeeff.graph.operators import Operator, Traits, _padding, _rearranging, _sizes, as_first, selects
from edgeeff.graph.views import View, reshaped
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor


def translate(step: Step) -> View:
    """Axes of one element go."""
    x = _padding.whole(step, 0)
    axes = step.axes(1, len(x.shape), since=13)
    gone = [i for i, size in enumerate(x.shape) if size == 1] if axes is None else axes
    if any(x.shape[axis] != 1 for axis in gone):
        step.refuse(f"it takes the axes {gone} out of {list(x.shape)}")
    return reshaped(x, [size for i, size in enumerate(x.shape) if i not in gone])


def execute(_: ir.Node, x: list[Tensor]) -> Tensor:
    """The axes that are said, or all of one element but the images'."""
    size = x[0].shape
    gone = (
        [int(a) % len(size) for a in x[1]] if len(x) > 1 else [i for i, s in enumerate(size) if i and s == 1]
    )
    return x[0].reshape([s for i, s in enumerate(size) if i not in gone])


OPERATORS = (
    Operator(
        "Squeeze",
        translate=translate,
        most=_sizes.as_read,
        execute=execute,
        traits=Traits(selects=selects, nonnegative=as_first),
        lower=_rearranging.reshape,
    ),
)
