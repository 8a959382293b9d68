"""onnxruntime's own 8-bit QuantizeLinear and DequantizeLinear → the standard ones, which mean the same."""

from __future__ import annotations

from edgeeff.backends.tensorrt.repair._draft import DEQUANTIZE, QUANTIZE, Draft, plural

AFTER = frozenset({"constant_nodes"})

_DOMAIN = "com.microsoft"
_FIRST = 13  # the opset from which on the standard ones know channels


def rewrite(draft: Draft) -> str | None:
    """Where the zero point says that they are of 8 bits."""
    if draft.opset < _FIRST:
        return None
    count = 0
    for node in draft.graph.node:
        if node.domain == _DOMAIN and node.op_type in (QUANTIZE, DEQUANTIZE) and len(node.input) > 2:
            zero = draft.array(node.input[2])
            if zero is not None and zero.dtype.kind in "iu" and zero.dtype.itemsize in (1, 4):
                node.domain = ""
                count += 1
    if not count:
        return None
    return f"{plural(count, 'Q or DQ node')} of {_DOMAIN} became the standard ones, which mean the same"
