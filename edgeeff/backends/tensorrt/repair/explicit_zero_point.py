"""A zero point that is left out → 0 of the type that ONNX means by that, written down.

TensorRT 8.x takes no node without one, and the later parsers read INT8 where ONNX means UINT8.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgeeff.backends.tensorrt.repair._draft import CARRIERS, DEQUANTIZE, QUANTIZE, Draft, attribute, plural

AFTER = frozenset({"constant_nodes", "contrib_domain"})

_INTEGERS = (
    *(TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16),
    *(TensorProto.UINT16, TensorProto.INT32),
)

#: Nodes that may stand between a Q node and its DQ.
_FURTHEST = 16


def rewrite(draft: Draft) -> str | None:
    """Of QuantizeLinear that is uint8, or what ``output_dtype`` says; of DequantizeLinear, the codes' own."""
    producers = draft.producers()
    written: Counter[str] = Counter()
    for node in draft.nodes(QUANTIZE, DEQUANTIZE):
        if len(node.input) < 2 or (len(node.input) > 2 and node.input[2]):
            continue
        scale = draft.array(node.input[1])
        kind = _kind(draft, node, producers)
        if scale is None or kind not in _INTEGERS:
            continue
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        name = draft.add(f"{node.output[0]}.zero_point", np.zeros(scale.shape, dtype))
        del node.input[2:]
        node.input.append(name)
        written[str(dtype)] += 1
    if not written:
        return None
    kinds = ", ".join(f"{count} of {kind}" for kind, count in sorted(written.items()))
    return f"{plural(written.total(), 'zero point')} left out: written as ONNX means them, 0 ({kinds})"


def _kind(draft: Draft, node: onnx.NodeProto | None, producers: Mapping[str, onnx.NodeProto]) -> int:
    """The type of a Q node's codes, or of those that a DQ node reads; 0 if it cannot be told."""
    for _ in range(_FURTHEST):
        if node is None or not node.input:
            return 0
        if node.op_type == QUANTIZE:
            if len(node.input) > 2 and node.input[2] in draft.constants:
                return int(draft.constants[node.input[2]].data_type)
            said = attribute(node, "output_dtype")
            return said if isinstance(said, int) and said else int(TensorProto.UINT8)
        if node.op_type != DEQUANTIZE and node.op_type not in CARRIERS:
            return 0
        if node.input[0] in draft.constants:
            return int(draft.constants[node.input[0]].data_type)
        node = producers.get(node.input[0])
        if node is not None and node.op_type == DEQUANTIZE:
            return 0
    return 0
