"""The element types that TensorRT's parsers know, and since when."""

from __future__ import annotations

from onnx import TensorProto

from edgeeff.backends.tensorrt.lint.versions import OLDEST, Version

#: From onnx-tensorrt's docs/operators.md of 8.5, 9.0, 10.0 and 10.15. DOUBLE is narrowed to FLOAT; UINT8 is
#: for inputs and outputs alone.
FIRST_KNOWN = {
    TensorProto.FLOAT: OLDEST,
    TensorProto.FLOAT16: OLDEST,
    TensorProto.DOUBLE: OLDEST,
    TensorProto.INT8: OLDEST,
    TensorProto.UINT8: OLDEST,
    TensorProto.INT32: OLDEST,
    TensorProto.INT64: OLDEST,
    TensorProto.BOOL: OLDEST,
    TensorProto.BFLOAT16: Version(9, 0),
    TensorProto.FLOAT8E4M3FN: Version(9, 0),
    TensorProto.INT4: Version(10, 0),
    TensorProto.FLOAT4E2M1: Version(10, 8),
}


def type_name(data_type: int) -> str:
    """A type's name as ONNX writes it: "float16", "int8"."""
    try:
        return str(TensorProto.DataType.Name(data_type)).lower()
    except ValueError:
        return f"type {data_type}"
