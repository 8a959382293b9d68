"""How near an artifact's outputs are to a reference's, output by output."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.metrics import Noise, Proportion

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Fidelity:
    """Sums alone, so that those of batches, or of the shards of an image set, add up.

    Args:
        images: How many were compared.
        noise: Of each output, by name.
        centred: The same without what changes no decision: each image's mean score, where an image has
            exactly one class. Empty where the task has no such thing.
        agreeing: Decisions that are the same, as the task means it.
        decisions: All of them; 0 where the task decides nothing.
        cosine: Of each embedding the sum over the images of its cosine to the reference's.
        together: Whether the decisions of an image depend on one another, as its pixels do.
    """

    images: int = 0
    noise: Mapping[str, Noise] = field(default_factory=dict)
    centred: Mapping[str, Noise] = field(default_factory=dict)
    agreeing: int = 0
    decisions: int = 0
    cosine: Mapping[str, float] = field(default_factory=dict)
    together: bool = False

    def __add__(self, other: Fidelity) -> Fidelity:
        return Fidelity(
            self.images + other.images,
            _added(self.noise, other.noise),
            _added(self.centred, other.centred),
            self.agreeing + other.agreeing,
            self.decisions + other.decisions,
            {
                name: self.cosine.get(name, 0.0) + other.cosine.get(name, 0.0)
                for name in {**self.cosine, **other.cosine}
            },
            self.together or other.together,
        )

    @property
    def agreement(self) -> Proportion | None:
        """Decisions that are the same; None where the task decides nothing."""
        if self.images and not self.decisions:
            return None
        return Proportion(self.agreeing, self.decisions, self.images if self.together else None)

    @property
    def outputs(self) -> dict[str, float]:
        """The SQNR of each output, dB."""
        return {name: noise.sqnr for name, noise in self.noise.items()}

    @property
    def cosines(self) -> dict[str, float]:
        """The mean cosine of each embedding to the reference's, −1…1."""
        return {name: total / max(self.images, 1) for name, total in self.cosine.items()}

    @property
    def sqnr(self) -> float:
        """Of the worst output, dB; NaN of nothing, or where one holds a NaN."""
        return lowest(self.outputs.values())

    @property
    def sqnr_centred(self) -> float:
        """The same without what changes no decision, dB."""
        return lowest(noise.sqnr for noise in (self.centred or self.noise).values())


def compared(
    reference: Mapping[str, Array],
    test: Mapping[str, Array],
    *,
    same: npt.NDArray[np.bool_] | None = None,
    centred: bool = False,
) -> Fidelity:
    """One batch of outputs against the reference's.

    Args:
        reference: By name, [N, …] each.
        test: By the same names, and of the same shapes.
        same: For each decision, whether both decide the same; None: the task decides nothing.
        centred: Whether an image's mean score changes no decision.

    Raises:
        ValueError: Names or shapes differ.
    """
    if set(reference) != set(test):
        raise ValueError(f"outputs {', '.join(test)}, the reference has {', '.join(reference)}")
    images = len(next(iter(reference.values()))) if reference else 0
    plain = {name: Noise.of(value, test[name]) for name, value in reference.items()}
    means = {name: Noise.of(v, test[name], per_image_mean=True) for name, v in reference.items() if centred}
    decided = (0, 0) if same is None else (int(same.sum()), same.size)
    return Fidelity(images, plain, means, *decided)


def lowest(values: Iterable[float]) -> float:
    """The lowest of some SQNRs, dB; NaN where one is, or where there are none."""
    found = list(values)
    return math.nan if not found or any(map(math.isnan, found)) else min(found)


def _added(one: Mapping[str, Noise], other: Mapping[str, Noise]) -> dict[str, Noise]:
    return {name: one.get(name, Noise()) + other.get(name, Noise()) for name in {**one, **other}}
