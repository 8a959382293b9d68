"""What depends on constants alone is computed here: shapes, and weights that an exporter left unfolded.

Each node is evaluated by onnx's own reference implementation. A small file could ask for enormous constants
(ConstantOfShape, Expand, Range), so what comes of a node is bounded before it is evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from edgeeff.errors import GraphError
from edgeeff.graph import operators
from edgeeff.graph.importing import tensors
from edgeeff.graph.model import Array, float32, node_label

_MOST_GROWTH = 2**24  # elements that operators may make out of fewer, all together

_FLOATS = (onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16)


class Folder:
    """Computes the nodes of one file that depend on constants alone."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._growth = 0
        self._table = operators.discover()

    def folds(self, node: onnx.NodeProto) -> bool:
        """Whether a node of constants alone is computed here."""
        operator = self._table.get(node.op_type)
        return operator is not None and operator.most is not None

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
            float32(value, f"what {node_label(node)} computes") if value.dtype.kind == "f" else value
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
        most = self._table[node.op_type].most
        assert most is not None
        try:
            elements = most(present)
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
