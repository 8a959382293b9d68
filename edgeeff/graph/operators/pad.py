"""Pad with one value; what mirrors or repeats the border is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder, Options, attribute
from edgeeff.graph.model import constant
from edgeeff.graph.operators import Operator, Traits, _axes, _padding, _rearranging, as_first
from edgeeff.graph.views import HEIGHT, WIDTH, Pads, View
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor


def translate(step: Step) -> View:
    """Zeros around height and width are left to the convolution that reads them; else a Pad."""
    x = step.view(0)
    amounts = [int(amount) for amount in step.required(1).reshape(-1)]
    axes = step.axes(3, len(x.shape), since=18) if step.opset >= 18 else None
    axes = list(range(len(x.shape))) if axes is None else axes
    filling = step.constant(2)
    mode = step.attribute("mode", "constant")
    if mode != "constant":
        step.refuse(f"it pads with what the image's border holds ({mode}), not with a constant")
    if len(amounts) != 2 * len(axes) or min(amounts, default=0) < 0:
        step.refuse(f"it pads {len(axes)} axes by {amounts}")
    value = float(filling.reshape(-1)[0]) if filling is not None and filling.size else 0.0
    before, after = [0] * 4, [0] * 4
    sizes: dict[int, tuple[int, int]] = {}
    for axis, first, last in zip(axes, amounts[: len(axes)], amounts[len(axes) :], strict=True):
        if first or last:
            dimension = _axes.dimension(step, x, axis)
            before[dimension], after[dimension] = first, last
            sizes[axis] = (dimension, x.shape[axis] + first + last)
    if value or any(dimension not in (HEIGHT, WIDTH) for dimension, _ in sizes.values()):
        return _written(step, _padding.whole(step, 0), sizes, [*before, *after], value)
    shape = [sizes[axis][1] if axis in sizes else size for axis, size in enumerate(x.shape)]
    return _grown(x, shape, (before[HEIGHT], before[WIDTH], after[HEIGHT], after[WIDTH]))


def _written(
    step: Step, x: View, sizes: dict[int, tuple[int, int]], amounts: list[int], value: float
) -> View:
    if not np.isfinite(value) and not (value == -np.inf and _only_pooled(step)):
        step.refuse(f"it pads with {value}")
    operands = [x.value, step.writer.constant(np.asarray(amounts, np.int64))]
    if value:
        operands.append(step.writer.constant(np.asarray(value, np.float32)))
    dims = [*x.dims]
    for dimension, size in sizes.values():
        dims[dimension] = size
    return _axes.resized(x, step.write("Pad", operands, dims[1], (dims[2], dims[3])), sizes)


def _only_pooled(step: Step) -> bool:
    """Whether max-pools alone read it: what is less than any value is of no value to them."""
    return step.readers == {"MaxPool"}


def _grown(x: View, shape: list[int], pads: Pads) -> View:
    top, left, bottom, right = pads
    batch, channels, height, width = x.dims
    dims = (batch, channels, height + top + bottom, width + left + right)
    total = (x.pads[0] + top, x.pads[1] + left, x.pads[2] + bottom, x.pads[3] + right)
    # An axis of one element that grew runs over height or width from now on.
    axes = tuple(
        _axes_of(x, axis) if size > 1 and x.shape[axis] == 1 else x.axes[axis]
        for axis, size in enumerate(shape)
    )
    return View(x.value, dims, tuple(shape), axes, total)


def _axes_of(x: View, axis: int) -> tuple[int, ...]:
    dimension = _axes.free(x, axis)
    return () if dimension is None else (dimension,)


def execute(_: ir.Node, x: list[Tensor]) -> Tensor:
    """With one value; torch counts the axes from the last."""
    from torch.nn import functional as F

    rank, amounts = x[0].dim(), [int(amount) for amount in x[1]]
    pairs = [amounts[axis + end] for axis in reversed(range(rank)) for end in (0, rank)]
    return F.pad(x[0], pairs, value=float(x[2]) if len(x) > 2 else 0.0)


def nonnegative(node: ir.Node, of: Callable[[ir.Value], bool]) -> bool:
    """Where neither the image nor the value is negative."""
    value = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    return as_first(node, of) and (value is None or float(value) >= 0)


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """PAD of zeros, PADV2 of another value."""
    amounts = builder.constant(node.input[1])
    filling = builder.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    rank = len(builder.shapes[node.output[0]])
    if amounts is None or amounts.size != 2 * rank or attribute(node, "mode", b"constant") != b"constant":
        raise GraphError(
            f"Pad {node.name!r} does not pad all axes by constants, with a constant",
            mend="export it with constant amounts, mode constant and no axes",
        )
    value = float(filling.reshape(-1)[0]) if filling is not None else 0.0
    kept = builder.keeping(node, selects=not value)
    pairs = np.asarray(_rearranging.ordered(amounts.reshape(2, rank).T.tolist(), rank))
    numbers = builder.integers(f"{kept.name}/amounts", pairs)
    if not value:
        builder.keep(kept, "PAD", [kept.source, numbers], Options("PadOptions"))
        return
    source = kept.source
    if source.quantization is not None and kept.quantization is not None:
        source = builder.requantized(source, kept.quantization)  # whose codes reach the value
    kept = replace(kept, source=source)
    operands = [source, numbers, _padding.filling(source, value, kept.name, builder)]
    builder.keep(kept, "PADV2", operands, Options("PadV2Options"))


def selects(node: ir.Node) -> bool:
    """Zeros are among the values of any scale, others need not be."""
    return len(node.inputs) < 3 or node.inputs[2] is None


OPERATORS = (
    Operator(
        "Pad",
        translate=translate,
        execute=execute,
        traits=Traits(selects=selects, nonnegative=nonnegative),
        lower=lower,
    ),
)
