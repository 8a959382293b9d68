"""TRT010: an INT32 bias through DequantizeLinear."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT010"
SEVERITY = "error"
TITLE = "an INT32 bias through DequantizeLinear"
WHY = (
    "TensorRT dequantises INT8 and keeps biases float; every parser refuses INT32. "
    "onnxruntime's quantize_static writes it by default (parser)."
)
MEND = "write the bias as a float initializer (onnxruntime: QuantizeBias False)"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for DequantizeLinear on INT32."""
    for node in view.nodes("DequantizeLinear"):
        if view.code_type(node) == TensorProto.INT32:
            yield view.name(node), "it dequantises INT32"
