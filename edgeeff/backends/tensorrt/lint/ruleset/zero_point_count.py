"""TRT006: not as many zero points as scales."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT006"
SEVERITY = "error"
TITLE = "not as many zero points as scales"
WHY = "Scale and zero point must have the same volume; every parser refuses another (parser, importer)."
MEND = "give each scale a zero point of 0"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Compare the two sizes."""
    for node in view.nodes(*QDQ):
        scale, zero = view.scale(node), view.zero_point(node)
        if scale is not None and zero is not None and scale.size != zero.size:
            yield view.name(node), f"{zero.size} zero points for scales of shape {list(scale.shape)}"
