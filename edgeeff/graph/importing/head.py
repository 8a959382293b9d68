"""The end of the network: logits, from one Flatten and Gemm.

GlobalAveragePool ─ Conv 1×1 ─ … ─ Softmax      ⇒      GlobalAveragePool ─ Flatten ─ Gemm ─ …
"""

from __future__ import annotations

import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph.importing.writer import OUTPUT
from edgeeff.graph.model import add_constant, constant, remove

_ON_VECTORS = frozenset({"Conv", "Relu", "Clip", "Sigmoid", "Mul", "Add"})


def cut_softmax(graph: ir.Graph) -> bool:
    """Let the graph end in logits; whether it ended in probabilities.

    Raises:
        GraphError: There is a softmax elsewhere.
    """
    last = graph.outputs[0].producer()
    cut = last is not None and last.op_type == "Softmax"
    if cut:
        assert last is not None and last.inputs[0] is not None
        remove(last, last.inputs[0])
    graph.outputs[0].name = OUTPUT
    if inner := next((node for node in graph if node.op_type == "Softmax"), None):
        raise GraphError(
            f"there is a softmax inside of the network ({inner.name!r})", mend="this is no EfficientNet"
        )
    return cut


def flatten(graph: ir.Graph) -> int:
    """From the last pooling on, let vectors be [1, C] and their convolutions be Gemms; the number of classes.

    Raises:
        GraphError: There is no dense layer at the end.
    """
    tail = _tail(graph)
    if not any(node.op_type == "Conv" for node in tail):
        raise GraphError(
            "its output is not that of a dense layer", mend="export a classifier with its last layer"
        )
    flat: dict[ir.Value, ir.Value] = {}
    for node in tail:
        for index, value in enumerate(node.inputs):
            array = constant(value)
            if value is None or (array is None and value.producer() in tail):
                continue
            if array is None:
                if value not in flat:
                    flat[value] = _flattened(graph, value, node)
                node.replace_input_with(index, flat[value])
            elif array.ndim == 4:
                channels, inputs = array.shape[:2]
                shape = (channels, inputs) if node.op_type == "Conv" else (1, inputs)
                vector = add_constant(graph, f"{value.name}.flat", array.reshape(shape))
                node.replace_input_with(index, vector)
        if node.op_type == "Conv":
            node.op_type = "Gemm"
            node.attributes.clear()
            for name in ("alpha", "beta"):
                node.attributes[name] = ir.AttrFloat32(name, 1.0)
            node.attributes["transB"] = ir.AttrInt64("transB", 1)
        shape_now = node.outputs[0].shape
        assert shape_now is not None
        node.outputs[0].shape = ir.Shape(list(shape_now)[:2])
    last = constant(next(node for node in reversed(tail) if node.op_type == "Gemm").inputs[1])
    assert last is not None
    return len(last)


def _tail(graph: ir.Graph) -> list[ir.Node]:
    """The nodes at the end that work on vectors alone, in order."""
    found: set[ir.Node] = set()
    waiting = [graph.outputs[0]]
    while waiting:
        node = waiting.pop().producer()
        if node is None or node in found or node.op_type not in _ON_VECTORS:
            continue
        if all(_is_vector(value) for value in (*node.inputs[:1], *node.outputs)) and _is_dense(node):
            found.add(node)
            waiting += [value for value in node.inputs if value is not None]
    return [node for node in graph if node in found]


def _is_vector(value: ir.Value | None) -> bool:
    return value is not None and value.shape is not None and list(value.shape)[2:] == [1, 1]


def _is_dense(node: ir.Node) -> bool:
    if node.op_type != "Conv":
        return True
    kernel, group = node.attributes["kernel_shape"].as_ints(), node.attributes.get_int("group", 1)
    return list(kernel) == [1, 1] and group == 1 and not any(node.attributes["pads"].as_ints())


def _flattened(graph: ir.Graph, value: ir.Value, reader: ir.Node) -> ir.Value:
    node = ir.node("Flatten", [value], attributes={"axis": 1})
    node.name = f"{value.name}.flatten"
    output = node.outputs[0]
    output.name, output.type = f"{value.name}.flattened", value.type
    assert value.shape is not None
    output.shape = ir.Shape(list(value.shape)[:2])
    graph.insert_before(reader, node)
    return output
