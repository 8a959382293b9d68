"""Q and DQ nodes that do the same to the same tensor → one.

onnxruntime's ``DedicatedQDQPair`` gives each reader a pair of its own, others a DQ each. TensorRT then sees
several tensors where there is one, and requantises a residual branch for itself.

    x ─┬ Q ─ DQ ─ Conv      ⇒      x ─ Q ─ DQ ─┬ Conv
       └ Q ─ DQ ─ Add                          └ Add
"""

from __future__ import annotations

from typing import Any

import onnx

from edgeeff.backends.tensorrt.repair._draft import DEQUANTIZE, QUANTIZE, Draft, plural
from edgeeff.digests import of_bytes

AFTER = frozenset({"float_bias", "float_weights", "int8_activations", "int8_weights"})


def rewrite(draft: Draft) -> str | None:
    """All Q nodes first, because then their DQ nodes read the same codes."""
    digests: dict[str, str] = {}
    merged = 0
    for operator in (QUANTIZE, DEQUANTIZE):
        first: dict[Any, str] = {}
        same: dict[str, str] = {}
        gone = []
        for node in draft.nodes(operator):
            kept = first.setdefault(_key(draft, node, digests), node.output[0])
            if kept != node.output[0] and node.output[0] not in draft.outputs:
                same[node.output[0]] = kept
                gone.append(node)
        draft.redirect(same)
        draft.remove(gone)
        merged += len(gone)
    return f"{plural(merged, 'repeated Q or DQ node')} merged with the first of its kind" if merged else None


def _key(draft: Draft, node: onnx.NodeProto, digests: dict[str, str]) -> Any:
    """What a Q or DQ node computes: its source, the values of its parameters, and its attributes."""
    for name in node.input[1:]:
        if name in draft.constants and name not in digests:
            nameless = onnx.TensorProto()
            nameless.CopyFrom(draft.constants[name])
            nameless.name = ""
            digests[name] = of_bytes(nameless.SerializeToString(deterministic=True))
    attributes = tuple(sorted(a.SerializeToString(deterministic=True) for a in node.attribute))
    return node.input[0], tuple(digests.get(name, name) for name in node.input[1:]), node.domain, attributes
