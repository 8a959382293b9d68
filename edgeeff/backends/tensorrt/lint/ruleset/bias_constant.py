"""TRT022: a bias that is computed."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT022"
SEVERITY = "error"
TITLE = "a bias that is no constant"
WHY = (
    "The input and the kernel of a convolution may be tensors, its bias is a build-time constant (NvInfer.h, "
    "IConvolutionLayer::setInput). TensorRT-RTX takes others."
)
MEND = "write the bias as a float initializer"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look at the biases of convolutions; those of INT32 are another rule's."""
    for node in view.nodes("Conv", "ConvTranspose"):
        bias = view.source(node, 2)
        if not bias or bias in view.constants:
            continue
        source = view.dequantiser(bias)
        if source is None or view.code_type(source) != TensorProto.INT32:
            yield view.name(node), f"its bias {bias!r} is no constant"
