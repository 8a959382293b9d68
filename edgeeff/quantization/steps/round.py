"""Codes of all weights: to nearest, or by what the layer reads (gptq.py).

Layers that have one set of codes (sharing.py) get the first one's, ``gptq`` by what all of them read
(gptq_layers.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import onnx_ir as ir
from pydantic import PositiveInt

from edgeeff.quantization import rounding, sharing
from edgeeff.quantization.draft import Draft, layer_constants, read_by, source_of
from edgeeff.quantization.gptq import Codes
from edgeeff.quantization.gptq_layers import Layer, Rounding
from edgeeff.quantization.plan import LayerQuantization


def apply(draft: Draft, *, method: Literal["nearest", "gptq"] = "nearest", images: PositiveInt = 64) -> Draft:
    """Round every layer; biases are as they were.

    Args:
        draft: With its ranges chosen.
        method: ``nearest`` or ``gptq``.
        images: How many ``gptq`` looks at.

    Raises:
        CalibrationError: ``gptq`` has no images.
        OptionError: No ranges are chosen yet.
    """
    draft.need("round", ranges=True)
    layers = [_layer(draft, node) for node in draft.layer_nodes()]
    if method == "gptq":
        codes = _gptq(draft, layers, images)
    else:
        codes = {one.name: rounding.nearest(one.weight, one.scale, draft.largest) for one in layers}
    found = {
        one.name: LayerQuantization(one.scale, codes[one.name], layer_constants(one.node)[1])
        for one in layers
    }
    for levels in sharing.groups(draft.layer_nodes()):
        _share(levels, found)
    return replace(draft, layers=found, notes=(*draft.notes, f"weights: {method}"))


def _layer(draft: Draft, node: ir.Node) -> Layer:
    weight, bias = layer_constants(node)
    source = draft.activations[source_of(node, draft.placement.sites)]
    scale = rounding.weight_scale(weight, bias, source.scale, draft.largest)
    return Layer(node, read_by(node), weight, scale)


def _gptq(draft: Draft, layers: Sequence[Layer], images: int) -> dict[str, Codes]:
    """By what each layer reads, at the scales of the weights alone, which are those of every target.

    A channel whose bias needs another scale has hardly any weights: to nearest serves it.
    """
    total = min(images, draft.evidence.images or images)
    by = Rounding(
        *(draft.model, draft.evidence.statistics, draft.images, images, draft.largest),
        begin=lambda: draft.progress.stage("rounding weights", total),
        advance=draft.progress.advance,
    )
    plain = [replace(one, scale=rounding.peak_scale(one.weight, draft.largest)) for one in layers]
    found = by.codes(plain, draft.evidence.original)
    for own, one in zip(layers, plain, strict=True):
        raised = own.scale != one.scale
        if raised.any():
            nearest = rounding.nearest(own.weight[raised], own.scale[raised], draft.largest)
            found[own.name] = found[own.name].copy()
            found[own.name][raised] = nearest
    return found


def _share(group: tuple[ir.Node, ...], found: dict[str, LayerQuantization]) -> None:
    """Give the layers of a group the first one's codes.

    One whose scale is not by the largest weight, as its bias asks for another, keeps its own.
    """
    first = found[str(group[0].name)]
    ratios = sharing.ratios([layer_constants(node)[0] for node in group])
    for node, ratio in zip(group[1:], ratios[1:], strict=True):
        layer = found[str(node.name)]
        used = first.codes.reshape(len(first.codes), -1).any(axis=1)
        if np.allclose((layer.scale / first.scale)[used], ratio[used], rtol=1e-4):
            found[str(node.name)] = replace(layer, codes=first.codes)
