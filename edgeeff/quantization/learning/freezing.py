"""Weights that oscillate between two codes, damped and then frozen (Nagel et al. 2022, algorithm 1).

With straight-through gradients a weight whose best value lies between two codes goes to and fro over the
border. How often is a running mean for each weight; one that turns too often is frozen at the code that it
was at most of the time, and the others learn around it. What may be borne falls as the rates do.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from edgeeff.quantization.learning.states import Array

#: Momentum of the running means, and the share of steps in which a weight may turn, first and last.
MOMENTUM, FIRST, LAST = 0.01, 0.04, 0.011


class Freezing:
    """What is known of each weight's turns.

    Args:
        codes: The latent codes, by layer.
        largest: The largest code.
    """

    def __init__(self, codes: Mapping[str, Tensor], largest: int) -> None:
        self._codes, self._largest = codes, largest
        self._at = {name: self._rounded(value) for name, value in codes.items()}
        self._way = {name: torch.zeros_like(value, dtype=torch.int8) for name, value in self._at.items()}
        self._turns = {name: torch.zeros_like(value, dtype=torch.float32) for name, value in codes.items()}
        self._mean = {name: value.float() for name, value in self._at.items()}
        self._frozen = {name: torch.zeros_like(value, dtype=torch.bool) for name, value in self._at.items()}

    @torch.no_grad()
    def watch(self, progress: float) -> None:
        """After a step: count turns, freeze what turned too often, and put back what is frozen.

        Args:
            progress: How much of the fall of the rates is behind, 0…1.
        """
        most = LAST + (FIRST - LAST) * 0.5 * (1 + float(np.cos(np.pi * progress)))
        for name, latent in self._codes.items():
            frozen, mean, turns = self._frozen[name], self._mean[name], self._turns[name]
            now = self._rounded(latent)
            moved = now - self._at[name]
            way = torch.sign(moved)
            turned = (way * self._way[name]) < 0
            self._way[name] = torch.where(way != 0, way, self._way[name])
            self._at[name] = now
            turns.mul_(1 - MOMENTUM).add_(turned, alpha=MOMENTUM)
            mean.mul_(1 - MOMENTUM).add_(now, alpha=MOMENTUM)
            late = (turns > most) & ~frozen
            if bool(late.any()):
                frozen |= late
                mean.copy_(torch.where(late, mean.round(), mean))
            if bool(frozen.any()):
                latent.copy_(torch.where(frozen, mean.round(), latent))
                self._at[name] = torch.where(frozen, mean.round().to(torch.int8), now)

    @property
    def share(self) -> float:
        """Of all weights, those that are frozen."""
        count = sum(value.numel() for value in self._frozen.values())
        return sum(int(value.sum()) for value in self._frozen.values()) / max(count, 1)

    def state(self) -> dict[str, Array]:
        """All that :meth:`watch` depends on."""
        parts = zip(
            self._at.values(), self._way.values(), self._turns.values(), self._mean.values(),
            self._frozen.values(), strict=True,
        )  # fmt: skip
        names = ("at", "way", "turns", "mean", "frozen")
        return {
            f"{number}.{name}": value.cpu().numpy()
            for number, values in enumerate(parts)
            for name, value in zip(names, values, strict=True)
        }

    def restore(self, state: Mapping[str, Array]) -> None:
        """The reverse of :meth:`state`."""
        named = {
            "at": self._at, "way": self._way, "turns": self._turns, "mean": self._mean, "frozen": self._frozen
        }  # fmt: skip
        for number, layer in enumerate(self._at):
            for name, values in named.items():
                values[layer] = torch.from_numpy(state[f"{number}.{name}"].copy()).to(values[layer].device)

    def _rounded(self, latent: Tensor) -> Tensor:
        return latent.detach().round().clamp(-self._largest, self._largest).to(torch.int8)
