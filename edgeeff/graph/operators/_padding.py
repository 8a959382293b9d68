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


def filling(source: Tensor, value: float, name: str, builder: Builder) -> Tensor:
    """A constant of one value, in a tensor's arithmetic: what its codes do not reach becomes their end."""
    if source.quantization is None:
        real = np.full(1, np.clip(value, -3.4e38, 3.4e38), np.float32)
        return builder.tensor(f"{name}/value", (1,), "float32", None, real)
    code = np.rint(value / source.quantization.scale) + source.quantization.zero_point
    data = np.clip(code, -128, 127).astype(np.int8)
    return builder.tensor(f"{name}/value", (1,), "int8", source.quantization, data)
