"""TRT102: a quantised convolution too narrow to gain."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.layers import layers
from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT102"
SEVERITY = "warning"
TITLE = "a quantised convolution too narrow to gain"
WHY = "INT8 kernels work on channels in packs; fewer than 16 that are no multiple of 8 are padded up."
MEND = "leave it float, or widen it"

_WIDE, _PACK = 16, 8


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look at the channels that quantised convolutions write."""
    for layer in layers(view):
        shape = view.shapes.get(layer.node.output[0], ()) if layer.node.output else ()
        if layer.node.op_type != "Conv" or layer.activation is None or len(shape) != 4:
            continue
        if 0 < shape[1] < _WIDE and shape[1] % _PACK:
            yield view.name(layer.node), f"{shape[1]} channels gain nothing from INT8"
