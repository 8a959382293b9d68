"""TRT003: a zero point that is not 0."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT003"
SEVERITY = "error"
TITLE = "a zero point that is not 0"
WHY = "TensorRT has symmetric quantisation only; every parser refuses another zero point (parser, importer)."
MEND = (
    "calibrate symmetrically: onnxruntime with ActivationSymmetric, ModelOpt as it is; or build with edgeeff"
)


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look at each zero point that is at hand; those of INT32 are another rule's."""
    for node in view.nodes(*QDQ):
        zero = view.zero_point(node)
        if zero is not None and zero.values is not None and np.any(zero.values):
            worst = zero.values[np.argmax(np.abs(zero.values))]
            yield view.name(node), f"its zero point is {worst:g}"
