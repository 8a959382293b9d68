"""How the file sees a tensor, and how we hold it.

A tensor of the graph that we write is always [1, C, H, W]. The file may see it transposed, with axes of one
element dropped or put in, or with axes run together; all of that is a :class:`View`, and writes no node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import onnx_ir as ir

Pads = tuple[int, int, int, int]
NO_PADS: Pads = (0, 0, 0, 0)
BATCH, CHANNEL, HEIGHT, WIDTH = range(4)


@dataclass(frozen=True)
class View:
    """A tensor as the file sees it.

    Args:
        value: What we write, [1, C, H, W].
        dims: N, C, H, W: of ``value`` with the file's batch and with ``pads`` around it.
        shape: The file's.
        axes: For each axis of the file, those of ``dims`` that it runs over, outermost first. Axes of one
            element run over none: where they stand has no meaning.
        pads: Zeros around ``value`` (top, left, bottom, right) that a convolution is still to take in.
    """

    value: ir.Value
    dims: tuple[int, int, int, int]
    shape: tuple[int, ...]
    axes: tuple[tuple[int, ...], ...]
    pads: Pads = NO_PADS

    @property
    def is_nchw(self) -> bool:
        """Whether the file sees it as [N, C, H, W]."""
        return self.shape == self.dims and self.axes == nchw_axes(self.dims)

    @property
    def is_vector(self) -> bool:
        """Whether it has one value for each channel of an image."""
        return self.dims[2:] == (1, 1)

    def runs_over(self, axis: int, dimension: int) -> bool:
        """Whether an axis of the file is one of ``dims``; any is, if both have one element."""
        axis_runs = self.axes[axis]
        return axis_runs == (dimension,) or (axis_runs == () and self.dims[dimension] == 1)


def nchw_axes(dims: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """The axes of a view that is [N, C, H, W]."""
    return tuple((axis,) if size > 1 else () for axis, size in enumerate(dims))


def nchw(value: ir.Value, dims: tuple[int, int, int, int]) -> View:
    """A tensor seen as it is."""
    return View(value, dims, dims, nchw_axes(dims))


def transposed(view: View, order: Sequence[int]) -> View:
    """With its axes in another order.

    Raises:
        ValueError: ``order`` is no permutation of the axes.
    """
    if sorted(order) != list(range(len(view.shape))):
        raise ValueError(f"{list(order)} is no order of {len(view.shape)} axes")
    return replace(view, shape=tuple(view.shape[i] for i in order), axes=tuple(view.axes[i] for i in order))


def reshaped(view: View, shape: Sequence[int]) -> View:
    """With another shape of as many elements.

    Raises:
        ValueError: The number of elements differs, or an axis would be cut where the tensor has no border.
    """
    impossible = ValueError(f"cannot see {list(view.shape)} as {list(shape)}")
    if min(shape, default=1) < 1 or prod(shape) != prod(view.shape):
        raise impossible
    left = [dimension for axis in view.axes for dimension in axis]
    axes = []
    for size in shape:
        taken: list[int] = []
        while prod(view.dims[d] for d in taken) < size and left:
            taken.append(left.pop(0))
        if prod(view.dims[d] for d in taken) != size:
            raise impossible
        axes.append(tuple(taken))
    return replace(view, shape=tuple(shape), axes=tuple(axes))


def broadcast(left: View, right: View) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """The shape and axes of what the file computes from two tensors, element by element.

    Raises:
        ValueError: Their shapes do not fit, or their axes are not the same ones of our tensors.
    """
    rank = max(len(left.shape), len(right.shape))
    shape, axes = [], []
    for (a, over_a), (b, over_b) in zip(_padded(left, rank), _padded(right, rank), strict=True):
        if (a != b and 1 not in (a, b)) or (min(a, b) > 1 and over_a != over_b):
            raise ValueError(f"{list(left.shape)} and {list(right.shape)} do not fit, or not in this layout")
        shape.append(max(a, b))
        axes.append(over_a if a > 1 else over_b)
    runs = [dimension for axis in axes for dimension in axis]
    if len(set(runs)) < len(runs):  # an outer product: [N, 1, C] with [N, C, 1]
        raise ValueError(f"{list(left.shape)} and {list(right.shape)} do not lie in the same layout")
    return tuple(shape), tuple(axes)


def _padded(view: View, rank: int) -> list[tuple[int, tuple[int, ...]]]:
    missing = rank - len(view.shape)
    none: tuple[int, ...] = ()
    return [(1, none)] * missing + list(zip(view.shape, view.axes, strict=True))
