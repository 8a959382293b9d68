"""TRT020: quantised weights meet a float activation."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from edgeeff.backends.tensorrt.lint.layers import layers
from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT020"
SEVERITY = "error"
TITLE = "quantised weights meet a float activation"
WHY = "An INT8 layer has both inputs dequantised; with one alone it runs in float (compiler)."
MEND = "quantise the input too, or keep the weights float"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Compare the first two inputs of each layer with weights; weight-only INT4 and FP8 are meant so."""
    for layer in layers(view):
        if layer.weight is None or layer.activation is not None:
            continue
        if view.code_type(layer.weight) == TensorProto.INT8:
            yield view.name(layer.node), "its weights are quantised and its input is not"
