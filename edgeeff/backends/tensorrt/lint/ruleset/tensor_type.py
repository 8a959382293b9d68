"""TRT024: a tensor of a type that this version does not have."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.types import FIRST_KNOWN, type_name
from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT024"
SEVERITY = "error"
TITLE = "a tensor of a type that is not there"
WHY = "BF16 and FP8 came with TensorRT 9, INT4 with 10.0, FP4 with 10.8 (onnx-tensorrt's docs/operators.md)."
MEND = "cast it to float32, float16 or int32, or take a later TensorRT"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Hold the type of each tensor against the version that first had it; codes have rules of their own."""
    codes = {view.source(node, i) for node in view.nodes(*QDQ) for i in (0, 2)}
    codes |= {name for node in view.nodes("QuantizeLinear") for name in node.output}
    for name, code in view.types.items():
        if name in codes or (view.outer is not None and name in view.outer.types):
            continue
        if code not in FIRST_KNOWN or FIRST_KNOWN[code] > view.version:
            since = f", which is known from {FIRST_KNOWN[code]} on" if code in FIRST_KNOWN else ""
            yield name, f"it is {type_name(code)}{since}"
