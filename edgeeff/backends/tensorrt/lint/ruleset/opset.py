"""TRT001: an opset later than this version's parser was written for."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.versions import Version
from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT001"
SEVERITY = "error"
TITLE = "the opset is later than the parser was written for"
WHY = (
    "No parser refuses an opset: it reads an operator whose meaning has changed since as the older one. "
    "The limits are those of onnx-tensorrt's docs/operators.md."
)
MEND = "export at opset 17, which every version reads; only FP16 scales need opset 19"

#: From which version on which opset is read. Between two of them the earlier holds.
_LATEST = {Version(8, 5): 17, Version(9, 0): 19, Version(10, 0): 20, Version(10, 15): 24, Version(11, 5): 25}


def latest(version: Version) -> int:
    """The latest opset that a version is documented to read."""
    return max(opset for first, opset in _LATEST.items() if first <= version)


def check(view: View) -> Iterator[tuple[str, str]]:
    """Hold the default domain's version against the limit."""
    if view.outer is None and view.opset > latest(view.version):
        yield "graph", f"opset {view.opset}, and {latest(view.version)} is the latest that is read"
