"""Padding as an operator of its own: in the graph, and in TFLite."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from edgeeff.graph.lowering import Builder, Options, Tensor
from edgeeff.graph.model import node_label
from edgeeff.graph.views import NO_PADS, Pads, View, nchw
from edgeeff.graph.writer import Step


def whole(step: Step, index: int) -> View:
    """An input, with the zeros that were put around it written as a Pad."""
    x = step.view(index)
    return x if x.pads == NO_PADS else replace(x, value=_written(step, x, x.pads), pads=NO_PADS)


def zeros(step: Step, x: View, pads: Pads) -> View:
    """Zeros put around an image [N, C, H, W]: top, left, bottom, right."""
    if pads == NO_PADS:
        return x
    top, left, bottom, right = pads
    dims = (x.dims[0], x.dims[1], x.dims[2] + top + bottom, x.dims[3] + left + right)
    return nchw(_written(step, replace(x, dims=dims), pads), dims)


def _written(step: Step, x: View, pads: Pads) -> ir.Value:
    top, left, bottom, right = pads
    what = f"{node_label(step.node)} reads zeros that were put around the image"
    step.writer.sized.append((what, (x.dims[2], x.dims[3])))
    amounts = step.writer.constant(np.asarray([0, 0, top, left, 0, 0, bottom, right], np.int64))
    return step.write("Pad", [x.value, amounts], x.dims[1], (x.dims[2], x.dims[3]))


def around(source: Tensor, pads: list[int], builder: Builder, *, value: float = 0.0) -> Tensor:
    """Of top, left, bottom, right.

    A PAD fills with real 0, which in int8 is the zero point; a PADV2 with any other value, as far as the
    tensor's codes reach.
    """
    top, left, bottom, right = pads
    batch, height, width, channels = source.shape
    shape = (batch, height + top + bottom, width + left + right, channels)
    target = builder.tensor(f"{source.name}/padded", shape, source.type, source.quantization)
    amounts = np.array([[0, 0], [top, bottom], [left, right], [0, 0]])
    operands = [source, builder.integers(f"{target.name}/amounts", amounts)]
    lowest = source.quantization is not None and int(source.quantization.zero_point[0]) == -128
    if not value or (value == float("-inf") and lowest):  # 0 is then the smallest value that there is
        return builder.add("PAD", operands, target, Options("PadOptions"))
    operands.append(filling(source, value, target.name, builder))
    return builder.add("PADV2", operands, target, Options("PadV2Options"))


def repeated(source: Tensor, pads: list[int], builder: Builder) -> Tensor:
    """The rows and columns at the border once more for each pixel of padding: top, left, bottom, right.

    To the largest of a window, which holds a pixel of the image besides, this is padding of no value. XNNPACK
    takes the SLICE and the CONCATENATION that it is written with, and no PADV2.
    """
    for axis, before, after in ((1, pads[0], pads[2]), (2, pads[1], pads[3])):
        if not before + after:
            continue
        last = source.shape[axis] - 1
        parts = [source]
        if before:
            parts = [_border(source, axis, 0, builder)] * before + parts
        if after:
            parts = parts + [_border(source, axis, last, builder)] * after
        shape = tuple(n + before + after if i == axis else n for i, n in enumerate(source.shape))
        target = builder.tensor(f"{source.name}/padded", shape, source.type, source.quantization)
        fields = {"axis": axis, "fusedActivationFunction": 0}
        source = builder.add("CONCATENATION", parts, target, Options("ConcatenationOptions", fields))
    return source


def _border(source: Tensor, axis: int, at: int, builder: Builder) -> Tensor:
    """One row (axis 1) or column (axis 2)."""
    shape = tuple(1 if i == axis else n for i, n in enumerate(source.shape))
    border = builder.tensor(f"{source.name}/border", shape, source.type, source.quantization)
    starts = builder.integers(f"{border.name}/starts", [at if i == axis else 0 for i in range(4)])
    sizes = builder.integers(
        f"{border.name}/sizes", [-1 if builder.any_batch else shape[0], *shape[1:]]
    )  # −1: to the end
    return builder.add("SLICE", [source, starts, sizes], border, Options("SliceOptions"))


def filling(source: Tensor, value: float, name: str, builder: Builder) -> Tensor:
    """A constant of one value, in a tensor's arithmetic: what its codes do not reach becomes their end."""
    if source.quantization is None:
        real = np.full(1, np.clip(value, -3.4e38, 3.4e38), np.float32)
        return builder.tensor(f"{name}/value", (1,), "float32", None, real)
    code = np.rint(value / source.quantization.scale) + source.quantization.zero_point
    data = np.clip(code, -128, 127).astype(np.int8)
    return builder.tensor(f"{name}/value", (1,), "int8", source.quantization, data)
