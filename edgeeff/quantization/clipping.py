"""What lies beyond the codes: how much of a tensor unseen images clip, and how much of its noise that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from edgeeff.graph.execute import Program, outputs_of
from edgeeff.graph.side_by_side import side_by_side
from edgeeff.quantization import sensitivity
from edgeeff.quantization.plan import ActivationQuantization
from edgeeff.quantization.simulate import fake_quantise


@dataclass(frozen=True)
class Clipping:
    """One tensor on some images.

    Args:
        low: The smallest value seen.
        high: The largest.
        outside: Share of the values that lie more than half a step beyond the last code, 0…1.
        noise: Share of the tensor's own noise, as energy, that those values make, 0…1.
    """

    low: float
    high: float
    outside: float
    noise: float


def measure(
    program: Program, activations: Mapping[str, ActivationQuantization], batches: Iterable[Tensor]
) -> dict[str, Clipping]:
    """Run the float graph on images and see what each tensor's codes cannot hold.

    Args:
        program: The float graph.
        activations: What the codes are, by tensor; tensors that are constants are left out.
        batches: The graph's input, float32 [N, 3, H, W].
    """
    sums: dict[str, Tensor] = {}
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}

    def look(images: Tensor) -> dict[str, tuple[Tensor, float, float]]:
        seen: dict[str, tuple[Tensor, float, float]] = {}

        def observe(name: str, value: Tensor) -> None:
            if name not in activations:
                return
            low, high = activations[name].limits
            half = activations[name].scale / 2
            beyond = (value < low - half) | (value > high + half)
            noise = (fake_quantise(value, activations[name]) - value).square()
            found = torch.stack([beyond.sum(), torch.tensor(value.numel()), noise[beyond].sum(), noise.sum()])
            seen[name] = found.double(), float(value.min()), float(value.max())

        outputs_of(program, images, observe)
        return seen

    for seen in side_by_side(look, batches, sensitivity.abreast(program)):
        for name, (found, low, high) in seen.items():
            sums[name] = sums.get(name, torch.zeros(4, dtype=torch.float64)) + found
            lows[name] = min(lows.get(name, float("inf")), low)
            highs[name] = max(highs.get(name, float("-inf")), high)
    return {
        name: Clipping(
            lows[name],
            highs[name],
            float(beyond / total),
            float(clipped / noise) if noise else 0.0,
        )
        for name, (beyond, total, clipped, noise) in sums.items()
    }
