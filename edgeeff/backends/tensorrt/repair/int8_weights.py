"""Weights in uint8 or with another zero point than 0 → int8 around 0, where that holds the same numbers.

What DequantizeLinear makes of a code depends on code − zero point alone. Where all those differences of a
tensor lie in −128…127 they are its int8 codes; around uint8's 128 they always do.
"""

from __future__ import annotations

import numpy as np
import onnx

from edgeeff.backends.tensorrt.repair._draft import DEQUANTIZE, Array, Draft, Left, named, plural

AFTER = frozenset({"float_weights"})

_INT8 = np.iinfo(np.int8)
_KINDS = frozenset({"int8", "int16", "uint8", "uint16"})  # int32 is a bias's


def rewrite(draft: Draft) -> str | None:
    """Each DequantizeLinear of constant codes gets codes and a zero point of its own."""
    moved = 0
    for node in draft.nodes(DEQUANTIZE):
        centred = _centred(draft, node)
        if centred is None or centred.min(initial=0) < _INT8.min or centred.max(initial=0) > _INT8.max:
            continue
        zero = draft.array(node.input[2])
        assert zero is not None
        node.input[0] = draft.add(f"{node.input[0]}.int8", centred.astype(np.int8))
        node.input[2] = draft.add(f"{node.input[2]}.int8", np.zeros(zero.shape, np.int8))
        moved += 1
    if not moved:
        return None
    return f"{plural(moved, 'constant')} of other codes became int8 around 0: the weights are the same"


def left(draft: Draft) -> Left | None:
    """Weights with differences that eight bits do not hold."""
    found = [node for node in draft.nodes(DEQUANTIZE) if _centred(draft, node) is not None]
    if not found:
        return None
    zero = draft.array(found[0].input[2])
    assert zero is not None
    return Left(
        f"{plural(len(found), 'weight tensor')} (first: {named(found[0])!r}, {zero.dtype}) have codes "
        "further from their zero point than int8 reaches: TensorRT takes int8 weights around 0 only",
        "quantise the weights again as symmetric int8 (onnxruntime: weight_type=QuantType.QInt8)",
    )


def _centred(draft: Draft, node: onnx.NodeProto) -> Array | None:
    """Code − zero point, int32, of constant codes that are not int8 around 0 yet."""
    codes, parameters = draft.array(node.input[0]), draft.parameters(node)
    if (
        codes is None
        or parameters is None
        or str(codes.dtype) not in _KINDS
        or codes.dtype != parameters.zero.dtype
    ):
        return None
    if codes.dtype == np.int8 and not parameters.zero.any():
        return None
    zero = parameters.along(codes, parameters.zero)
    if zero is None:
        return None
    centred: Array = codes.astype(np.int32) - zero.astype(np.int32)
    return centred
