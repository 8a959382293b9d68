"""Opsets beyond 17 → 17, the last that TensorRT 8.5 and 8.6 read, where no operator changed its meaning.

An operator that is of the same version in both is the same. Of the others those of a hub graph were read in
the specification: between 17 and 24 they got more types, and attributes whose default is what 17 does.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import TensorProto, helper

from edgeeff.backends.tensorrt.repair._draft import Draft, Left, attribute, named

AFTER = frozenset({"explicit_zero_point", "float32_types", "merged_pairs", "whole_swish"})

OPSET, IR_VERSION = 17, 8
_LAST_READ = 24

#: Operators that changed since 17 and mean the same, with the attributes they got and what 17 does.
_ALIKE: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "Cast": {"saturate": (0, 1)},  # of float8 only
    "Constant": {},
    "Conv": {},
    # Output types are what scale and zero point say anyway; the other values are refused below.
    "DequantizeLinear": {"block_size": (0,), "output_dtype": (0, TensorProto.FLOAT)},
    "Flatten": {},
    "GlobalAveragePool": {},
    "HardSigmoid": {},
    "HardSwish": {},
    "Identity": {},
    "QuantizeLinear": {
        "block_size": (0,),
        "output_dtype": (0, TensorProto.INT8, TensorProto.UINT8),
        "precision": (0, TensorProto.FLOAT),
        "saturate": (0, 1),
    },
    "Reshape": {},
    "Squeeze": {},
    "Transpose": {},
    "Unsqueeze": {},
}

#: Types that the same operators take in 17; FP16 is float32 by now. Q/DQ of 16 bits came with 21.
_TYPES = frozenset(
    {
        *(TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32),
        *(TensorProto.INT64, TensorProto.BOOL),
    }
)


def rewrite(draft: Draft) -> str | None:
    """All operators or none."""
    opset = draft.opset
    if opset <= OPSET or _obstacle(draft) is not None:
        return None
    for node in draft.graph.node:
        known = _ALIKE.get(node.op_type, {})
        kept = [a for a in node.attribute if a.name not in known]
        if len(kept) < len(node.attribute):
            kept = [onnx.AttributeProto.FromString(a.SerializeToString()) for a in kept]
            del node.attribute[:]
            node.attribute.extend(kept)
    others = [o for o in draft.model.opset_import if o.domain not in ("", "ai.onnx")]
    del draft.model.opset_import[:]
    draft.model.opset_import.extend([helper.make_opsetid("", OPSET), *others])
    draft.model.ir_version = min(draft.model.ir_version, IR_VERSION)
    return f"opset {opset} became {OPSET}, in which its operators mean the same"


def left(draft: Draft) -> Left | None:
    """The first thing that stands in the way."""
    obstacle = _obstacle(draft) if draft.opset > OPSET else None
    if obstacle is None:
        return None
    return Left(
        f"opset {draft.opset} cannot become {OPSET}, the last that TensorRT 8.5 and 8.6 read: {obstacle}",
        f"export the network again with opset {OPSET}",
    )


def _obstacle(draft: Draft) -> str | None:
    """What is not known to mean the same in opset 17, or not to be there."""
    if draft.opset > _LAST_READ:
        return f"opsets beyond {_LAST_READ} were not compared with it"
    for node in draft.graph.node:
        if node.domain in ("", "ai.onnx") and not _means_the_same(node, draft.opset):
            return f"{node.op_type} ({named(node)!r}) is not known to mean the same there"
    read = {name for node in draft.graph.node for name in node.input}
    types = {name: tensor.data_type for name, tensor in draft.constants.items() if name in read}
    for value in (*draft.graph.input, *draft.graph.output):
        if value.name not in draft.constants:
            types[value.name] = value.type.tensor_type.elem_type
    types |= {node.output[0]: attribute(node, "to") for node in draft.nodes("Cast")}
    for name, kind in types.items():
        if kind not in _TYPES:
            return f"{name!r} is of a type that its operators take later only"
    return None


def _means_the_same(node: onnx.NodeProto, opset: int) -> bool:
    try:
        before = onnx.defs.get_schema(node.op_type, OPSET)
        now = onnx.defs.get_schema(node.op_type, opset)
    except onnx.defs.SchemaError:  # it came later, or never
        return False
    if now.since_version == before.since_version:
        return True
    if node.op_type not in _ALIKE:
        return False
    added = _ALIKE[node.op_type]
    for held in node.attribute:
        if held.name in added:
            if helper.get_attribute_value(held) not in added[held.name]:
                return False
        elif held.name not in before.attributes:
            return False
    return True
