"""Another shape of the same values, for TFLite."""

from __future__ import annotations

import math

import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder, Options


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """RESHAPE between [N, C] and [N, C, 1, 1]; nothing at all where FULLY_CONNECTED flattens by itself."""
    value, output = node.input[0], node.output[0]
    source, shape = builder.stored(value), builder.shape(output)
    # Elsewhere than in a pooled vector, NCHW and NHWC flatten in different orders.
    if source.shape[-1] != math.prod(source.shape[1:]) or source.shape[-1] != shape[-1]:
        before, after = builder.shapes[value], builder.shapes[output]
        raise GraphError(
            f"{node.op_type} {node.name!r} reshapes {list(before)} to {list(after)}",
            mend="reshape only the pooled vector, [N, C, 1, 1] to [N, C] or back",
        )
    readers = builder.consumers.get(output, [])
    if not readers or output in builder.outputs or any(reader.op_type != "Gemm" for reader in readers):
        target = builder.tensor(output, shape, source.type, source.quantization)
        sizes = [-1 if builder.any_batch else shape[0], *shape[1:]]
        dimensions = builder.integers(f"{output}/shape", sizes)
        options = Options("ReshapeOptions", {"newShape": sizes})
        source = builder.add("RESHAPE", [source, dimensions], target, options, version=1)
    builder.store(output, source)
