"""Expand of one channel to several."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from edgeeff.graph.model import Array
from edgeeff.graph.operators import Operator, _channels, _sizes
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
    return _channels.repeated(
        step, x, [new // old for new, old in zip(shape, _sizes.aligned(x.shape, rank), strict=True)]
    )


def _most(inputs: Sequence[Array]) -> int:
    wanted = [int(size) for size in inputs[1].reshape(-1)]
    rank = max(len(wanted), inputs[0].ndim)
    pairs = zip(_sizes.aligned(wanted, rank), _sizes.aligned(inputs[0].shape, rank), strict=True)
    return prod(max(a, b) for a, b in pairs)


OPERATORS = (Operator("Expand", translate=translate, most=_most),)
