"""What depends on constants alone is computed here: shapes, and weights that an exporter left unfolded.

Each node is evaluated by onnx's own reference implementation. A small file could ask for enormous constants
(ConstantOfShape, Expand, Range), so what comes of a node is bounded before it is evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from edgeeff.errors import GraphError
from edgeeff.graph.importing import tensors
from edgeeff.graph.importing.checks import node_label
from edgeeff.graph.model import Array

_ELEMENTWISE = frozenset(
    {
        *(
            "Abs",
            "Add",
            "And",
            "Ceil",
            "Clip",
            "Div",
            "Equal",
            "Exp",
            "Floor",
            "Greater",
            "Less",
            "Max",
            "Min",
        ),
        *("Mod", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Round", "Sign", "Sqrt", "Sub", "Where"),
    }
)
_REARRANGING = frozenset(
    {
        *("Concat", "Flatten", "Gather", "Identity", "ReduceProd", "Reshape", "Shape", "Size", "Slice"),
        *("Squeeze", "Transpose", "Unsqueeze"),
    }
)
_GROWING = frozenset({"ConstantOfShape", "Expand", "Range", "Tile"})
#: What can be computed of constants.
OPERATORS = _ELEMENTWISE | _REARRANGING | _GROWING | {"Cast", "CastLike", "Constant"}

_MOST_GROWTH = 2**24  # elements that operators may make out of fewer, all together

_FLOATS = (onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)


class Folder:
    """Computes the nodes of one file that depend on constants alone."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._growth = 0

    def fold(self, node: onnx.NodeProto, inputs: Sequence[Array | None]) -> list[Array]:
        """The outputs of a node.

        Raises:
            GraphError: It cannot be computed, or would be absurdly large.
        """
        if node.op_type == "Constant":
            return [_constant(node)]
        if node.op_type == "Cast" and _target(node) in (*_FLOATS, onnx.TensorProto.FLOAT):
            # Every floating-point type is float32 here.
            return [np.asarray(inputs[0], np.float32)]
        self._bound(node, inputs)
        try:
            outputs = self._evaluate(node, inputs)
        except Exception as error:  # whatever the reference implementation makes of nonsense
            raise GraphError(
                f"{node_label(node)} cannot be computed: {error}", mend="the file is damaged: export it again"
            ) from None
        return [
            tensors.float32(value, f"what {node_label(node)} computes") if value.dtype.kind == "f" else value
            for value in outputs
        ]

    def _evaluate(self, node: onnx.NodeProto, inputs: Sequence[Array | None]) -> list[Array]:
        names = [name for name in node.input if name]
        graph = onnx.helper.make_graph(
            [node],
            "node",
            [onnx.helper.make_empty_tensor_value_info(name) for name in dict.fromkeys(names)],
            [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name],
        )
        given = {name: value for name, value in zip(node.input, inputs, strict=True) if name}
        with np.errstate(all="ignore"):  # NaN and infinity are refused where they are used
            found = ReferenceEvaluator(graph, opsets={"": self._opset}).run(None, given)
        return [np.asarray(value) for value in found]

    def _bound(self, node: onnx.NodeProto, inputs: Sequence[Array | None]) -> None:
        present = [value for value in inputs if value is not None]
        try:
            elements = _elements(node.op_type, present)
        except (ValueError, IndexError, OverflowError, ZeroDivisionError) as error:
            raise GraphError(
                f"{node_label(node)} cannot be computed: {error}", mend="the file is damaged: export it again"
            ) from None
        self._growth += max(elements - sum(value.size for value in present), 0)
        if self._growth > _MOST_GROWTH:
            raise GraphError(
                f"{node_label(node)} would make a constant of {elements} elements",
                mend="this is no EfficientNet, or the file is damaged",
            )


def _elements(operator: str, inputs: list[Array]) -> int:
    """How many elements come of a node, at most."""
    if operator == "ConstantOfShape":
        return prod(int(size) for size in inputs[0].reshape(-1))
    if operator == "Expand":
        wanted = [int(size) for size in inputs[1].reshape(-1)]
        rank = max(len(wanted), inputs[0].ndim)
        pairs = zip(_aligned(wanted, rank), _aligned(list(inputs[0].shape), rank), strict=True)
        return prod(max(a, b) for a, b in pairs)
    if operator == "Tile":
        return inputs[0].size * prod(int(times) for times in inputs[1].reshape(-1))
    if operator == "Range":
        start, limit, delta = (float(value.reshape(-1)[0]) for value in inputs)
        return max(ceil((limit - start) / delta), 0)
    if operator == "Gather":
        return inputs[0].size * inputs[1].size
    if operator in _ELEMENTWISE:
        rank = max(value.ndim for value in inputs)
        return prod(
            max(sizes) for sizes in zip(*(_aligned(list(v.shape), rank) for v in inputs), strict=True)
        )
    return sum(value.size for value in inputs)


def _aligned(shape: list[int], rank: int) -> list[int]:
    return [1] * (rank - len(shape)) + shape


def _target(node: onnx.NodeProto) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "to"), 0)


def _constant(node: onnx.NodeProto) -> Array:
    """The value of a Constant node, in each of the forms that it can be written in."""
    for attribute in node.attribute:
        match attribute.name:
            case "value":
                return tensors.array(attribute.t)
            case "value_float":
                return np.asarray(attribute.f, np.float32)
            case "value_floats":
                return np.asarray(attribute.floats, np.float32)
            case "value_int":
                return np.asarray(attribute.i, np.int64)
            case "value_ints":
                return np.asarray(attribute.ints, np.int64)
    raise GraphError(
        f"{node_label(node)} holds no dense tensor of numbers", mend="export the network with dense weights"
    )
