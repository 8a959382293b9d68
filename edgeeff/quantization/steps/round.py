"""Codes of all weights: to nearest, or by what the layer reads (gptq.py)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

import onnx_ir as ir
from pydantic import PositiveInt
from torch import Tensor

from edgeeff.graph.execute import prepare
from edgeeff.graph.side_by_side import side_by_side
from edgeeff.quantization import gptq, hessian, rounding
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
        for group in hessian.turns(draft.model, nodes):
            draft.progress.stage("rounding weights", min(images, draft.evidence.images or images))
            sums = hessian.collect(
                program, group, sources, grids, draft.images(images), draft.progress.advance
            )
            found.update(side_by_side(partial(_gptq, draft, sums), group))
    else:
        for node in draft.layer_nodes():
            weight, bias = layer_constants(node)
            scale = _scale(draft, weight, bias, _source(draft, node))
            codes = rounding.nearest(weight, scale, draft.largest)
            found[str(node.name)] = LayerQuantization(scale, codes, bias)
    return replace(draft, layers=found, notes=(*draft.notes, f"weights: {method}"))


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
