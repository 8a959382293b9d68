"""TRT021: weights with a scale for each channel of the wrong axis."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.layers import layers
from edgeeff.backends.tensorrt.lint.ruleset.axis_missing import BEFORE as AXIS_MISSING
from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT021"
SEVERITY = "error"
TITLE = "weights with scales along an axis that is no output channel"
WHY = (
    "INT8 kernels take one scale for each output channel, axis 0 of a convolution (TensorRT, Quantized "
    "Types); with another axis the layer runs in float (compiler)."
)
MEND = "quantise the weights along their output channels"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Compare the axis of each layer's weights with that of its output channels."""
    for layer in layers(view):
        scale = view.scale(layer.weight) if layer.weight is not None else None
        if layer.weight is None or scale is None or len(scale.shape) != 1 or scale.size == 1:
            continue
        axis, rank = view.axis(layer.weight), len(view.shapes.get(view.source(layer.weight), ()))
        if axis is None and view.version < AXIS_MISSING:
            continue
        axis = 1 if axis is None else axis + rank * (axis < 0)
        if layer.output_axis is not None and axis < rank and axis != layer.output_axis % rank:
            yield view.name(layer.node), f"its scales are those of axis {axis}, which is not its outputs'"
