"""TRT023: the operator Swish."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.versions import Version
from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT023"
SEVERITY = "error"
TITLE = "the operator Swish"
WHY = (
    "Parsers know it from 11.0 on (release notes of TensorRT 11.0); Sigmoid and Mul fuse to the same in all."
)
MEND = "write it as x · Sigmoid(x)"
BEFORE = Version(11, 0)


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for it."""
    for node in view.nodes("Swish"):
        if node.domain in ("", "ai.onnx"):
            yield view.name(node), "Swish is known from 11.0 on"
