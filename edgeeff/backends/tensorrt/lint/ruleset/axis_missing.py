"""TRT018: per-channel scales without an axis."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.versions import Version
from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT018"
SEVERITY = "error"
TITLE = "scales for each channel, and no axis"
WHY = (
    "Without the attribute ONNX means axis 1, and the importers of 8.5 to 10.1 take axis 0. TensorRT-RTX "
    "1.7.1 takes axis 1 (parser); which version between them was the first is not known."
)
MEND = "write the axis out"
BEFORE = Version(11, 0)


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for several scales in a row without the attribute."""
    for node in view.nodes(*QDQ):
        scale = view.scale(node)
        if scale is not None and len(scale.shape) == 1 and scale.size > 1 and view.axis(node) is None:
            yield view.name(node), f"{scale.size} scales: axis 1 for ONNX, axis 0 for TensorRT"
