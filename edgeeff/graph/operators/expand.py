"""Expand of channels, height or width of one element."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from edgeeff.graph.model import Array
from edgeeff.graph.operators import Operator, _axes, _channels, _sizes
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """The channel, several times."""
    x = step.unpadded(0)
    wanted = [int(size) for size in step.required(1).reshape(-1)]
    rank = max(len(wanted), len(x.shape))
    shape = [
        max(a, b)
        for a, b in zip([1] * (rank - len(wanted)) + wanted, _sizes.aligned(x.shape, rank), strict=True)
    ]
    if not _channels.in_front(x) and rank == len(x.shape):
        return _broadcast(step, x, shape)
    return _channels.repeated(
        step, x, [new // old for new, old in zip(shape, _sizes.aligned(x.shape, rank), strict=True)]
    )


def _broadcast(step: Step, x: View, shape: list[int]) -> View:
    """Inside of the network, as a product with ones, which broadcasts."""
    grown = [i for i, size in enumerate(shape) if size != x.shape[i]]
    if not grown:
        return x
    sizes = {i: (_axes.dimension(step, x, i), shape[i]) for i in grown}
    ones, dims = [1] * 4, [*x.dims]
    for dimension, size in sizes.values():
        ones[dimension] = dims[dimension] = size
    factor = step.writer.constant(np.ones(ones, np.float32))
    return _axes.resized(x, step.write("Mul", [x.value, factor], dims[1], (dims[2], dims[3])), sizes)


def _most(inputs: Sequence[Array]) -> int:
    wanted = [int(size) for size in inputs[1].reshape(-1)]
    rank = max(len(wanted), inputs[0].ndim)
    pairs = zip(_sizes.aligned(wanted, rank), _sizes.aligned(inputs[0].shape, rank), strict=True)
    return prod(max(a, b) for a, b in pairs)


OPERATORS = (Operator("Expand", translate=translate, most=_most),)
