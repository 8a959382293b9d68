"""What a file must be before anything in it is believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import chain

import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.model import node_label

#: Between them the operators of an EfficientNet differ in form, not in meaning. Before, Clip and Pad had
#: their constants as attributes; opset 24 gave Swish an operator of its own.
OPSETS = range(11, 24)
MOST_NODES = 100_000  # B7, batch normalisation in four steps and a Cast after each, has 8,000

DEFAULT_DOMAINS = ("", "ai.onnx")
_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")
_CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")


def opset(model: onnx.ModelProto) -> int:
    """The version of the standard operators that a model is written in.

    Raises:
        GraphError: The model is empty or damaged, or of a version that cannot be read.
    """
    if not model.graph.node:
        raise GraphError("the model has no nodes: it is truncated, or no ONNX file", mend="export it again")
    _refuse_broken_text(model)
    versions = [entry.version for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS]
    if not versions:
        raise GraphError("the model names no version of the standard operators", mend="export it again")
    version = int(versions[0])
    if version not in OPSETS:
        raise GraphError(
            f"it is written in opset {version}",
            mend=f"export it again with an opset of {OPSETS.start}…{OPSETS.stop - 1}, best 17",
        )
    if model.graph.sparse_initializer:
        raise GraphError("it holds sparse weights", mend="export the network with dense weights")
    return version


def _refuse_broken_text(model: onnx.ModelProto) -> None:
    """Protobuf gives bytes where a name is no UTF-8: no other check has to expect them."""
    graph = model.graph
    texts = [entry.domain for entry in model.opset_import]
    texts += [value.name for value in (*graph.input, *graph.output, *graph.initializer)]
    for node in chain(graph.node, *(function.node for function in model.functions)):
        texts += [node.name, node.op_type, node.domain, *node.input, *node.output]
        for attribute in node.attribute:
            texts += [attribute.name, attribute.t.name]
    for function in model.functions:
        texts += [function.name, function.domain, *function.input, *function.output, *function.attribute]
    if broken := [text for text in texts if not isinstance(text, str)]:
        raise GraphError(
            f"a name in it is no text: {broken[0]!r}", mend="the file is damaged: export it again"
        )


def needed(model: onnx.ModelProto, *outputs: str) -> list[onnx.NodeProto]:
    """The nodes that ``outputs`` are computed from, each after those that it reads.

    Raises:
        GraphError: A name is made twice or never, nodes read each other in a circle, or one is quantised,
            chooses what to compute, or is of a foreign domain.
    """
    graph = model.graph
    if len(graph.node) > MOST_NODES:
        raise GraphError(f"it has {len(graph.node)} nodes", mend="this is no EfficientNet")
    makers = _makers(graph)
    given = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    reads: dict[int, list[int]] = {}
    waiting = [_maker(output, makers, f"the output {output!r}") for output in outputs]
    while waiting:
        index = waiting.pop()
        if index in reads:
            continue
        node = graph.node[index]
        _check(node)
        inner = [name for name in node.input if name and name not in given]
        reads[index] = [_maker(name, makers, f"{name!r}, which {node_label(node)} reads,") for name in inner]
        waiting += reads[index]
    return [graph.node[index] for index in _sorted(reads, graph.node)]


def _makers(graph: onnx.GraphProto) -> dict[str, int]:
    """The index of the node that makes each name."""
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    initializers = [tensor.name for tensor in graph.initializer]
    # Before IR version 4 each initializer was an input as well.
    inputs = [value.name for value in graph.input if value.name not in set(initializers)]
    made = [name for node in graph.node for name in node.output if name]
    name, times = Counter([*inputs, *initializers, *made]).most_common(1)[0]
    if times > 1:
        raise GraphError(f"{name!r} is made {times} times", mend="the file is damaged: export it again")
    return makers


def _maker(name: str, makers: dict[str, int], what: str) -> int:
    if name not in makers:
        raise GraphError(f"{what} is made by no node", mend="the file is damaged: export it again")
    return makers[name]


def _sorted(reads: dict[int, list[int]], nodes: Sequence[onnx.NodeProto]) -> list[int]:
    sorter = TopologicalSorter({index: reads[index] for index in sorted(reads)})
    try:
        return list(sorter.static_order())
    except CycleError as error:
        circle = " → ".join(node_label(nodes[index]) for index in error.args[1][:4])
        raise GraphError(
            f"nodes read each other in a circle: {circle}", mend="the file is damaged: export it again"
        ) from None


def _check(node: onnx.NodeProto) -> None:
    if node.domain not in DEFAULT_DOMAINS:
        raise GraphError(
            f"operator {node.domain}.{node.op_type} of {node_label(node)} is not a standard one",
            mend="export the network without optimisations for one runtime, in standard operators",
        )
    if node.op_type in _QUANTISED or node.op_type.startswith("QLinear"):
        raise GraphError(
            f"it is quantised already ({node_label(node)})",
            mend="pass the float network; for a Q/DQ graph there is `edgeeff emit`",
        )
    if node.op_type in _CONTROL_FLOW or any(a.HasField("g") or a.graphs for a in node.attribute):
        raise GraphError(
            f"{node_label(node)} chooses at run time what to compute",
            mend="export with a fixed input size, or simplify the file with onnxsim",
        )
