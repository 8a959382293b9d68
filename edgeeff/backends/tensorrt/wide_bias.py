"""Keep onnxruntime from breaking the FP16-typed graph: biases that FP16 cannot count in its own steps.

From 1.21 on onnxruntime's ``WeightBiasQuantization`` (at its default level, before any execution provider
takes its part) makes INT32 of the bias of a layer whose output is quantised:

    bias = round(bias / (input scale · weight scale)) · (input scale · weight scale)

It computes that in the graph's type. In FP16 the quotient of a bias that is large beside its weights is
beyond 65504, so infinite, or the product of the scales is 0; the network's output is then noise (−22 dB
against the same file computed as it is written, on a B0 with such channels).

A node between the layer and its QuantizeLinear is what stops it from 1.22 on (1.21 has to be told:
``disabled_optimizers=["WeightBiasQuantization"]``). ``Max`` of one operand is the one that costs nothing:
onnxruntime does not know it for an identity, onnx-tensorrt writes an identity for it
(``elementwiseHelper``), and TensorRT-RTX compiles the same kernels with it as without.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

OPERATOR = "Max"

#: The largest quotient, and the smallest product of scales that FP16 still holds to some 9 bits.
_LARGEST, _SMALLEST = 60000.0, 2.0**-16

_LAYERS = frozenset(("Conv", "Gemm"))
_PASSED = frozenset(("Clip", "Relu"))  # onnxruntime looks through them


def shield(graph: onnx.GraphProto) -> None:
    """Put the node behind each layer of an FP16-typed graph that onnxruntime would break."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for layer in [node for node in graph.node if node.op_type in _LAYERS and len(node.input) > 2]:
        scale = _scale(layer, producers, constants)
        bias = constants.get(layer.input[2])
        if scale is None or bias is None or not _is_quantised_next(layer, readers):
            continue
        if _fits(numpy_helper.to_array(bias), scale):
            continue
        result = layer.output[0]
        layer.output[0] = f"{result}.unshielded"
        shield = helper.make_node(OPERATOR, [layer.output[0]], [result], name=f"{result}/{OPERATOR}")
        graph.node.insert(list(graph.node).index(layer) + 1, shield)


def _scale(
    layer: onnx.NodeProto, producers: Mapping[str, onnx.NodeProto], constants: Mapping[str, onnx.TensorProto]
) -> npt.NDArray[np.float32] | None:
    """Input scale times weight scales; None where not both are dequantised."""
    product = np.ones((), np.float32)
    for name in layer.input[:2]:
        node = producers.get(name)
        if node is None or node.op_type != "DequantizeLinear" or node.input[1] not in constants:
            return None
        product = product * numpy_helper.to_array(constants[node.input[1]]).astype(np.float32)
    return product


def _is_quantised_next(layer: onnx.NodeProto, readers: Mapping[str, list[onnx.NodeProto]]) -> bool:
    """Whether what the layer makes goes to a QuantizeLinear and nowhere else."""
    after = readers.get(layer.output[0], [])
    while len(after) == 1 and after[0].op_type in _PASSED:
        after = readers.get(after[0].output[0], [])
    return len(after) == 1 and after[0].op_type == "QuantizeLinear"


def _fits(bias: npt.NDArray[np.floating], scale: npt.NDArray[np.float32]) -> bool:
    if float(scale.min()) < _SMALLEST:
        return False
    return float(np.abs(bias.astype(np.float32) / scale).max(initial=0.0)) <= _LARGEST
