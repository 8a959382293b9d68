"""Reshape."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import onnx_ir as ir

from edgeeff.graph.operators import Operator, Traits, _padding, _rearranging, _sizes, as_first, selects
from edgeeff.graph.views import View, reshaped
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor


def translate(step: Step) -> View:
    """To a constant shape, in which 0 copies and −1 is what is left."""
    x = _padding.whole(step, 0)
    wanted = [int(size) for size in step.required(1).reshape(-1)]
    if not step.attribute("allowzero", 0):
        wanted = [x.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    if wanted.count(-1) == 1:
        wanted[wanted.index(-1)] = prod(x.shape) // max(-prod(wanted), 1)
    return reshaped(x, wanted)


def execute(node: ir.Node, x: list[Tensor]) -> Tensor:
    """To constant sizes; a first one of 1 is the images', whose number may be another.

    It is theirs where every size is given, or where the graph has one image there too: [1, −1, C] of a
    detector's map joins no images.
    """
    wanted = [int(size) for size in x[1]]
    if not node.attributes.get_int("allowzero", 0):
        wanted = [x[0].shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    if wanted[:1] == [1] and (-1 not in wanted or (shape is not None and shape[0] == 1)):
        wanted[0] = x[0].shape[0]
    return x[0].reshape(wanted)


OPERATORS = (
    Operator(
        "Reshape",
        translate=translate,
        most=_sizes.as_read,
        execute=execute,
        traits=Traits(selects=selects, nonnegative=as_first),
        lower=_rearranging.reshape,
    ),
)
