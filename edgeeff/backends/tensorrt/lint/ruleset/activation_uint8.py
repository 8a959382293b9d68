"""TRT007: activations quantised to uint8."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT007"
SEVERITY = "error"
TITLE = "an activation of uint8"
WHY = (
    "8.5 and 8.6 refuse it. Later ones read INT8 whatever it says, and clip at 127 what uint8 holds up to "
    "255: accepted, and wrong (parser, importer)."
)
MEND = "quantise activations to int8 with zero point 0; an unsigned scale s becomes 255 s / 127"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for explicit uint8 zero points on what is no constant."""
    for node in view.nodes(*QDQ):
        unsigned = view.source(node, 2) and view.code_type(node) == TensorProto.UINT8
        if unsigned and not view.is_constant(view.source(node)):
            yield view.name(node), "its zero point is uint8"
