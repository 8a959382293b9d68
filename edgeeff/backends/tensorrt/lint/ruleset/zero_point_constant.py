"""TRT005: a zero point that is computed."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT005"
SEVERITY = "error"
TITLE = "a zero point that is no constant"
WHY = "The builder refuses a zero point that is no initializer (compiler)."
MEND = "make it an initializer; constant folding may do"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for zero points that no initializer or Constant node holds."""
    for node in view.nodes(*QDQ):
        if view.source(node, 2) and view.zero_point(node) is None:
            yield view.name(node), f"its zero point {view.source(node, 2)!r} is no constant"
