"""The operator HardSwish → HardSigmoid and Mul, its definition, which parsers before 8.6 know."""

from __future__ import annotations

from collections.abc import Callable

from onnx import GraphProto, helper

from edgeeff.backends.tensorrt.repair._draft import Draft, plural

AFTER = frozenset({"float32_types"})


def rewrite(draft: Draft) -> str | None:
    """Each of them."""
    count = in_steps(draft.graph, draft.fresh)
    return f"{plural(count, 'HardSwish operator')} written as HardSigmoid and Mul" if count else None


def in_steps(graph: GraphProto, fresh: Callable[[str], str] = str) -> int:
    """Write each HardSwish as x · max(0, min(1, x / 6 + 1/2)); returns how many there were."""
    found = [node for node in graph.node if node.op_type == "HardSwish" and node.domain in ("", "ai.onnx")]
    for node in found:
        source, result = node.input[0], node.output[0]
        gate = fresh(f"{result}.hard_sigmoid")
        sigmoid = helper.make_node(
            "HardSigmoid", [source], [gate], f"{node.name or result}.hard_sigmoid", alpha=1 / 6, beta=0.5
        )
        place = list(graph.node).index(node)
        node.CopyFrom(helper.make_node("Mul", [source, gate], [result], node.name))
        graph.node.insert(place, sigmoid)
    return len(found)
