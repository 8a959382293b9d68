"""Pad."""

from __future__ import annotations

from edgeeff.graph.operators import Operator
from edgeeff.graph.views import HEIGHT, WIDTH, Pads, View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """Pad with zeros around height and width: left to the convolution that reads it."""
    x = step.view(0)
    amounts = [int(amount) for amount in step.required(1).reshape(-1)]
    axes = step.axes(3, len(x.shape), since=18) if step.opset >= 18 else None
    axes = list(range(len(x.shape))) if axes is None else axes
    filling = step.constant(2)
    if step.attribute("mode", "constant") != "constant" or (filling is not None and filling.any()):
        step.refuse("it pads with something else than zeros")
    if len(amounts) != 2 * len(axes) or min(amounts, default=0) < 0:
        step.refuse(f"it pads {len(axes)} axes by {amounts}")
    before, after = [0] * 4, [0] * 4
    shape = list(x.shape)
    for axis, first, last in zip(axes, amounts[: len(axes)], amounts[len(axes) :], strict=True):
        if not first and not last:
            continue
        dimension = _dimension(x, axis)
        if dimension not in (HEIGHT, WIDTH):
            step.refuse("it pads something else than height and width")
        before[dimension], after[dimension] = first, last
        shape[axis] += first + last
    return _grown(x, shape, (before[HEIGHT], before[WIDTH], after[HEIGHT], after[WIDTH]))


def _dimension(x: View, axis: int) -> int | None:
    """Which of N, C, H, W an axis is; one of a single element is told by its place among the others."""
    if len(x.axes[axis]) == 1:
        return x.axes[axis][0]
    for order in ((0, 1, 2, 3), (0, 2, 3, 1)):
        if len(x.shape) == 4 and all(x.runs_over(i, dimension) for i, dimension in enumerate(order)):
            return order[axis]
    return None


def _grown(x: View, shape: list[int], pads: Pads) -> View:
    top, left, bottom, right = pads
    batch, channels, height, width = x.dims
    dims = (batch, channels, height + top + bottom, width + left + right)
    total = (x.pads[0] + top, x.pads[1] + left, x.pads[2] + bottom, x.pads[3] + right)
    # An axis of one element that grew runs over height or width from now on.
    axes = tuple(
        _dimension_of(x, axis) if size > 1 and x.shape[axis] == 1 else x.axes[axis]
        for axis, size in enumerate(shape)
    )
    return View(x.value, dims, tuple(shape), axes, total)


def _dimension_of(x: View, axis: int) -> tuple[int, ...]:
    dimension = _dimension(x, axis)
    return () if dimension is None else (dimension,)


OPERATORS = (Operator("Pad", translate=translate),)
