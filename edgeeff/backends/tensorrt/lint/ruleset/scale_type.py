"""TRT014: a scale of another type than what it quantises."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.types import type_name
from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT014"
SEVERITY = "error"
TITLE = "a scale of another type than the activation"
WHY = (
    "ONNX before opset 23 wants both of one type, and the parser refuses an FP16 activation with an FP32 "
    "scale at opset 17 (parser)."
)
MEND = "type the scale as the activation; FP16 scales need opset 19"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Compare the types of a QuantizeLinear's first two inputs."""
    for node in view.nodes("QuantizeLinear"):
        scale, activation = view.scale(node), view.types.get(view.source(node))
        if scale is not None and activation and scale.data_type != activation:
            found = f"{type_name(activation)} activation with a {type_name(scale.data_type)} scale"
            yield view.name(node), found
