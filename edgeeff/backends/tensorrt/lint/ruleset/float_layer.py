"""TRT101: a layer that stays float amid quantised ones."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.layers import layers
from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT101"
SEVERITY = "warning"
TITLE = "a layer with no quantised input"
WHY = "With explicit quantisation only what stands between DQ and Q runs in INT8; this runs in FP16 or FP32."
MEND = "put Q/DQ on its input and weights, unless its accuracy needs float"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for layers without Q/DQ, where others have it; those of squeeze-excite are meant to be float."""
    for layer in layers(view) if view.is_quantised else ():
        if layer.activation is None and layer.weight is None and not _reads_vector(view, layer.node.input[0]):
            yield view.name(layer.node), "it has no quantised input and runs in float"


def _reads_vector(view: View, tensor: str) -> bool:
    """Whether it is a pooled [N, C, 1, 1], as squeeze-excite reads."""
    return view.shapes.get(tensor, ())[2:] == (1, 1)
