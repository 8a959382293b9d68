"""Give every layer the name a reader of the network would use, and each tensor its layer's name.

Exporters write ``/blocks/blocks.3/project/Conv`` or nothing at all. Plans, reports and messages name layers,
and statistics are keyed by tensor names, so the names are made short, unique and stable here, once.
"""

from __future__ import annotations

from itertools import chain, count

import onnx_ir as ir

REQUIRES = frozenset({"batch normalisation is folded", "padding is folded", "Swish is whole"})
ENSURES = frozenset({"layers are named"})


def rewrite(model: ir.Model) -> bool:
    """Rename nodes, their outputs and their constants; the graph's own inputs and outputs stay."""
    taken = {value.name for value in [*model.graph.inputs, *model.graph.outputs]}
    changed = False
    for node in model.graph:
        wish = _readable(node)
        name = next(n for n in chain([wish], (f"{wish}.{i}" for i in count(1))) if n not in taken)
        taken.add(name)
        changed |= node.name != name
        node.name = name
        for value in node.outputs:
            if not value.is_graph_output():
                value.name = name
        for role, operand in zip(("weight", "bias"), node.inputs[1:3], strict=False):
            if operand is None or node.op_type not in ("Conv", "Gemm"):
                continue
            if operand.is_initializer() and len(operand.uses()) == 1:
                operand.name = f"{name}.{role}"
    return changed


def _readable(node: ir.Node) -> str:
    """``/blocks/blocks.3/project/Conv`` → ``blocks.3.project``; other operators keep theirs as a suffix."""
    parts = [part for part in (node.name or "").split("/") if part]
    if len(parts) < 2:
        return node.op_type.lower()
    *scopes, operator = parts
    kept = [
        s for i, s in enumerate(scopes) if not (i + 1 < len(scopes) and scopes[i + 1].startswith(f"{s}."))
    ]
    operator = operator.partition("_")[0].lower()
    name = ".".join(kept)
    return name if node.op_type in ("Conv", "Gemm") else f"{name}.{node.op_type.lower() or operator}"
