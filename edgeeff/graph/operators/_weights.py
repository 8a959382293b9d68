"""Weights and biases for TFLite."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder, Codes, Quantization, Result, Tensor


def weights_and_bias(
    node: onnx.NodeProto, builder: Builder, result: Result, source: Tensor, order: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """The weights with their dimensions in ``order``, and the bias at the accumulator's scale."""
    name = f"{result.name}/weights"
    codes = builder.codes(node.input[1])
    if result.quantization is None or codes is None:
        data = np.ascontiguousarray(real(node, builder).transpose(order))
        bias = np.ascontiguousarray(_bias(node, builder, result))
        return (
            builder.tensor(name, data.shape, "float32", None, data),
            builder.tensor(f"{result.name}/bias", bias.shape, "float32", None, bias),
        )
    channels = 0 if node.op_type == "Conv" else order[0]  # the output channels' dimension in ONNX
    _require_symmetric(node, codes, channels)
    data = np.ascontiguousarray(codes.values.transpose(order))
    quantization = Quantization(
        codes.quantization.scale, codes.quantization.zero_point, order.index(channels)
    )
    weights = builder.tensor(name, data.shape, "int8", quantization, data)
    return weights, _integer_bias(node, builder, result, source, codes, channels)


def real(node: onnx.NodeProto, builder: Builder) -> npt.NDArray[np.float32]:
    """The weights as float32.

    Raises:
        GraphError: They are computed.
    """
    weights = builder.constant(node.input[1])
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


def _bias(node: onnx.NodeProto, builder: Builder, result: Result) -> npt.NDArray[np.float32]:
    """The real bias, one for each output channel."""
    if len(node.input) < 3 or not node.input[2]:
        return np.zeros(result.shape[-1], np.float32)
    bias = builder.constant(node.input[2])
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
    node: onnx.NodeProto, builder: Builder, result: Result, source: Tensor, codes: Codes, channels: int
) -> Tensor:
    """INT32 at input scale × weight scale, which kernels take for granted: they ignore the tensor's own."""
    assert source.quantization is not None
    scale = source.quantization.scale.astype(np.float64) * codes.quantization.scale.astype(np.float64)
    bias = np.rint(_bias(node, builder, result).astype(np.float64) / scale)
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
    return builder.tensor(f"{result.name}/bias", data.shape, "int32", quantization, data)
