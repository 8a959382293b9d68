"""The end of the network: logits, from one Flatten and Gemm.

GlobalAveragePool ─ Conv 1×1 ─ …      ⇒      GlobalAveragePool ─ Flatten ─ Gemm ─ …
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph.model import add_constant, constant
from edgeeff.graph.writer import OUTPUT, Hint

_ON_VECTORS = frozenset(
    {
        *(
            "Add",
            "Clip",
            "Concat",
            "Conv",
            "Div",
            "HardSigmoid",
            "HardSwish",
            "LpNormalization",
            "Mul",
            "ReduceL2",
        ),
        *("ReduceMean", "ReduceSum", "Relu", "Sigmoid", "Slice", "Softmax", "Sqrt", "Sub", "Tanh"),
    }
)


def refuse_inner(graph: ir.Graph, hints: Mapping[ir.Node, Hint]) -> tuple[str, ...]:
    """Refuse a graph that does not end in logits.

    What makes probabilities at the end was cut off (:mod:`ending`). What is computed of probabilities, or of
    logits that were clamped, is no logits, and a softmax or sigmoid of it would say something else.

    Returns:
        What is to be warned of: a Relu at the end, which some train with.

    Raises:
        GraphError: There is a softmax inside, or the end is computed of a sigmoid or a clamp.
    """
    graph.outputs[0].name = OUTPUT
    if (inner := _softmax_at_end(graph)) is not None:
        raise GraphError(
            f"its output is computed of a softmax inside of it ({hints[inner].node or inner.name!r})",
            mend="export the network up to its logits",
        )
    node = graph.outputs[0].producer()
    while node is not None and node.op_type in ("Mul", "Add") and constant(node.inputs[1]) is not None:
        source = node.inputs[0]
        node = source.producer() if source is not None else None
    if node is not None and node.op_type in ("Sigmoid", "Clip") and _is_vector(node.outputs[0]):
        raise GraphError(
            f"its output is computed of what a {node.op_type} gives, and is no logits",
            mend="export the network up to its logits; if its labels do not exclude each other, say "
            "--task multilabel",
        )
    if node is not None and node.op_type == "Relu":
        return ("the network ends in a Relu, and what it gives is taken as the logits",)
    return ()


def _softmax_at_end(graph: ir.Graph) -> ir.Node | None:
    """A softmax that the output is computed of without a layer between."""
    waiting, seen = [graph.outputs[0]], set[ir.Value]()
    while waiting:
        value = waiting.pop()
        node = value.producer()
        if node is None or value in seen or node.op_type == "Conv":
            continue
        seen.add(value)
        if node.op_type == "Softmax":
            return node
        waiting += [read for read in node.inputs if read is not None]
    return None


def flatten(graph: ir.Graph) -> int:
    """From the last pooling on, let vectors be [1, C] and their convolutions be Gemms; the number of classes.

    Of features (outputs of other names than ``logits``) there is none; those that are vectors become [1, C].

    Raises:
        GraphError: There is no dense layer at the end of a classifier; or features inside of the network.
    """
    tail, classifier = _tail(graph), [value.name for value in graph.outputs] == [OUTPUT]
    if classifier and not any(node.op_type == "Conv" for node in tail):
        raise GraphError(
            "its output is not that of a dense layer",
            mend="export a classifier with its last layer; or build its features (--task features)",
        )
    for node in tail if not classifier else ():
        if any(reader not in tail for reader in node.outputs[0].consumers()):
            raise GraphError(
                "one of its features is a vector inside of the network, such as a squeeze-and-excite has",
                mend="name others with --taps: maps, or what comes behind the last pooling",
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
    if not classifier:
        for position, value in enumerate(graph.outputs):
            if _is_vector(value):
                graph.outputs[position] = flat[value] if value in flat else _flattened(graph, value, None)
        return 0
    last = constant(next(node for node in reversed(tail) if node.op_type == "Gemm").inputs[1])
    assert last is not None
    return len(last)


def _tail(graph: ir.Graph) -> list[ir.Node]:
    """The nodes at the end that work on vectors alone, in order."""
    found: set[ir.Node] = set()
    waiting = [value for value in graph.outputs if _is_vector(value)]
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


def _flattened(graph: ir.Graph, value: ir.Value, reader: ir.Node | None) -> ir.Value:
    """A vector as [1, C], made before ``reader``; None: at the end."""
    node = ir.node("Flatten", [value], attributes={"axis": 1})
    node.name = f"{value.name}.flatten"
    output = node.outputs[0]
    output.name, output.type = f"{value.name}.flattened", value.type
    assert value.shape is not None
    output.shape = ir.Shape(list(value.shape)[:2])
    if reader is None:
        graph.append(node)
    else:
        graph.insert_before(reader, node)
    return output
