"""Axes as a file counts them, and the dimensions of [N, C, H, W] that they are."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from edgeeff.graph.views import BATCH, CHANNEL, HEIGHT, WIDTH, View
from edgeeff.graph.writer import Step

#: Orders of N, C, H, W in which files hold images.
_ORDERS = ((0, 1, 2, 3), (0, 2, 3, 1))


def counted(step: Step, x: View, axis: int) -> int:
    """An axis counted from the front; negative ones count from the end."""
    found = axis + len(x.shape) if axis < 0 else axis
    if not 0 <= found < len(x.shape):
        step.refuse(f"its axis is {axis} of {list(x.shape)}")
    return found


def dimension(step: Step, x: View, axis: int) -> int:
    """Which of C, H, W an axis is; one of a single element is told by its place among the others."""
    runs = x.axes[axis]
    found = runs[0] if len(runs) == 1 else None if runs else free(x, axis)
    if found is None or found == BATCH:
        what = "the images" if found == BATCH else "no single one of channels, height and width"
        step.refuse(f"axis {axis} of {list(x.shape)} is {what}")
    return found


def free(x: View, axis: int) -> int | None:
    """The dimension of one element that an axis of one element stands for."""
    for order in _ORDERS:
        if len(x.shape) == 4 and all(x.runs_over(i, dimension) for i, dimension in enumerate(order)):
            return order[axis]
    if axis == 0:  # the images come first, whatever their number
        return BATCH
    return next((d for d in (CHANNEL, HEIGHT, WIDTH) if x.dims[d] == 1), None)


def resized(x: View, value: ir.Value, sizes: dict[int, tuple[int, int]]) -> View:
    """A view like ``x`` of another value.

    Args:
        x: The view before.
        value: What was written.
        sizes: For each axis that changed, the dimension that it is, and its new size.
    """
    dims, shape, axes = list(x.dims), list(x.shape), list(x.axes)
    for axis, (dimension, size) in sizes.items():
        dims[dimension] = shape[axis] = size
        axes[axis] = (dimension,) if size > 1 else ()
    batch, channels, height, width = dims
    return replace(
        x, value=value, dims=(batch, channels, height, width), shape=tuple(shape), axes=tuple(axes)
    )


def alike(views: list[View], axis: int) -> bool:
    """Whether views lie in the same layout and differ in size along one axis alone."""
    first = views[0]
    return all(
        len(view.shape) == len(first.shape)
        and all(
            (view.shape[i], view.axes[i]) == (first.shape[i], first.axes[i])
            for i in range(len(first.shape))
            if i != axis
        )
        for view in views
    )
