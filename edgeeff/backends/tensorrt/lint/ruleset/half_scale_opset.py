"""TRT015: FP16 or BF16 scales before opset 19."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from edgeeff.backends.tensorrt.lint.types import type_name
from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT015"
SEVERITY = "error"
TITLE = "FP16 or BF16 scales before opset 19"
WHY = "QuantizeLinear and DequantizeLinear take them from version 19 on (ONNX); before, no reader need agree."
MEND = "raise the graph to opset 19, or keep its scales float32"

OPSET = 19


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look at the scales' types where the opset is too early."""
    for node in view.nodes(*QDQ) if view.opset < OPSET else ():
        scale = view.scale(node)
        if scale is not None and scale.data_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
            yield view.name(node), f"a {type_name(scale.data_type)} scale at opset {view.opset}"
