"""Operators that work on each element: Add, Mul, Sub, Sigmoid, Relu, Clip, and Softmax."""

from __future__ import annotations

import onnx

from edgeeff.backends.tflite.lowering import lowers
from edgeeff.backends.tflite.model import Quantization
from edgeeff.backends.tflite.network import Network, Result, attribute
from edgeeff.errors import GraphError

# What the int8 kernels of LOGISTIC and SOFTMAX produce, whatever the tensor says.
PROBABILITY = Quantization.per_tensor(1 / 256, -128)


@lowers("Add", "Mul", "Sub")
def binary(node: onnx.NodeProto, network: Network) -> None:
    """ADD, MUL, SUB: with broadcasting from either side, each tensor at its own scale."""
    result = network.result(node, node.input)
    operands = [network.operand(value, result) for value in node.input]
    if any(len(operand.shape) != len(result.shape) for operand in operands):
        raise GraphError(
            f"{node.op_type} {node.name!r} broadcasts over ranks {[len(o.shape) for o in operands]}",
            mend="reshape both operands to one rank: NCHW and NHWC broadcast differently",
        )
    options = {"fusedActivationFunction": result.activation}
    network.add(node.op_type.upper(), operands, network.produce(result), options)


@lowers("Sigmoid")
def sigmoid(node: onnx.NodeProto, network: Network) -> None:
    """LOGISTIC. Followed by the MUL of a Swish, XNNPACK fuses both into one table look-up."""
    result = network.result(node, node.input, clamps=False)
    _fixed_scale(node, result)
    network.add("LOGISTIC", [network.operand(node.input[0], result)], network.produce(result))


@lowers("Softmax")
def softmax(node: onnx.NodeProto, network: Network) -> None:
    """SOFTMAX over the last dimension."""
    result = network.result(node, node.input, clamps=False)
    if attribute(node, "axis", -1) not in (-1, len(result.shape) - 1) or len(result.shape) != 2:
        raise GraphError(
            f"Softmax {node.name!r} is not over the classes of [N, classes]", mend="move it to the logits"
        )
    _fixed_scale(node, result)
    network.add("SOFTMAX", [network.operand(node.input[0], result)], network.produce(result), {"beta": 1.0})


@lowers("Relu", "Clip")
def clamp(node: onnx.NodeProto, network: Network) -> None:
    """RELU, RELU6 or RELU_N1_TO_1, where no operator before it could fuse the clamp."""
    activation = network.clamp(node)
    if not activation:
        raise GraphError(
            f"Clip {node.name!r} has bounds that no TFLite activation has",
            mend="clip to 0…6, −1…1 or 0…∞",
        )
    result = network.result(node, node.input[:1], clamps=False)
    code = {1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}[activation]
    network.add(code, [network.operand(node.input[0], result)], network.produce(result))


def _fixed_scale(node: onnx.NodeProto, result: Result) -> None:
    if result.quantization is not None and not result.quantization.same(PROBABILITY):
        scale, zero_point = result.quantization.scale[0], result.quantization.zero_point[0]
        raise GraphError(
            f"{node.op_type} {node.name!r} is quantised with scale {scale:.6g}, zero point {zero_point}",
            mend="use scale 1/256 and zero point -128 there: TFLite's int8 kernel has no other",
        )
