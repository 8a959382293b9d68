"""A moving average of what learns, which is judged and kept instead of it (Polyak & Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class Average:
    """The exponential moving average of some tensors.

    Args:
        tensors: What learns, by name. They are read at each :meth:`update`, in their places.
        decay: Of the average, 0…1; 0 has no average. In the first steps it is smaller, (1 + n) ÷ (10 + n), as
            in the authors' training: else the average would be that of the beginning.
    """

    def __init__(self, tensors: Mapping[str, Tensor], decay: float) -> None:
        self._live, self._decay = tensors, decay
        self.values = {name: value.detach().clone() for name, value in tensors.items()} if decay else {}

    @torch.no_grad()
    def update(self, taken: int) -> None:
        """After step number ``taken``, counted from 1."""
        weight = 1 - min(self._decay, (1 + taken) / (10 + taken))
        for name, average in self.values.items():
            live = self._live[name].detach()
            if average.is_floating_point():
                average.lerp_(live, weight)
            else:
                average.copy_(live)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The average stands in the tensors' place within."""
        if not self.values:
            yield
            return
        kept = copied(self._live)
        fill(self._live, self.values)
        try:
            yield
        finally:
            fill(self._live, kept)


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The values of some tensors as they are now."""
    return {name: value.detach().clone() for name, value in tensors.items()}


@torch.no_grad()
def fill(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Write values into tensors, in their places."""
    for name, value in values.items():
        tensors[name].copy_(value)
