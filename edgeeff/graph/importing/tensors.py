"""The constants that a file holds, as arrays: every floating-point type becomes float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import prod

import numpy as np
import onnx
from onnx import numpy_helper

from edgeeff.errors import GraphError
from edgeeff.graph.model import Array, float32

_FLOATS = frozenset(
    {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16}
)
_INTEGERS = frozenset(
    {
        *(onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.INT16, onnx.TensorProto.INT8),
        *(onnx.TensorProto.UINT8, onnx.TensorProto.UINT16, onnx.TensorProto.UINT32, onnx.TensorProto.UINT64),
        onnx.TensorProto.BOOL,
    }
)
#: Where a tensor that is not in ``raw_data`` has its values (onnx.proto3, TensorProto).
_FIELDS = {
    onnx.TensorProto.FLOAT: "float_data",
    onnx.TensorProto.DOUBLE: "double_data",
    onnx.TensorProto.INT64: "int64_data",
    onnx.TensorProto.UINT32: "uint64_data",
    onnx.TensorProto.UINT64: "uint64_data",
}


def constants(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> dict[str, Array]:
    """The initializers that ``nodes`` read, by name.

    Raises:
        GraphError: One is not what its dimensions say, of a type that has no place here, or holds NaN or
            infinite values.
    """
    read = set(chain.from_iterable(node.input for node in nodes))
    return {tensor.name: array(tensor) for tensor in model.graph.initializer if tensor.name in read}


def array(tensor: onnx.TensorProto) -> Array:
    """A tensor's values: float32, or integers or booleans as they are.

    Raises:
        GraphError: As :func:`constants`. Sizes are compared before anything is allocated.
    """
    kind = tensor.data_type
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise GraphError(
            f"{label(tensor)} lies in a side file",
            mend="pass the file's path, so that the other can be found",
        )
    if kind not in _FLOATS | _INTEGERS:
        raise GraphError(
            f"{label(tensor)} is of type {_type_name(kind)}", mend="export the network with float32 weights"
        )
    needed = byte_size(tensor)
    there = _bytes_there(tensor)
    if there != needed:
        raise GraphError(
            f"{label(tensor)} has dimensions {list(tensor.dims)}, so {needed} bytes, and holds {there}",
            mend="the file is damaged: export it again",
        )
    values = np.asarray(numpy_helper.to_array(tensor))
    return float32(values, label(tensor)) if kind in _FLOATS else values


def byte_size(tensor: onnx.TensorProto) -> int:
    """The bytes of a tensor by its type and dimensions.

    Raises:
        GraphError: A dimension is negative.
    """
    if any(size < 0 for size in tensor.dims):
        raise GraphError(
            f"{label(tensor)} has dimensions {list(tensor.dims)}", mend="the file is damaged: export it again"
        )
    if tensor.data_type not in _FLOATS | _INTEGERS:
        return 0
    return int(prod(tensor.dims)) * _item_size(tensor)


def label(tensor: onnx.TensorProto) -> str:
    """How messages call a tensor."""
    return f"tensor {tensor.name!r}" if tensor.name else "a constant without a name"


def every_tensor(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """All tensors of a model, also those in the attributes of nodes and in local functions."""
    yield from model.graph.initializer
    for node in chain(model.graph.node, *(function.node for function in model.functions)):
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            yield from attribute.tensors


def _bytes_there(tensor: onnx.TensorProto) -> int:
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data)
    count = len(getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data")))
    return count * _item_size(tensor)


def _item_size(tensor: onnx.TensorProto) -> int:
    return int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _type_name(kind: int) -> str:
    known: Mapping[int, str] = {number: name for name, number in onnx.TensorProto.DataType.items()}
    return known.get(kind, str(kind))
