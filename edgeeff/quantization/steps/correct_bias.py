"""Take out of each bias what rounding the weights added to the mean (bias.py)."""

from __future__ import annotations

from dataclasses import replace

from edgeeff.quantization import bias
from edgeeff.quantization.draft import Draft, groups_of, layer_constants, read_by


def apply(draft: Draft) -> Draft:
    """Correct every layer's bias for its own weights, from the statistics alone.

    Raises:
        OptionError: The weights have no codes yet.
    """
    draft.need("correct_bias", weights=True)
    layers = dict(draft.layers)
    for node in draft.layer_nodes():
        layer = layers[str(node.name)]
        weight, offset = layer_constants(node)
        mean = draft.evidence.statistics[read_by(node)].mean
        corrected = bias.correct(weight, layer.codes, layer.scale, offset, mean, groups_of(node))
        layers[str(node.name)] = replace(layer, bias=corrected)
    return replace(draft, layers=layers, notes=(*draft.notes, "biases corrected"))
