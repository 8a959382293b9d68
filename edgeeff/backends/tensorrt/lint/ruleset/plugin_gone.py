"""TRT027: a plugin that this version has no more."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.plugins import GONE
from edgeeff.backends.tensorrt.lint.versions import Version
from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT027"
SEVERITY = "error"
TITLE = "a plugin that is gone"
WHY = "TensorRT 11.0 removed plugins that had been deprecated (changelog of NVIDIA/TensorRT, 11.0)."
MEND = "end in NonMaxSuppression, or in scores and boxes of all anchors"
FIRST = Version(11, 0)


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for them, whatever their domain."""
    for node in view.nodes(*GONE):
        if view.version >= GONE[node.op_type]:
            yield view.name(node), f"{node.op_type} is gone since {GONE[node.op_type]}"
