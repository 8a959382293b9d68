"""The mean over all pixels, in each of the ways that files write it."""

from __future__ import annotations

from dataclasses import replace

from edgeeff.graph.importing.views import HEIGHT, WIDTH, View, nchw
from edgeeff.graph.importing.writer import Step


def reduce_mean(step: Step) -> View:
    """ReduceMean over height and width, wherever they are."""
    x = step.unpadded(0)
    rank = len(x.shape)
    axes = step.axes(1, rank, since=18)
    if axes is None:
        step.refuse("it takes the mean over all axes")
    over = {dimension for axis in axes for dimension in x.axes[axis]}
    if not axes or over != {d for d in (HEIGHT, WIDTH) if x.dims[d] > 1}:
        step.refuse(f"it takes the mean over the axes {axes} of {list(x.shape)}, not over height and width")
    pooled = _pooled(step, x)
    kept = bool(step.attribute("keepdims", 1))
    left = [i for i in range(rank) if kept or i not in axes]
    return replace(
        pooled,
        shape=tuple(1 if i in axes else x.shape[i] for i in left),
        axes=tuple(() if i in axes else x.axes[i] for i in left),
    )


def global_average_pool(step: Step) -> View:
    """GlobalAveragePool of [N, C, H, W]."""
    x = step.unpadded(0)
    if not x.is_nchw:
        step.refuse(f"it pools a tensor of {list(x.shape)}")
    return _pooled(step, x)


def average_pool(step: Step) -> View:
    """AveragePool whose window is the whole of height and width."""
    x = step.unpadded(0)
    window = step.attribute("kernel_shape", [0][:0])
    padded = any(step.attribute("pads", [0, 0, 0, 0])) or step.attribute("auto_pad", "NOTSET").startswith(
        "SAME"
    )
    if not x.is_nchw or padded or tuple(window) != x.dims[2:]:
        step.refuse(f"its window of {list(window)} is not the whole of {list(x.shape)}")
    return _pooled(step, x)


def _pooled(step: Step, x: View) -> View:
    value = step.write("GlobalAveragePool", [x.value], x.dims[1], (1, 1))
    return nchw(value, (x.dims[0], x.dims[1], 1, 1))


OPERATORS = {
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "ReduceMean": reduce_mean,
}
