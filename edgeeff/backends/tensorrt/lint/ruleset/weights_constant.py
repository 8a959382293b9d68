"""TRT026: quantised weights that are computed."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT026"
SEVERITY = "error"
TITLE = "quantised weights that are no constant"
WHY = (
    "A kernel has to be a build-time constant that comes out of a DQ (NvInfer.h, "
    "IConvolutionLayer::setInput). TensorRT-RTX takes others."
)
MEND = "make the weights an initializer; constant folding may do"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look at the dequantised weights of convolutions."""
    for node in view.nodes("Conv", "ConvTranspose"):
        weight = view.dequantiser(view.source(node, 1))
        if weight is not None and not view.is_constant(view.source(weight)):
            yield view.name(node), f"its weights come from {view.source(weight)!r}, which is no constant"
