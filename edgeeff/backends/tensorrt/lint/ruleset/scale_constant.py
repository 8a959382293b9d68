"""TRT012: a scale that is computed."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT012"
SEVERITY = "error"
TITLE = "a scale that is no constant"
WHY = (
    "A Q or DQ layer wants a build-time constant (TensorRT, IQuantizeLayer). The parser takes another, and "
    "TensorRT-RTX's compiler then crashes (compiler)."
)
MEND = "make it an initializer; constant folding may do"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for scales that no initializer or Constant node holds."""
    for node in view.nodes(*QDQ):
        if view.scale(node) is None:
            yield view.name(node), f"its scale {view.source(node, 1)!r} is no constant"
