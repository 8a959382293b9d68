"""TRT011: a scale that is no positive number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT011"
SEVERITY = "error"
TITLE = "a scale that is no positive number"
WHY = (
    "Every parser refuses scales of 0 and below, and NaN with them; infinity is no scale (parser, importer)."
)
MEND = "calibrate again; a channel of zeros gets any positive scale"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look at each scale that is at hand."""
    for node in view.nodes(*QDQ):
        scale = view.scale(node)
        if scale is None or scale.values is None:
            continue
        bad = scale.values[~(np.isfinite(scale.values) & (scale.values > 0))]
        if bad.size or not scale.size:
            yield view.name(node), f"{bad.size} of its {scale.size} scales, {bad[:1]}, are not positive"
