"""Reading and writing graphs, and the constants inside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx.inliner
import onnx_ir as ir

from edgeeff import regular
from edgeeff.errors import GraphError, MissingFileError

Array = npt.NDArray[np.generic]
#: Bytes that protobuf reads at most.
_LARGEST = (2 << 30) - 1
FloatArray = npt.NDArray[np.float32]


def load_graph(path: Path) -> onnx.ModelProto:
    """Read an ONNX file and check it.

    Raises:
        MissingFileError: There is no such file.
        GraphError: The file is truncated, or is not a valid ONNX model.
    """
    if not regular.is_file(path):
        raise MissingFileError(f"no file {path}", mend="pass the path of an ONNX file")
    data = regular.read(path, MissingFileError, _LARGEST, "pass the path of an ONNX file")
    try:
        model = onnx.load_model_from_string(data)
        onnx.checker.check_model(model)
    except Exception as error:  # the protobuf and checker errors share no base class
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise GraphError(f"{path} is not a valid ONNX model: {reason}", mend="export it again") from None
    return model


def to_bytes(model: ir.Model) -> bytes:
    """The graph as ONNX protobuf; the same graph gives the same bytes."""
    data: bytes = ir.to_proto(model).SerializeToString(deterministic=True)
    return data


def from_bytes(data: bytes) -> ir.Model:
    """The reverse of :func:`to_bytes`."""
    model: ir.Model = ir.from_proto(onnx.load_model_from_string(data))
    return model


def constant(value: ir.Value | None) -> Array | None:
    """The array behind a value that an initializer or a Constant node fixes, else None."""
    tensor = ir.convenience.get_const_tensor(value) if value is not None else None
    return None if tensor is None else np.asarray(tensor.numpy())


def float32(values: Array, what: str) -> Array:
    """Floating-point values as float32.

    Raises:
        GraphError: One is NaN, or infinite where it is not a single value: that may be the bound of a clamp.
    """
    with np.errstate(over="ignore"):
        values = values.astype(np.float32, copy=False)
    if np.isnan(values).any() or (values.size > 1 and np.isinf(values).any()):
        kind = "NaN" if np.isnan(values).any() else "infinite"
        raise GraphError(
            f"{what} holds {kind} values",
            mend="the training diverged, or float16 did not suffice: export another checkpoint",
        )
    return values


def add_constant(graph: ir.Graph, name: str, array: Array) -> ir.Value:
    """Put an initializer into the graph; a constant of that name is replaced."""
    graph.initializers.pop(name, None)
    value = ir.Value(name=name, const_value=ir.tensor(np.array(array, order="C"), name=name))
    value.shape = ir.Shape(array.shape)
    value.dtype = ir.DataType.from_numpy(array.dtype)
    graph.register_initializer(value)
    return value


def ints(node: ir.Node, name: str, default: list[int]) -> list[int]:
    """An attribute that is a list of integers."""
    attribute = node.attributes.get(name)
    return default if attribute is None else list(attribute.as_ints())


def node_label(node: onnx.NodeProto) -> str:
    """How messages call a node."""
    name = node.name or next(iter(node.output), "")
    return f"{node.op_type} {name!r}" if name else f"a {node.op_type} without a name"


def remove(node: ir.Node, replacement: ir.Value) -> None:
    """Take a node with one output out of its graph; its consumers read ``replacement`` instead.

    An output of the graph keeps its name.
    """
    output = node.outputs[0]
    name = output.name if output.is_graph_output() else None
    ir.convenience.replace_all_uses_with(output, replacement, replace_graph_outputs=True)
    assert node.graph is not None
    node.graph.remove(node, safe=True)
    if name is not None:
        replacement.name = name


def drop_unused_constants(model: ir.Model) -> None:
    """Forget initializers that nothing reads."""
    for name, value in list(model.graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del model.graph.initializers[name]


def expand_functions(model: ir.Model) -> onnx.ModelProto:
    """The graph in standard operators alone: Swish as Sigmoid and Mul. The argument is left as it is."""
    return onnx.inliner.inline_local_functions(ir.to_proto(model))
