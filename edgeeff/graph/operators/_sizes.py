"""How large a constant can be that a node makes of constants."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from edgeeff.graph.model import Array


def broadcast(inputs: Sequence[Array]) -> int:
    """Of an operator that works element by element."""
    rank = max(value.ndim for value in inputs)
    return prod(max(sizes) for sizes in zip(*(aligned(value.shape, rank) for value in inputs), strict=True))


def as_read(inputs: Sequence[Array]) -> int:
    """Of one that rearranges what it reads."""
    return sum(value.size for value in inputs)


def aligned(shape: Sequence[int], rank: int) -> list[int]:
    """A shape with axes of one element before it."""
    return [1] * (rank - len(shape)) + list(shape)
