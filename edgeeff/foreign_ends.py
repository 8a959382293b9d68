"""The two ends of a graph that was quantised elsewhere: what it does to its input and to its logits."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from edgeeff.errors import GraphError
from edgeeff.preprocess import Preprocess

#: What changes no value but by rounding it.
_SAME = frozenset({"QuantizeLinear", "DequantizeLinear", "Flatten", "Reshape"})
_PROBABILITIES: Mapping[str, str] = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
_LOGITS = "emit the graph up to its logits, its softmax or its sigmoid"


def made(graph: onnx.ModelProto, origin: str) -> str:
    """What the graph makes of its logits at the end, ``softmax`` or ``sigmoid``; empty for nothing.

    Raises:
        GraphError: Its output is neither logits nor probabilities: a softmax along another axis than the
            classes, or something that is computed of probabilities.
    """
    makers = {name: node for node in graph.graph.node for name in node.output}
    end = _behind(makers, graph.graph.output[0].name)
    for node in graph.graph.node:
        if node.op_type == "Softmax" and node is not end:
            raise GraphError(f"{origin}: its output is computed of {_called(node)}", mend=_LOGITS)
    if end is None:
        return ""
    if end.op_type == "Softmax" and _axis(graph, end) not in (1, -1):
        raise GraphError(
            f"{origin}: {_called(end)} works along axis {_axis(graph, end)}, not the classes", mend=_LOGITS
        )
    before = end
    while before is not None and before.op_type in ("Add", "Mul", "Sub"):
        varying = [name for name in before.input if _behind(makers, name) is not None]
        before = _behind(makers, varying[0]) if len(varying) == 1 else None
    if before is not end and before is not None and before.op_type in ("Sigmoid", "Clip"):
        raise GraphError(f"{origin}: its output is computed of {_called(before)}", mend=_LOGITS)
    return _PROBABILITIES.get(end.op_type, "")


def warnings(graph: onnx.ModelProto, preprocess: Preprocess, *, logits: bool = True) -> list[str]:
    """What may well be wrong at either end: pixels normalised twice, logits that are cut off at zero."""
    nodes = graph.graph.node
    makers = {name: node for node in nodes for name in node.output}
    found: list[str] = []
    given = {value.name for value in graph.graph.input} - {t.name for t in graph.graph.initializer}
    own = next((n for n in nodes if n.op_type not in (*_SAME, "Conv") and _reads(makers, n, given)), None)
    as_it_is = not any(preprocess.mean) and {*preprocess.std} <= {1.0, 255.0}
    if own is not None and not as_it_is:
        found.append(
            f"the graph changes its input itself ({_called(own)}), and images are normalised with the given "
            "mean and std before: if that is twice, pass --mean 0 and --std 255 (or 1, for pixels of 0…255)"
        )
    end = _behind(makers, graph.graph.output[0].name)
    if logits and end is not None and end.op_type in ("Relu", "Clip"):
        found.append(f"the graph ends in {_called(end)}, and what it gives is taken for the logits")
    return found


def _reads(makers: Mapping[str, onnx.NodeProto], node: onnx.NodeProto, given: set[str]) -> bool:
    """Whether a node reads the image, quantised or not."""
    for read in node.input:
        name = read
        while (maker := makers.get(name)) is not None and maker.op_type in _SAME:
            name = maker.input[0]
        if name in given:
            return True
    return False


def _behind(makers: Mapping[str, onnx.NodeProto], name: str) -> onnx.NodeProto | None:
    """What makes a tensor, behind what only rounds it."""
    node = makers.get(name)
    for _ in range(len(makers)):
        if node is None or node.op_type not in _SAME:
            break
        node = makers.get(node.input[0])
    return node


def _axis(graph: onnx.ModelProto, softmax: onnx.NodeProto) -> int:
    """The axis of a softmax, as it says or by its opset's default."""
    opset = next((e.version for e in graph.opset_import if e.domain in ("", "ai.onnx")), 13)
    return next((int(a.i) for a in softmax.attribute if a.name == "axis"), 1 if opset < 13 else -1)


def _called(node: onnx.NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]!r}"
