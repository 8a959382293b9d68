"""Fold zero padding into the convolution that reads it.

    x ─ Pad(0) ─ Conv(pads p) ─ y      ⇒      x ─ Conv(pads p + q) ─ y

TensorFlow's SAME padding at stride 2 is asymmetric, so torch writes it as an operator of its own; every
runtime takes it as an attribute of the convolution.
"""

from __future__ import annotations

import onnx_ir as ir

from edgeeff.graph.model import constant, drop_unused_constants, ints, remove

REQUIRES = frozenset({"constants are initializers"})
ENSURES = frozenset({"padding is folded"})


def rewrite(model: ir.Model) -> bool:
    """Fold each spatial zero Pad that only convolutions read."""
    changed = False
    for pad in [n for n in model.graph if n.op_type == "Pad"]:
        amounts = _spatial_zero_padding(pad)
        uses = pad.outputs[0].uses()
        if amounts is None or not uses or any(r.op_type != "Conv" or index != 0 for r, index in uses):
            continue
        readers = [reader for reader, _ in uses]
        if any("auto_pad" in r.attributes for r in readers) or pad.outputs[0].is_graph_output():
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


def _spatial_zero_padding(pad: ir.Node) -> list[int] | None:
    """The padding as [top, left, bottom, right], if it is constant zeros on height and width alone."""
    amounts = constant(pad.inputs[1]) if len(pad.inputs) > 1 else None
    value = constant(pad.inputs[2]) if len(pad.inputs) > 2 and pad.inputs[2] is not None else None
    if (
        amounts is None
        or amounts.shape != (8,)
        or pad.attributes.get_string("mode", "constant") != "constant"
    ):
        return None
    if len(pad.inputs) > 3 and pad.inputs[3] is not None:
        return None
    a = [int(v) for v in amounts]
    if (value is not None and float(value) != 0.0) or any((a[0], a[1], a[4], a[5])) or min(a) < 0:
        return None
    return [a[2], a[3], a[6], a[7]]
