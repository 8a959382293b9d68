"""TRT009: weights of uint8."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT009"
SEVERITY = "error"
TITLE = "weights of uint8"
WHY = "Every parser refuses UINT8 data at a Q or DQ (parser, importer)."
MEND = "quantise weights to int8 with zero point 0 (onnxruntime: weight_type QInt8, WeightSymmetric)"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for uint8 codes of constants."""
    for node in view.nodes(*QDQ):
        said = view.source(node, 2) or node.op_type == "DequantizeLinear"
        if said and view.code_type(node) == TensorProto.UINT8 and view.is_constant(view.source(node)):
            yield view.name(node), "its weights are uint8"
