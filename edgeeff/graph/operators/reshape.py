"""Reshape."""

from __future__ import annotations

from math import prod

from edgeeff.graph.operators import Operator, _reshaping, _sizes
from edgeeff.graph.views import View, reshaped
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """To a constant shape, in which 0 copies and −1 is what is left."""
    x = step.unpadded(0)
    wanted = [int(size) for size in step.required(1).reshape(-1)]
    if not step.attribute("allowzero", 0):
        wanted = [x.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    if wanted.count(-1) == 1:
        wanted[wanted.index(-1)] = prod(x.shape) // max(-prod(wanted), 1)
    return reshaped(x, wanted)


OPERATORS = (Operator("Reshape", translate=translate, most=_sizes.as_read, lower=_reshaping.lower),)
