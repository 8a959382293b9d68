"""Where the random numbers of dropout and stochastic depth come from.

A network that several threads run at once draws for each of them from a generator of its own, so that what is
drawn does not hang on which thread is faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_GENERATOR: ContextVar[torch.Generator | None] = ContextVar("generator", default=None)


@contextmanager
def drawn_from(generator: torch.Generator | None) -> Iterator[None]:
    """In this thread, draw from a generator of the CPU; None: from torch's own."""
    token = _GENERATOR.set(generator)
    try:
        yield
    finally:
        _GENERATOR.reset(token)


def happens(probability: float, shape: Sequence[int], like: Tensor) -> Tensor:
    """1 with a probability, else 0, each drawn by itself: of some shape, type and device as ``like``'s.

    Numbers are drawn on the CPU, so that they are the same on every device.
    """
    drawn = torch.rand(tuple(shape), generator=_GENERATOR.get())
    return (drawn < probability).to(like)
