"""Local functions, put in the place of their calls.

The dynamo exporter writes some operators as functions that the file itself defines. They may call each
other, so a small file can unfold to an enormous one: the nodes are counted before.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import onnx
import onnx.inliner

from edgeeff.errors import GraphError
from edgeeff.graph.importing.checks import MOST_NODES


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without local functions; the argument is left as it is.

    Raises:
        GraphError: Functions call each other in a circle, are too many, or cannot be put in place.
    """
    if not model.functions:
        return model
    bodies = {(f.domain, f.name): list(f.node) for f in model.functions}
    calls = {
        key: {(node.domain, node.op_type) for node in body} & bodies.keys() for key, body in bodies.items()
    }
    mend = "export the network again, without local functions"
    try:
        order = list(TopologicalSorter(calls).static_order())
    except CycleError as error:
        circle = " → ".join(name for _, name in error.args[1])
        raise GraphError(f"local functions call each other in a circle: {circle}", mend=mend) from None
    nodes: dict[tuple[str, str], int] = {}
    for key in order:
        nodes[key] = sum(nodes.get((node.domain, node.op_type), 1) for node in bodies[key])
    total = sum(nodes.get((node.domain, node.op_type), 1) for node in model.graph.node)
    if total > MOST_NODES:
        raise GraphError(f"its local functions unfold to {total} nodes", mend=mend)
    try:
        result: onnx.ModelProto = onnx.inliner.inline_local_functions(model)
    except Exception as error:  # the inliner's errors share no class
        raise GraphError(f"its local functions cannot be unfolded: {error}", mend=mend) from None
    return result
