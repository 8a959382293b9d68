"""FP16 scales, or a whole graph typed FP16 → float32, which every TensorRT from 8.5 to 10 takes.

FP16 scales are legal from opset 19 on, and 8.x takes none. The strongly typed FP16 graph of a bundle is made
from the FP32-typed one, so this is where a foreign FP16 graph enters too.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from edgeeff.backends.tensorrt.repair._draft import DEQUANTIZE, QUANTIZE, Draft, attribute, inferred, plural

AFTER = frozenset({"constant_nodes", "contrib_domain", "single_operands"})

_HALF, _SINGLE = TensorProto.FLOAT16, TensorProto.FLOAT


def rewrite(draft: Draft) -> str | None:
    """Each constant keeps its value; Cast to FP16 becomes Cast to float32, or nothing."""
    halves = [name for name, tensor in draft.constants.items() if tensor.data_type == _HALF]
    edges = [v for v in (*draft.graph.input, *draft.graph.output) if v.type.tensor_type.elem_type == _HALF]
    casts = [
        n
        for n in draft.nodes("Cast", DEQUANTIZE)
        if _HALF in (attribute(n, "to"), attribute(n, "output_dtype"))
    ]
    if not (halves or edges or casts):
        return None
    scales = {node.input[1] for node in draft.nodes(QUANTIZE, DEQUANTIZE) if len(node.input) > 1}
    for name in halves:
        values = draft.array(name)
        assert values is not None
        draft.set(name, values.astype(np.float32))
    for value in edges:
        value.type.tensor_type.elem_type = _SINGLE
    for node in casts:
        for held in node.attribute:
            if held.name in ("to", "output_dtype") and held.i == _HALF:
                held.i = _SINGLE
    _drop_empty_casts(draft)
    if scales.issuperset(halves) and not edges and not casts:
        return f"{plural(len(halves), 'FP16 scale')} are float32 now, the same numbers"
    return (
        "the graph is typed float32 instead of FP16: scales and other constants keep their values, and what "
        "is computed between them is no longer rounded to 11 bits (2⁻¹¹ of each value, 0.05 %)"
    )


def _drop_empty_casts(draft: Draft) -> None:
    """Those from float32 to float32."""
    del draft.graph.value_info[:]
    graph = inferred(draft.model).graph
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info, *graph.output)}
    kinds |= {tensor.name: tensor.data_type for tensor in draft.constants.values()}
    casts = [
        node
        for node in draft.nodes("Cast")
        if attribute(node, "to") == _SINGLE and kinds.get(node.input[0]) == _SINGLE
    ]
    inner = [node for node in casts if node.output[0] not in draft.outputs]
    same: dict[str, str] = {}
    for node in inner:
        same[node.output[0]] = same.get(node.input[0], node.input[0])
    draft.redirect(same)
    draft.remove(inner)
    makers, readers = draft.producers(), draft.readers()
    for node in [node for node in casts if node.output[0] in draft.outputs]:
        source, result = node.input[0], node.output[0]
        if source in makers and len(readers[source]) == 1 and source not in draft.outputs:
            # The graph's output keeps its name: what made the Cast's input makes it instead.
            node.output[0] = draft.fresh(f"{result}.cast")
            draft.remove([node])
            maker = makers[source]
            maker.output[list(maker.output).index(source)] = result
