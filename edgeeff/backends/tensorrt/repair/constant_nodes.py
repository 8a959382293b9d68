"""Constants in nodes → initializers: TensorRT looks for scales, zero points and codes there."""

from __future__ import annotations

import numpy as np
import onnx

from edgeeff.backends.tensorrt.repair._draft import Array, Draft, plural

AFTER: frozenset[str] = frozenset()

_KINDS = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}


def rewrite(draft: Draft) -> str | None:
    """Of those that the graph's output is not."""
    moved = []
    for node in draft.nodes("Constant"):
        if node.output[0] in draft.outputs or len(node.attribute) != 1:
            continue
        held = node.attribute[0]
        if held.name == "value" and held.type == onnx.AttributeProto.TENSOR:
            draft.set_tensor(node.output[0], held.t)
        elif held.name in _KINDS:
            draft.set(node.output[0], _array(held))
        else:
            continue
        moved.append(node)
    draft.remove(moved)
    return f"{plural(len(moved), 'Constant node')} became initializers, unchanged" if moved else None


def _array(held: onnx.AttributeProto) -> Array:
    values = onnx.helper.get_attribute_value(held)
    return np.asarray(values, _KINDS[held.name])
