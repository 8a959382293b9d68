"""Where a tensor's range ends: one file for each estimator, found by its name.

An estimator is ``estimate(sample, low, high, grid) -> (low, high)``: from the values that were seen and the
range that holds them all, the range that the codes should cover.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Curve = Callable[[F64], F64]


@dataclass(frozen=True)
class Sample:
    """The values of a tensor, all channels together.

    Args:
        values: Sorted, [n].
        counts: How often each was seen, [n].
        weights: How much an error of each counts, [n]: the counts times what the logits make of its channel.
        curve: The function after which an error counts; None: the value itself.
        tail: Share of the values that a percentile leaves outside at each end.
        relative: Whether the error of a large value counts in relation to it: of a network that decides each
            pixel, whose logits are as large there as its features are.
    """

    values: F64
    counts: F64
    weights: F64
    curve: Curve | None
    tail: float
    relative: bool = False


@dataclass(frozen=True)
class Grid:
    """The codes of a tensor.

    Args:
        symmetric: Whether the zero point is 0.
        unsigned: Whether a symmetric range has one side.
    """

    symmetric: bool
    unsigned: bool

    def step(self, low: F64, high: F64) -> F64:
        """The scale of some ranges."""
        if not self.symmetric:
            return (high - low) / 255
        return np.maximum(-low, high) / (255 if self.unsigned else 127)


Estimator = Callable[[Sample, float, float, Grid], tuple[float, float]]


def names() -> list[str]:
    """All estimators, sorted."""
    return sorted(module.name for module in iter_modules(__path__))


def get(name: str) -> Estimator:
    """An estimator by its name."""
    module: Any = import_module(f"{__name__}.{name}")
    estimator: Estimator = module.estimate
    return estimator
