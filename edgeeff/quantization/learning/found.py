"""A plan's numbers as arrays, to be kept and read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edgeeff.quantization.learning.learnable import Found
from edgeeff.quantization.learning.states import Array
from edgeeff.quantization.plan import LayerQuantization, Plan


def to_arrays(found: Found) -> dict[str, Array]:
    """Scales of all tensors, and codes, scales and biases of all layers, in their order."""
    activations, layers = found
    arrays: dict[str, Array] = {"activations": np.array([a.scale for a in activations.values()], np.float64)}
    for number, layer in enumerate(layers.values()):
        for name in ("codes", "scale", "bias"):
            arrays[f"layer{number}.{name}"] = getattr(layer, name)
    return arrays


def of_arrays(plan: Plan, arrays: Mapping[str, Array]) -> Found:
    """The reverse of :func:`to_arrays`, for the plan that learning began with."""
    scales = arrays["activations"].tolist()
    return (
        {
            name: replace(old, scale=scale)
            for (name, old), scale in zip(plan.activations.items(), scales, strict=True)
        },
        {
            name: LayerQuantization(
                scale=arrays[f"layer{number}.scale"],
                codes=arrays[f"layer{number}.codes"],
                bias=arrays[f"layer{number}.bias"],
            )
            for number, name in enumerate(plan.layers)
        },
    )
