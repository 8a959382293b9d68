"""Conv and Gemm: everything that has weights and a bias."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx

from edgeeff.backends.tflite.lowering import lowers
from edgeeff.backends.tflite.model import Quantization, Tensor
from edgeeff.backends.tflite.network import Codes, Network, Result, attribute
from edgeeff.errors import GraphError

SAME, VALID = 0, 1  # the schema's Padding


@lowers("Conv")
def convolution(node: onnx.NodeProto, network: Network) -> None:
    """CONV_2D, or DEPTHWISE_CONV_2D where each channel is a group; after a PAD unless SAME or VALID fit."""
    result = network.result(node, node.input[:2])
    source = network.operand(node.input[0], result)
    outputs, inputs, *kernel = _real_weights(node, network).shape
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
    pads = _pads(node)
    if not any(pads):
        padding = VALID
    elif pads != _same_pads(source.shape[1:3], kernel, strides, dilations):
        source, padding = _pad(source, pads, network), VALID
    options = {
        "padding": padding,
        "strideH": strides[0],
        "strideW": strides[1],
        "dilationHFactor": dilations[0],
        "dilationWFactor": dilations[1],
        "fusedActivationFunction": result.activation,
    }
    if depthwise:
        options["depthMultiplier"] = outputs // channels
        weights, bias = _weights_and_bias(node, network, result, source, (1, 2, 3, 0))
    else:
        weights, bias = _weights_and_bias(node, network, result, source, (0, 2, 3, 1))
    code = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    network.add(code, [source, weights, bias], network.produce(result), options)


@lowers("Gemm")
def fully_connected(node: onnx.NodeProto, network: Network) -> None:
    """FULLY_CONNECTED, which flattens a [N, 1, 1, C] input by itself."""
    for name, only in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)):
        if attribute(node, name, only) != only:
            raise GraphError(
                f"Gemm {node.name!r} has {name} other than {only}", mend=f"export it with {name} = {only}"
            )
    result = network.result(node, node.input[:2])
    source = network.operand(node.input[0], result)
    order = (0, 1) if attribute(node, "transB", 0) else (1, 0)
    weights, bias = _weights_and_bias(node, network, result, source, order)
    options = {"fusedActivationFunction": result.activation}
    network.add("FULLY_CONNECTED", [source, weights, bias], network.produce(result), options)


def _weights_and_bias(
    node: onnx.NodeProto, network: Network, result: Result, source: Tensor, order: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """The weights with their dimensions in ``order``, and the bias at the accumulator's scale."""
    name = f"{result.name}/weights"
    codes = network.codes(node.input[1])
    if result.quantization is None or codes is None:
        data = np.ascontiguousarray(_real_weights(node, network).transpose(order))
        bias = np.ascontiguousarray(_bias(node, network, result))
        return (
            network.tensor(name, data.shape, "float32", None, data),
            network.tensor(f"{result.name}/bias", bias.shape, "float32", None, bias),
        )
    channels = 0 if node.op_type == "Conv" else order[0]  # the output channels' dimension in ONNX
    _require_symmetric(node, codes, channels)
    data = np.ascontiguousarray(codes.values.transpose(order))
    quantization = Quantization(
        codes.quantization.scale, codes.quantization.zero_point, order.index(channels)
    )
    weights = network.tensor(name, data.shape, "int8", quantization, data)
    return weights, _integer_bias(node, network, result, source, codes, channels)


def _real_weights(node: onnx.NodeProto, network: Network) -> npt.NDArray[np.float32]:
    weights = network.constant(node.input[1])
    if weights is None:
        raise GraphError(
            f"{node.op_type} {node.name!r} computes its weights", mend="make the weights an initializer"
        )
    return weights.astype(np.float32)


def _require_symmetric(node: onnx.NodeProto, codes: Codes, channels: int) -> None:
    """Refuse weights that not every kernel computes rightly.

    With a zero point other than 0 the builtin kernels are silently wrong, and with −128 the 16-bit
    sums of some ARM kernels overflow: the TFLite 8-bit specification allows −127…127 only.
    """
    scales, axis, shape = codes.quantization.scale.size, codes.quantization.axis, codes.values.shape
    if codes.values.dtype != np.int8 or codes.quantization.zero_point.any() or codes.values.min() < -127:
        raise GraphError(
            f"{node.op_type} {node.name!r} has weights that are not int8 in −127…127 with zero point 0",
            mend="quantise weights symmetrically, in the narrow range",
        )
    if scales != 1 and (axis != channels or scales != shape[channels]):
        raise GraphError(
            f"{node.op_type} {node.name!r} has {scales} weight scales on dimension {axis} of {list(shape)}",
            mend="give each output channel one scale",
        )


def _bias(node: onnx.NodeProto, network: Network, result: Result) -> npt.NDArray[np.float32]:
    """The real bias, one for each output channel."""
    if len(node.input) < 3 or not node.input[2]:
        return np.zeros(result.shape[-1], np.float32)
    bias = network.constant(node.input[2])
    if bias is None:
        raise GraphError(
            f"{node.op_type} {node.name!r} computes its bias", mend="make the bias an initializer"
        )
    if bias.size not in (1, result.shape[-1]):
        raise GraphError(
            f"{node.op_type} {node.name!r} has {bias.size} biases for {result.shape[-1]} channels",
            mend="give each output channel one bias",
        )
    return np.broadcast_to(bias.reshape(-1).astype(np.float32), (result.shape[-1],))


def _integer_bias(
    node: onnx.NodeProto, network: Network, result: Result, source: Tensor, codes: Codes, channels: int
) -> Tensor:
    """INT32 at input scale × weight scale, which kernels take for granted: they ignore the tensor's own."""
    assert source.quantization is not None
    scale = source.quantization.scale.astype(np.float64) * codes.quantization.scale.astype(np.float64)
    bias = np.rint(_bias(node, network, result).astype(np.float64) / scale)
    # The accumulator begins at the bias, and the products add at most 255 · Σ|w| to it.
    inner = tuple(d for d in range(codes.values.ndim) if d != channels)
    reach = np.abs(bias) + 255 * np.abs(codes.values.astype(np.int64)).sum(axis=inner)
    worst = int(np.argmax(reach))
    if not reach[worst] < 2**31:
        raise GraphError(
            f"{node.op_type} {node.name!r}: the bias of channel {worst} does not fit INT32 "
            f"at scale {scale[min(worst, scale.size - 1)]:.3g}",
            mend="give that channel's weights a larger scale",
        )
    quantization = Quantization(scale.astype(np.float32), np.zeros(scale.size, np.int64))
    data = bias.astype(np.int32)
    return network.tensor(f"{result.name}/bias", data.shape, "int32", quantization, data)


def _pads(node: onnx.NodeProto) -> list[int]:
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


def _pad(source: Tensor, pads: list[int], network: Network) -> Tensor:
    """A PAD operator: it fills with real 0, which in int8 is the zero point."""
    top, left, bottom, right = pads
    batch, height, width, channels = source.shape
    shape = (batch, height + top + bottom, width + left + right, channels)
    target = network.tensor(f"{source.name}/padded", shape, source.type, source.quantization)
    amounts = np.array([[0, 0], [top, bottom], [left, right], [0, 0]])
    return network.add("PAD", [source, network.integers(f"{target.name}/amounts", amounts)], target)
