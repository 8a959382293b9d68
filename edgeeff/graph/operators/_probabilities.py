"""What makes numbers of 0…1: TFLite's int8 kernels have one scale for it, whatever the tensor says."""

from __future__ import annotations

import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import PROBABILITY, Result

#: Scale and zero point of the TFLite specification.
FIXED = (float(PROBABILITY.scale[0]), int(PROBABILITY.zero_point[0]))


def hold(node: onnx.NodeProto, result: Result) -> None:
    """Refuse another scale than the kernel has.

    Raises:
        GraphError: The result is quantised with another.
    """
    if result.quantization is not None and not result.quantization.same(PROBABILITY):
        scale, zero_point = result.quantization.scale[0], result.quantization.zero_point[0]
        raise GraphError(
            f"{node.op_type} {node.name!r} is quantised with scale {scale:.6g}, zero point {zero_point}",
            mend="use scale 1/256 and zero point -128 there: TFLite's int8 kernel has no other",
        )
