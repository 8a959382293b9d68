"""Max, Min, Mean or Sum of one operand → that operand.

So a bundle's FP16-typed graph keeps onnxruntime off a bias (:mod:`edgeeff.backends.tensorrt.wide_bias`).
"""

from __future__ import annotations

from edgeeff.backends.tensorrt.repair._draft import Draft, plural

AFTER: frozenset[str] = frozenset()


def rewrite(draft: Draft) -> str | None:
    """All but one that makes the graph's output."""
    gone = [
        node
        for node in draft.nodes("Max", "Min", "Mean", "Sum")
        if len(node.input) == 1 and node.output[0] not in draft.outputs
    ]
    same: dict[str, str] = {}
    for node in gone:
        same[node.output[0]] = same.get(node.input[0], node.input[0])
    draft.redirect(same)
    draft.remove(gone)
    what = plural(len(gone), "operator")
    return f"{what} of one operand left out: the operand is the result" if gone else None
