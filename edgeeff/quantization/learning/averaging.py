"""A running mean of all that learns: what is judged while the rates are high.

A state under full rates is noisy, and its mean over the last steps is what it would come to if the rates fell
(Polyak and Juditsky 1992). Its memory grows with the steps taken, up to a hundred of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from edgeeff.quantization.learning.states import Array

#: Share of the mean that stays at each step, at most.
DECAY = 0.99


class Average:
    """A running mean.

    Args:
        tensors: Of what, as they stand.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = list(tensors)
        self._means = [tensor.detach().clone() for tensor in tensors]

    @torch.no_grad()
    def watch(self, step: int) -> None:
        """After a step, counted from 1."""
        decay = min(DECAY, (1 + step) / (10 + step))
        for mean, tensor in zip(self._means, self._tensors, strict=True):
            mean.lerp_(tensor, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The means in place of what they are of, meanwhile."""
        for mean, tensor in zip(self._means, self._tensors, strict=True):
            mean.data, tensor.data = tensor.data, mean.data
        try:
            yield
        finally:
            for mean, tensor in zip(self._means, self._tensors, strict=True):
                mean.data, tensor.data = tensor.data, mean.data

    def state(self) -> dict[str, Array]:
        """The means."""
        return {str(number): mean.cpu().numpy() for number, mean in enumerate(self._means)}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Array]) -> None:
        """The reverse of :meth:`state`."""
        for number, mean in enumerate(self._means):
            mean.copy_(torch.from_numpy(state[str(number)]))
