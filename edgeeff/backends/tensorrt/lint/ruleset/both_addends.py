"""TRT104: Q/DQ on both inputs of an addition."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT104"
SEVERITY = "warning"
TITLE = "Q/DQ on both inputs of an addition"
WHY = "A sum fuses into the convolution before it when the skip side alone is quantised (TensorRT, Q/DQ)."
MEND = "quantise the skip input alone"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look at the inputs of each Add that are no constants."""
    for node in view.nodes("Add"):
        if len(node.input) == 2 and all(
            view.dequantiser(name) is not None and not view.is_constant(name) for name in node.input
        ):
            yield view.name(node), "both its inputs are quantised"
