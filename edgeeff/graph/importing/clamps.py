"""Run clamps that follow each other together.

    x ─ Relu ─ Min(6) ─ y      ⇒      x ─ Clip(0, 6) ─ y

tf2onnx writes ReLU6 so, and others with Max, or with a Clip that has one bound.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeeff.graph.model import add_constant, constant, remove

_UNBOUNDED = float(np.finfo(np.float32).max)


def merge(graph: ir.Graph) -> None:
    """Leave one Clip or Relu of each chain of them."""
    for node in list(graph):
        if node.op_type not in ("Relu", "Clip"):
            continue
        low, high = _bounds(node)
        before = node.inputs[0].producer() if node.inputs[0] is not None else None
        if before is not None and before.op_type in ("Relu", "Clip") and _is_private(node.inputs[0]):
            # clip(clip(x, a, b), c, d), where ONNX's Clip lets the upper bound win.
            low, high = (min(max(bound, low), high) for bound in _bounds(before))
            source = before.inputs[0]
            assert source is not None and node.inputs[0] is not None
            remove(before, source)
        _rewrite(graph, node, low, high)


def _bounds(node: ir.Node) -> tuple[float, float]:
    if node.op_type == "Relu":
        return 0.0, _UNBOUNDED
    low, high = constant(node.inputs[1]), constant(node.inputs[2])
    assert low is not None and high is not None
    return float(low), float(high)


def _is_private(value: ir.Value | None) -> bool:
    return value is not None and len(value.uses()) == 1 and not value.is_graph_output()


def _rewrite(graph: ir.Graph, node: ir.Node, low: float, high: float) -> None:
    """Give a clamp these bounds: those of a Relu make it one, and no others."""
    relu = low == 0.0 and high == _UNBOUNDED
    node.op_type = "Relu" if relu else "Clip"
    node.resize_inputs(1 if relu else 3)
    if not relu:
        for index, bound in ((1, low), (2, high)):
            name = f"bound.{bound!r}"
            value = graph.initializers.get(name) or add_constant(graph, name, np.asarray(bound, np.float32))
            node.replace_input_with(index, value)
