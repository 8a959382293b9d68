"""TRT019: a quantised activation meets float weights."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.layers import layers
from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT019"
SEVERITY = "error"
TITLE = "a quantised activation meets float weights"
WHY = "An INT8 layer has both inputs dequantised; with one alone it runs in float (compiler)."
MEND = "quantise the weights too, or take the Q/DQ off the activation"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Compare the first two inputs of each layer with weights."""
    for layer in layers(view):
        if layer.activation is not None and layer.weight is None:
            yield view.name(layer.node), "its input is quantised and its weights are not"
