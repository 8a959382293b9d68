"""AveragePool, also where its window is the whole of height and width."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import VALID, Builder, Kept, Options, Quantization, Tensor, attribute
from edgeeff.graph.model import ints, node_label
from edgeeff.graph.operators import Operator, Traits, _padding, _pooling, as_first
from edgeeff.graph.views import NO_PADS, View
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor as Torch


def translate(step: Step) -> View:
    """A GlobalAveragePool, or an AveragePool with explicit padding that no mean counts.

    What a mean does count (count_include_pad) is zeros, and becomes a Pad before it.
    """
    x = _padding.whole(step, 0)
    window = _pooling.window(step, x)
    if window.dilations != (1, 1):
        step.refuse(f"its dilations are {list(window.dilations)}")
    whole = window.kernel == x.dims[2:] and window.own == NO_PADS
    step.writer.sized.append((f"{node_label(step.node)}: its window of {list(window.kernel)}", whole))
    if whole:
        return _pooling.pooled(step, x)
    if not step.attribute("count_include_pad", 0):
        return _pooling.written(step, x, "AveragePool", window, window.pads)
    around = _padding.zeros(step, x, window.own)
    return _pooling.written(step, around, "AveragePool", window, (0, 0, *window.extra))


def execute(node: ir.Node, x: list[Torch]) -> Torch:
    """The sum of each window by the number of its pixels that are the image's."""
    import torch
    from torch.nn import functional as F

    kernel, strides = tuple(ints(node, "kernel_shape", [1, 1])), tuple(ints(node, "strides", [1, 1]))
    means = F.avg_pool2d(_pooling.padded(node, x[0], 0.0), kernel, strides)
    if not any(ints(node, "pads", [0, 0, 0, 0])) or node.attributes.get_int("count_include_pad", False):
        return means
    inside = _pooling.padded(node, torch.ones_like(x[0][:1, :1]), 0.0)
    return means / F.avg_pool2d(inside, kernel, strides)


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """AVERAGE_POOL_2D, at the scale of what it reads.

    Of integers without padding it is a DEPTHWISE_CONV_2D of equal weights, which XNNPACK takes. Padding
    other than SAME is a PAD of zeros, and a MUL that makes up for what they took of the means.
    """
    counted, pads = attribute(node, "count_include_pad", 0), attribute(node, "pads", [0, 0, 0, 0])
    if attribute(node, "ceil_mode", 0) or (counted and any(pads)):
        raise GraphError(
            f"AveragePool {node.name!r} counts its padding or rounds its size up",
            mend="TFLite does neither: export it with a Pad before it, and explicit pads",
        )
    kept = builder.keeping(node, selects=False)
    options, left = _pooling.options(node, kept.source)
    if kept.source.quantization is not None and not any(pads):
        _convolved(node, kept, kept.source.quantization, builder)
        return
    if left is None:
        builder.keep(kept, "AVERAGE_POOL_2D", [kept.source], options)
        return
    source = _padding.around(kept.source, left, builder)
    means = builder.tensor(f"{kept.name}/means", kept.shape, source.type, source.quantization)
    builder.add("AVERAGE_POOL_2D", [source], means, options)
    missing = _missing(node, kept.source, kept.shape[1:3], left, kept.name, builder)
    product = Options("MulOptions", {"fusedActivationFunction": 0})
    builder.keep(kept, "MUL", [means, missing], product)


def _convolved(node: onnx.NodeProto, kept: Kept, quantization: Quantization, builder: Builder) -> None:
    """The mean of each window as a convolution of each channel, whose weights are equal and exact."""
    kernel, strides = attribute(node, "kernel_shape", [1, 1]), attribute(node, "strides", [1, 1])
    channels, largest = kept.source.shape[3], 127
    scale = np.full(channels, 1 / (largest * kernel[0] * kernel[1]), np.float32)
    none = np.zeros(channels, np.int64)
    shape = (1, kernel[0], kernel[1], channels)
    weights = builder.tensor(
        *(f"{kept.name}/weights", shape, "int8", Quantization(scale, none, 3)),
        np.full(shape, largest, np.int8),
    )
    bias = builder.tensor(
        *(f"{kept.name}/bias", (channels,), "int32", Quantization(quantization.scale * scale, none)),
        np.zeros(channels, np.int32),
    )
    fields = {
        **{"padding": VALID, "strideH": strides[0], "strideW": strides[1]},
        **{"dilationHFactor": 1, "dilationWFactor": 1, "depthMultiplier": 1, "fusedActivationFunction": 0},
    }
    options = Options("DepthwiseConv2DOptions", fields)
    builder.keep(kept, "DEPTHWISE_CONV_2D", [kept.source, weights, bias], options, version=3)


def _missing(
    node: onnx.NodeProto, source: Tensor, sides: tuple[int, ...], pads: list[int], name: str, builder: Builder
) -> Tensor:
    """By how much the mean of each window is too small, where zeros were counted: [1, H, W, 1]."""
    along = []
    for i in range(2):
        size, kernel = source.shape[1 + i], attribute(node, "kernel_shape", [1, 1])[i]
        stride = attribute(node, "strides", [1, 1])[i]
        starts = np.arange(sides[i]) * stride - pads[i]
        inside = np.minimum(starts + kernel, size) - np.maximum(starts, 0)
        along.append(kernel / inside)
    factors = np.asarray(along[0][:, None] * along[1][None, :], np.float32).reshape(1, *sides, 1)
    if source.quantization is None:
        return builder.tensor(f"{name}/factors", factors.shape, "float32", None, factors)
    scale = Quantization.per_tensor(float(factors.max() / 127), 0)
    codes = np.rint(factors / scale.scale).astype(np.int8)
    return builder.tensor(f"{name}/factors", factors.shape, "int8", scale, codes)


OPERATORS = (
    Operator(
        "AveragePool",
        translate=translate,
        execute=execute,
        traits=Traits(scale="of input", nonnegative=as_first),
        lower=lower,
    ),
)
