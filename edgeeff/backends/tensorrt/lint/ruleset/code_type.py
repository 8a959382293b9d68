"""TRT008: codes of a type that this version does not have."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from edgeeff.backends.tensorrt.lint.types import type_name
from edgeeff.backends.tensorrt.lint.versions import Version
from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT008"
SEVERITY = "error"
TITLE = "quantised to a type that is not there"
WHY = (
    "Q/DQ is INT8 in every version, also FP8 and INT4 from 10.0 and FP4 from 10.8 on "
    "(importer; onnx-tensorrt's docs/operators.md). An INT16 zero point is refused (parser)."
)
MEND = "quantise to int8 with zero point 0"

_FIRST = {
    TensorProto.INT8: Version(8, 5),
    TensorProto.FLOAT8E4M3FN: Version(10, 0),
    TensorProto.INT4: Version(10, 0),
    TensorProto.FLOAT4E2M1: Version(10, 8),
}
#: Rules of their own speak of these.
_ELSEWHERE = (TensorProto.UINT8, TensorProto.INT32)


def check(view: View) -> Iterator[tuple[str, str]]:
    """Hold the type of each Q's and DQ's codes against the version that first had it."""
    for node in view.nodes(*QDQ):
        code = view.code_type(node)
        if code in _ELSEWHERE or (code in _FIRST and _FIRST[code] <= view.version):
            continue
        since = f", which is known from {_FIRST[code]} on" if code in _FIRST else ""
        yield view.name(node), f"its codes are {type_name(code)}{since}"
