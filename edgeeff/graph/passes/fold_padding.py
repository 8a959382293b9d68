"""Fold padding into the convolution or max-pool that reads it.

    x ─ Pad(0) ─ Conv(pads p) ─ y           ⇒      x ─ Conv(pads p + q) ─ y
    x ─ Pad(−∞) ─ MaxPool(pads p) ─ y       ⇒      x ─ MaxPool(pads p + q) ─ y

TensorFlow's SAME padding at stride 2 is asymmetric, so torch writes it as an operator of its own; every
runtime takes it as an attribute of the convolution. A max-pool's own padding is of no value, which is less
than any: zeros before one (as in detectors of the zylo117 repository) are values, and stay a Pad.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from edgeeff.graph.model import constant, drop_unused_constants, ints, remove

REQUIRES = frozenset({"constants are initializers"})
ENSURES = frozenset({"padding is folded"})


def rewrite(model: ir.Model) -> bool:
    """Fold each spatial Pad that only convolutions read, or only max-pools, with what these pad with."""
    changed = False
    for pad in [n for n in model.graph if n.op_type == "Pad"]:
        amounts, value = _spatial_padding(pad)
        uses = pad.outputs[0].uses()
        folds = _READERS.get(value)
        if amounts is None or not uses or any(r.op_type != folds or index != 0 for r, index in uses):
            continue
        readers = [reader for reader, _ in uses]
        if any(_has_own_ways(r) for r in readers) or pad.outputs[0].is_graph_output():
            continue
        for reader in readers:
            present = ints(reader, "pads", [0, 0, 0, 0])
            total = [a + b for a, b in zip(present, amounts, strict=True)]
            reader.attributes["pads"] = ir.AttrInt64s("pads", total)
        source = pad.inputs[0]
        assert source is not None
        remove(pad, source)
        changed = True
    drop_unused_constants(model)
    return changed


#: Which operator pads with a value by an attribute of its own.
_READERS = {0.0: "Conv", -math.inf: "MaxPool"}


def _has_own_ways(reader: ir.Node) -> bool:
    """Whether a reader's output would have another size with the padding as its attribute."""
    return "auto_pad" in reader.attributes or bool(reader.attributes.get_int("ceil_mode", 0))


def _spatial_padding(pad: ir.Node) -> tuple[list[int] | None, float]:
    """[top, left, bottom, right] and the value; None if it is not constant, or not of height and width."""
    amounts = constant(pad.inputs[1]) if len(pad.inputs) > 1 else None
    value = constant(pad.inputs[2]) if len(pad.inputs) > 2 and pad.inputs[2] is not None else None
    filling = 0.0 if value is None else float(value)
    if (
        amounts is None
        or amounts.shape != (8,)
        or pad.attributes.get_string("mode", "constant") != "constant"
    ):
        return None, filling
    if len(pad.inputs) > 3 and pad.inputs[3] is not None:
        return None, filling
    a = [int(v) for v in amounts]
    if any((a[0], a[1], a[4], a[5])) or min(a) < 0:
        return None, filling
    return [a[2], a[3], a[6], a[7]], filling
