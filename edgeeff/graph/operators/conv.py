"""Conv."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import SAME, VALID, Builder, Options, attribute
from edgeeff.graph.model import ints
from edgeeff.graph.operators import Operator, Traits, _padding, _weights, _windows
from edgeeff.graph.views import View, nchw
from edgeeff.graph.writer import Padding, Step

if TYPE_CHECKING:
    from torch import Tensor


def translate(step: Step) -> View:
    """With constant weights, on [N, C, H, W]; its padding becomes explicit."""
    x = step.view(0)
    weight = step.required(1)
    if not x.is_nchw or weight.ndim != 4:
        step.refuse(f"it convolves a tensor of {list(x.shape)} with weights of {list(weight.shape)}")
    group = step.attribute("group", 1)
    outputs, inputs, *window = weight.shape
    kernel = (window[0], window[1])
    if group < 1 or inputs * group != x.dims[1] or outputs % group or min(weight.shape) < 1:
        step.refuse(f"weights of {list(weight.shape)} in {group} groups do not fit {x.dims[1]} channels")
    if step.attribute("kernel_shape", list(kernel)) != list(kernel):
        step.refuse(f"its kernel_shape is not that of its weights, {list(kernel)}")
    strides, dilations = _windows.pair(step, "strides"), _windows.pair(step, "dilations")
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    own = _windows.pads(step, x.dims[2:], (reach[0], reach[1]), strides)
    pads = (own[0] + x.pads[0], own[1] + x.pads[1], own[2] + x.pads[2], own[3] + x.pads[3])
    sides = tuple((x.dims[2 + i] + own[i] + own[2 + i] - reach[i]) // strides[i] + 1 for i in range(2))
    bias = step.constant(2)
    if bias is not None and bias.shape != (outputs,):
        step.refuse(f"it has biases of {list(bias.shape)} for {outputs} channels")
    unpadded = (x.dims[2] - x.pads[0] - x.pads[2], x.dims[3] - x.pads[1] - x.pads[3])
    if step.attribute("auto_pad", "NOTSET") in ("NOTSET", "VALID"):
        step.writer.paddings.append(Padding(step.node.name, unpadded, (reach[0], reach[1]), strides, pads))
    # Always with a bias: our own convolutions have one once batch normalisation is folded.
    bias = np.zeros(outputs, np.float32) if bias is None else bias
    operands = [x.value, *(step.writer.constant(step.finite(array)) for array in (weight, bias))]
    value = step.write(
        "Conv",
        operands,
        outputs,
        (sides[0], sides[1]),
        {
            "dilations": list(dilations),
            "group": group,
            "kernel_shape": list(kernel),
            "pads": list(pads),
            "strides": list(strides),
        },
    )
    return nchw(value, (x.dims[0], outputs, sides[0], sides[1]))


def execute(node: ir.Node, x: list[Tensor]) -> Tensor:
    """With zeros put around the image first, where they are not the same on both sides."""
    from torch.nn import functional as F

    top, left, bottom, right = ints(node, "pads", [0, 0, 0, 0])
    strides, dilations = ints(node, "strides", [1, 1]), ints(node, "dilations", [1, 1])
    groups = node.attributes.get_int("group", 1)
    images = x[0]
    padding = (top, left)
    if (top, left) != (bottom, right):
        images = F.pad(images, (left, right, top, bottom))
        padding = (0, 0)
    bias = x[2] if len(x) > 2 else None
    return F.conv2d(images, x[1], bias, tuple(strides), padding, tuple(dilations), groups)


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """CONV_2D, or DEPTHWISE_CONV_2D where each channel is a group; after a PAD unless SAME or VALID fit."""
    result = builder.result(node, node.input[:2])
    source = builder.operand(node.input[0], result)
    outputs, inputs, *kernel = _weights.real(node, builder).shape
    if len(kernel) != 2:
        raise GraphError(f"Conv {node.name!r} is {len(kernel)}-dimensional", mend="use 2-D convolutions")
    group, channels = attribute(node, "group", 1), source.shape[3]
    depthwise = group == channels > 1 and inputs == 1
    if group != 1 and not depthwise:
        raise GraphError(
            f"Conv {node.name!r} has {group} groups over {channels} channels",
            mend="use 1 group, or one for each channel: the runtimes' kernels know no other",
        )
    strides = attribute(node, "strides", [1, 1])
    dilations = attribute(node, "dilations", [1, 1])
    padding = SAME
    pads = _explicit_pads(node)
    if not any(pads):
        padding = VALID
    elif pads != _same_pads(source.shape[1:3], kernel, strides, dilations):
        source, padding = _padding.around(source, pads, builder), VALID
    fields = {
        "padding": padding,
        "strideH": strides[0],
        "strideW": strides[1],
        "dilationHFactor": dilations[0],
        "dilationWFactor": dilations[1],
        "fusedActivationFunction": result.activation,
    }
    if depthwise:
        fields["depthMultiplier"] = outputs // channels
        weights, bias = _weights.weights_and_bias(node, builder, result, source, (1, 2, 3, 0))
    else:
        weights, bias = _weights.weights_and_bias(node, builder, result, source, (0, 2, 3, 1))
    code, table = ("DEPTHWISE_CONV_2D", "DepthwiseConv2D") if depthwise else ("CONV_2D", "Conv2D")
    options = Options(f"{table}Options", fields)
    version = 3 if source.type == "int8" else None
    builder.add(code, [source, weights, bias], builder.produce(result), options, version=version)


def _explicit_pads(node: onnx.NodeProto) -> list[int]:
    """Top, left, bottom, right."""
    if attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
        raise GraphError(f"Conv {node.name!r} leaves its padding to auto_pad", mend="export explicit pads")
    return list(attribute(node, "pads", [0, 0, 0, 0]))


def _same_pads(size: Sequence[int], kernel: list[int], strides: list[int], dilations: list[int]) -> list[int]:
    """What TensorFlow's SAME pads: up to ceil(size / stride) outputs, the odd pixel below and right."""
    totals = []
    for length, taps, stride, dilation in zip(size, kernel, strides, dilations, strict=True):
        extent = (taps - 1) * dilation + 1
        totals.append(max((math.ceil(length / stride) - 1) * stride + extent - length, 0))
    return [total // 2 for total in totals] + [total - total // 2 for total in totals]


OPERATORS = (Operator("Conv", translate=translate, execute=execute, traits=Traits(layer=True), lower=lower),)
