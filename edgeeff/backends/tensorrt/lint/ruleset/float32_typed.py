"""TRT108: what is not quantised is typed FP32."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from edgeeff.backends.tensorrt.lint.versions import Version
from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT108"
SEVERITY = "warning"
TITLE = "what is not quantised is typed float32"
WHY = (
    "TensorRT 11 has strongly typed networks only: what is not quantised runs in the type the graph gives it."
)
MEND = "type the graph float16 at opset 19 for TensorRT 11"
FIRST = Version(11, 0)

_LAYERS = ("Conv", "Gemm", "MatMul")


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for layers that write float32."""
    for node in view.nodes(*_LAYERS):
        if node.output and view.types.get(node.output[0]) == TensorProto.FLOAT:
            yield "graph", "its layers are typed float32, and run in it where they are not INT8"
            return
