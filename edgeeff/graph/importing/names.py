"""Names for the layers, out of what exporters leave of them.

torch (legacy)   node ``/blocks/blocks.3/project/Conv``                 → blocks.3.project
torch (dynamo)   weights ``blocks.3.project.weight``                    → blocks.3.project
tf2onnx          node ``StatefulPartitionedCall/net/block1a_se/Conv2D`` → block1a_se
no names at all                                                         → conv1, conv2 … classifier

A node is named ``/layer/Operator``, which :mod:`edgeeff.graph.passes.name_layers` makes ``layer`` or
``layer.operator``. What is no layer bears the name of the layer before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import takewhile

import onnx_ir as ir

from edgeeff.graph.writer import Hint

_LAYERS = frozenset({"Conv", "Gemm"})
_LONGEST = 80
#: How the names of weights end, after the layer's own.
_WEIGHT = re.compile(
    r"[./_](?:weight|weights|kernel|depthwise_kernel|w|weight_bias)(?:[/:_.](?:Read\w*|value|\d+))*$",
    re.IGNORECASE,
)
#: Names that a counter made: ``onnx::Conv_832``, ``val_12``, ``Conv_7``, ``node_conv2d_3``, ``123``.
_COUNTED = re.compile(
    r"^(?:.*::.*|(?:node_|val_)?(?:conv(?:\dd)?|gemm|matmul|linear|addmm|const|tensor|val|node|[tnw])?[_.]?\d*)$",
    re.IGNORECASE,
)
_CALLS = re.compile(
    r"^(?:StatefulPartitionedCall|PartitionedCall|main_graph|functional(?:_\d+)?)(?:_\d+|:\d+)?$"
)


def assign(graph: ir.Graph, hints: Mapping[ir.Node, Hint]) -> None:
    """Name every node after its layer."""
    layers = [node for node in graph if node.op_type in _LAYERS]
    scopes = _scopes([hints[node] for node in layers])
    names: dict[ir.Node, str] = {}
    for index, (node, scope) in enumerate(zip(layers, scopes, strict=True)):
        spare = "classifier" if node is layers[-1] and node.op_type == "Gemm" else f"conv{index + 1}"
        names[node] = scope or spare
    if len(set(names.values())) < len(names) / 2:  # a scope that most layers share tells them not apart
        names = {node: f"conv{index + 1}" for index, node in enumerate(layers)}
    for node in graph:
        names.setdefault(node, _layer_before(node, names))
        own = hints[node].node if node in hints else ""
        keep = own.startswith("/") and len([part for part in own.split("/") if part]) > 1
        scope = "" if node.op_type == "Flatten" else f"/{names[node]}"  # there is one
        node.name = own if keep else f"{scope}/{node.op_type}"


def _layer_before(node: ir.Node, names: Mapping[ir.Node, str]) -> str:
    """The name of the layer that a node's first input comes from."""
    for value in node.inputs:
        producer = value.producer() if value is not None else None
        if producer is not None:
            return names[producer]
    return "images"


def _scopes(hints: list[Hint]) -> list[str]:
    """For each layer what its node's or weights' name says of it, without what all of them begin with."""
    found = [_scope(hint) for hint in hints]
    told = [parts for parts in found if parts]
    shared = 0
    if len(told) > 1:
        shared = len(list(takewhile(lambda level: len(set(level)) == 1, zip(*told, strict=False))))
        shared = min(shared, min(map(len, told)) - 1)
    names = (".".join(parts[shared:] if parts else []) for parts in found)
    return [re.sub(r"[^\w.-]+", "_", name).strip("._")[-_LONGEST:] for name in names]


def _scope(hint: Hint) -> list[str]:
    """The layer's name in parts, outermost first; empty if the file does not tell."""
    parts = [part for part in hint.node.split("/") if part]
    if len(parts) > 1:
        named = [part for part in parts[:-1] if not _CALLS.match(part)]
        if named:
            return named
    stem = _WEIGHT.sub("", hint.weight)
    if stem and stem != hint.weight and not _COUNTED.match(stem):
        return [part for part in re.split(r"[/]", stem) if part and not _CALLS.match(part)]
    if len(parts) == 1 and not _COUNTED.match(parts[0]):
        return parts
    return []
