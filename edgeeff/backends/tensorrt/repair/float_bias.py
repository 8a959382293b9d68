"""A bias as codes through DequantizeLinear → the float initializer that it makes of them.

onnxruntime and the QOperator converters write biases as INT32; every parser from 8.5 to 11 refuses that.
TensorRT quantises no bias: it adds it in float, or in the accumulator's precision, by its own choice.
"""

from __future__ import annotations

import numpy as np
import onnx

from edgeeff.backends.tensorrt.repair._draft import DEQUANTIZE, Array, Draft, plural

AFTER = frozenset({"float_weights", "int8_weights"})

_BIAS = 2  # which input of Conv and Gemm


def rewrite(draft: Draft) -> str | None:
    """Codes of INT32 wherever they are read, and others where nothing but a bias is made of them."""
    readers = draft.readers()
    folded = []
    for node in draft.nodes(DEQUANTIZE):
        uses = readers.get(node.output[0], [])
        is_bias = bool(uses) and all(n.op_type in ("Conv", "Gemm") and index == _BIAS for n, index in uses)
        codes = draft.array(node.input[0])
        if codes is None or node.output[0] in draft.outputs or not (is_bias or codes.dtype == np.int32):
            continue
        values = _dequantised(draft, node, codes)
        if values is not None:
            draft.set(node.output[0], values)
            folded.append(node)
    draft.remove(folded)
    if not folded:
        return None
    return (
        f"{plural(len(folded), 'bias', 'biases')} behind DequantizeLinear became float: exactly codes × scale"
    )


def _dequantised(draft: Draft, node: onnx.NodeProto, codes: Array) -> Array | None:
    parameters = draft.parameters(node)
    if parameters is None or codes.dtype.kind not in "iu":
        return None
    scale, zero = (parameters.along(codes, p) for p in (parameters.scale, parameters.zero))
    if scale is None or zero is None:
        return None
    # As onnxruntime does it: the integers to float32 first, which rounds those beyond 2²⁴.
    values: Array = (codes.astype(np.int64) - zero.astype(np.int64)).astype(np.float32) * scale
    return values if np.isfinite(values).all() else None
