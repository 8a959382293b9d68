"""Take a normalisation of the pixels out of the graph, to where the images are prepared.

    pixels ─ Mul(1/255) ─ Sub(μ) ─ Div(σ) ─ stem      ⇒      input ─ stem,   mean 255·μ, std 255·σ

Only where it stands in front of everything: zeros that are put around the pixels before would be other values
after it, and the translation has refused that already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph.importing.affine import next_affine
from edgeeff.graph.model import remove

Channels = tuple[float, float, float]

# A network that takes pixels of 0…255 divides by 50 or more; one that takes 0…1 by about 0.25.
_MOST_OF_UNIT_RANGE = 2.0


@dataclass(frozen=True)
class Normalisation:
    """(p − mean) / std on pixels p of 0…255; the file itself takes p / divisor."""

    mean: Channels
    std: Channels
    divisor: float


def take_out(graph: ir.Graph, *, pixels: bool) -> Normalisation | None:
    """Remove the normalisation at the input, if there is one.

    Args:
        graph: Changed in place.
        pixels: Whether the input is known to be 0…255; else the size of the numbers tells.

    Raises:
        GraphError: It turns colours around, or makes them all the same.
    """
    source = graph.inputs[0]
    scale, shift = np.ones(3), np.zeros(3)
    found = False
    while (step := next_affine(source)) is not None:
        node, a, b = step
        scale, shift, found = scale * a, shift * a + b, True
        remove(node, source)
    if not found:
        return None
    if not (scale > 0).all():
        raise GraphError(
            f"its input is multiplied by {scale.tolist()}",
            mend="export the network without its preprocessing, and say --mean and --std",
        )
    mean, std = -shift / scale, 1 / scale
    unit = (
        not pixels
        and float(std.max()) <= _MOST_OF_UNIT_RANGE
        and float(abs(mean).max()) <= _MOST_OF_UNIT_RANGE
    )
    divisor = 255.0 if unit else 1.0
    return Normalisation(_channels(mean * divisor), _channels(std * divisor), divisor)


def _channels(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Channels:
    """As written in decimal: 1/255 is no float32, and what comes back of it is not quite 255."""
    red, green, blue = (float(f"{value:.7g}") + 0.0 for value in values)  # 0.0 turns −0 into 0
    return red, green, blue
