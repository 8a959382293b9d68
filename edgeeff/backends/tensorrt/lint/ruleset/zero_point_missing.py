"""TRT004: no zero point, where that means something else or is refused."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from edgeeff.backends.tensorrt.lint.versions import Version
from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT004"
SEVERITY = "error"
TITLE = "no zero point"
WHY = (
    "8.5 and 8.6 want three inputs. Later ones take two and quantise to INT8, while ONNX means uint8: "
    "the graph is accepted and computes something else (parser, importer)."
)
MEND = "give it an explicit int8 zero point of 0"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for a third input."""
    for node in view.nodes(*QDQ):
        if view.source(node, 2):
            continue
        if view.version < Version(9, 0):
            yield view.name(node), "it has no zero point, and this version wants one"
        elif view.code_type(node) == TensorProto.UINT8:
            yield view.name(node), "it has no zero point: ONNX means uint8, TensorRT reads INT8"
