"""Outputs brought to the length 1 (L2 norm), inside of the graph: one LpNormalization behind each."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from edgeeff.graph.views import CHANNEL


def add(graph: ir.Graph, names: Collection[str]) -> None:
    """Divide these outputs of a graph, vectors [1, C], by their lengths; they keep their names."""
    for place, value in enumerate(graph.outputs):
        if value.name not in names:
            continue
        node = ir.node("LpNormalization", [value], attributes={"axis": CHANNEL, "p": 2})
        node.name = f"/{value.name}/LpNormalization"
        unit = node.outputs[0]
        unit.shape, unit.type = value.shape, value.type
        unit.name, value.name = value.name, f"{value.name}.raw"
        graph.append(node)
        graph.outputs[place] = unit
