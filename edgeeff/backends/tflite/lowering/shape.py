"""Pooling over the whole image, and reshapes of what it leaves."""

from __future__ import annotations

import math

import onnx

from edgeeff.backends.tflite.lowering import lowers
from edgeeff.backends.tflite.network import Network
from edgeeff.errors import GraphError


@lowers("GlobalAveragePool")
def global_average_pool(node: onnx.NodeProto, network: Network) -> None:
    """MEAN over height and width (XNNPACK takes no int8 AVERAGE_POOL_2D)."""
    result = network.result(node, node.input, clamps=False)
    source = network.operand(node.input[0], result)
    axes = network.integers(f"{result.name}/axes", [1, 2])
    network.add("MEAN", [source, axes], network.produce(result), {"keepDims": True})


@lowers("Flatten", "Reshape")
def reshape(node: onnx.NodeProto, network: Network) -> None:
    """RESHAPE between [N, C] and [N, C, 1, 1]; nothing at all where FULLY_CONNECTED flattens by itself."""
    value, output = node.input[0], node.output[0]
    source, shape = network.stored(value), network.shape(output)
    # Elsewhere than in a pooled vector, NCHW and NHWC flatten in different orders.
    if source.shape[-1] != math.prod(source.shape[1:]) or source.shape[-1] != shape[-1]:
        before, after = network.shapes[value], network.shapes[output]
        raise GraphError(
            f"{node.op_type} {node.name!r} reshapes {list(before)} to {list(after)}",
            mend="reshape only the pooled vector, [N, C, 1, 1] to [N, C] or back",
        )
    readers = network.consumers.get(output, [])
    if not readers or output in network.outputs or any(reader.op_type != "Gemm" for reader in readers):
        target = network.tensor(output, shape, source.type, source.quantization)
        sizes = [-1 if network.any_batch else shape[0], *shape[1:]]
        dimensions = network.integers(f"{output}/shape", sizes)
        source = network.add("RESHAPE", [source, dimensions], target, {"newShape": sizes})
    network.store(output, source)
