"""AveragePool whose window is the whole of height and width."""

from __future__ import annotations

from edgeeff.graph.operators import Operator, _pooling
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step


def translate(step: Step) -> View:
    """A GlobalAveragePool."""
    x = step.unpadded(0)
    window = step.attribute("kernel_shape", [0][:0])
    padded = any(step.attribute("pads", [0, 0, 0, 0])) or step.attribute("auto_pad", "NOTSET").startswith(
        "SAME"
    )
    if not x.is_nchw or padded or tuple(window) != x.dims[2:]:
        step.refuse(f"its window of {list(window)} is not the whole of {list(x.shape)}")
    return _pooling.pooled(step, x)


OPERATORS = (Operator("AveragePool", translate=translate),)
