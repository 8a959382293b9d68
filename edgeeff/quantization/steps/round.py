"""Codes of all weights: to nearest, or by what the layer reads (gptq.py).

Layers that have one set of codes (sharing.py) get the first one's, ``gptq`` by what all of them read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
import onnx_ir as ir
import torch
from pydantic import PositiveInt
from torch import Tensor

from edgeeff.graph.execute import prepare
from edgeeff.graph.side_by_side import side_by_side
from edgeeff.quantization import gptq, hessian, rounding, sharing
from edgeeff.quantization.draft import Draft, groups_of, layer_constants, read_by, source_of
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
    found: dict[str, LayerQuantization] = {}
    if method == "gptq":
        nodes = {str(node.name): node for node in draft.layer_nodes()}
        sources = {name: read_by(node) for name, node in nodes.items()}
        grids = {read_by(node): draft.activations[_source(draft, node)] for node in nodes.values()}
        program = prepare(draft.model)
        together = sharing.groups(nodes.values())
        for group in hessian.turns(draft.model, nodes):
            draft.progress.stage("rounding weights", min(images, draft.evidence.images or images))
            sums = hessian.collect(
                program, group, sources, grids, draft.images(images), draft.progress.advance
            )
            _add_up(together, sums)
            found.update(side_by_side(partial(_gptq, draft, sums), group))
    else:
        for node in draft.layer_nodes():
            weight, bias = layer_constants(node)
            scale = _scale(draft, weight, bias, _source(draft, node))
            codes = rounding.nearest(weight, scale, draft.largest)
            found[str(node.name)] = LayerQuantization(scale, codes, bias)
    for levels in sharing.groups(draft.layer_nodes()):
        _share(levels, found)
    return replace(draft, layers=found, notes=(*draft.notes, f"weights: {method}"))


def _add_up(groups: Sequence[tuple[ir.Node, ...]], sums: dict[str, Tensor]) -> None:
    """Let the layers of a group be rounded by what all of them read."""
    for group in groups:
        names = [str(node.name) for node in group if str(node.name) in sums]
        if len(names) > 1:
            total = torch.stack([sums[name] for name in names]).sum(0)
            sums.update(dict.fromkeys(names, total))


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


def _gptq(draft: Draft, sums: dict[str, Tensor], node: ir.Node) -> tuple[str, LayerQuantization]:
    name = str(node.name)
    weight, bias = layer_constants(node)
    scale = _scale(draft, weight, bias, _source(draft, node))
    by = gptq.round_depthwise if groups_of(node) > 1 else gptq.round_dense
    return name, LayerQuantization(scale, by(weight, scale, sums.pop(name), draft.largest), bias)


def _source(draft: Draft, node: ir.Node) -> str:
    return source_of(node, draft.placement.sites)


def _scale(draft: Draft, weight: rounding.Float, bias: rounding.Float, source: str) -> rounding.Float:
    return rounding.weight_scale(weight, bias, draft.activations[source].scale, draft.largest)
