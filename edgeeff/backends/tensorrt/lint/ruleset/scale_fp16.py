"""TRT107: a scale that FP16 cannot hold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT107"
SEVERITY = "warning"
TITLE = "a scale that FP16 cannot hold"
WHY = (
    "Beside INT8 runs FP16, and a strongly typed graph has FP16 scales: below 2⁻²⁴ they become 0, near it "
    "they lose their digits, and 127 × scale above 65504 is infinite (IEEE 754). A channel that died beside "
    "others that live moves less than those round, and is not spoken of."
)
MEND = "keep this tensor in float32, or look for weights that died"

_SMALLEST, _LARGEST, _CODES = 2.0**-24, 65504.0, 127


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for scales whose rounding to FP16 moves a value by half a step of the tensor's coarsest scale."""
    for node in view.nodes(*QDQ):
        scale = view.scale(node)
        if scale is None or scale.values is None:
            continue
        values = scale.values[np.isfinite(scale.values) & (scale.values > 0)]
        if not values.size:
            continue
        if values.max() * _CODES > _LARGEST:
            yield view.name(node), f"scale {values.max():.3g} × {_CODES} is beyond FP16"
            continue
        half = np.maximum(values.astype(np.float16), _SMALLEST).astype(np.float64)
        moved = np.abs(half - values) * _CODES > 0.5 * values.max()
        if np.any(moved):
            first = f"{values[moved][0]:.3g} becomes {half[moved][0]:.3g}"
            yield view.name(node), f"scales that FP16 changes: {moved.sum()}; {first}"
