"""TRT017: an activation with a scale for each channel."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT017"
SEVERITY = "error"
TITLE = "an activation with a scale for each channel"
WHY = (
    "TensorRT quantises activations with one scale for the tensor (TensorRT, Quantized Types; importer); "
    "with several the layer runs in float (compiler)."
)
MEND = "calibrate activations per tensor; fold what differs between channels into the weights"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for several scales on what is no constant."""
    for node in view.nodes(*QDQ):
        scale = view.scale(node)
        if scale is not None and scale.size != 1 and not view.is_constant(view.source(node)):
            yield view.name(node), f"{scale.size} scales on an activation"
