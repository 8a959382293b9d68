"""ReduceMean over height and width, wherever they are."""

from __future__ import annotations

from dataclasses import replace

from edgeeff.graph.operators import Operator, _pooling
from edgeeff.graph.views import HEIGHT, WIDTH, View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """A GlobalAveragePool."""
    x = step.unpadded(0)
    rank = len(x.shape)
    axes = step.axes(1, rank, since=18)
    if axes is None:
        step.refuse("it takes the mean over all axes")
    over = {dimension for axis in axes for dimension in x.axes[axis]}
    if not axes or over != {d for d in (HEIGHT, WIDTH) if x.dims[d] > 1}:
        step.refuse(f"it takes the mean over the axes {axes} of {list(x.shape)}, not over height and width")
    pooled = _pooling.pooled(step, x)
    kept = bool(step.attribute("keepdims", 1))
    left = [i for i in range(rank) if kept or i not in axes]
    return replace(
        pooled,
        shape=tuple(1 if i in axes else x.shape[i] for i in left),
        axes=tuple(() if i in axes else x.axes[i] for i in left),
    )


OPERATORS = (Operator("ReduceMean", translate=translate),)
