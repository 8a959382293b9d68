"""The operator Swish of opset 24 → Sigmoid and Mul, its definition, which parsers before 11.0 know."""

from __future__ import annotations

from onnx import helper

from edgeeff.backends.tensorrt.repair._draft import Draft, attribute, plural

AFTER = frozenset({"float32_types"})


def rewrite(draft: Draft) -> str | None:
    """Where its factor is 1."""
    count = 0
    for place in reversed(range(len(draft.graph.node))):
        node = draft.graph.node[place]
        if (
            node.op_type != "Swish"
            or node.domain not in ("", "ai.onnx")
            or attribute(node, "alpha", 1.0) != 1.0
        ):
            continue
        source, result = node.input[0], node.output[0]
        gate = draft.fresh(f"{result}.sigmoid")
        sigmoid = helper.make_node("Sigmoid", [source], [gate], f"{node.name or result}.sigmoid")
        node.CopyFrom(helper.make_node("Mul", [source, gate], [result], node.name))
        draft.graph.node.insert(place, sigmoid)
        count += 1
    return f"{plural(count, 'Swish operator')} written as Sigmoid and Mul, its definition" if count else None
