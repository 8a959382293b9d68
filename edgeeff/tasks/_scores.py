"""How good outputs are against what is known of the images: the contract of a task's scorer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import numpy.typing as npt

from edgeeff.bootstrap import Loss
from edgeeff.metrics import Proportion

Array = npt.NDArray[Any]
#: What is known of a batch of images, as the task's ``TRUTH`` says; −1 where it is not known. Of boxes an
#: array of objects, one for each image.
Truth = npt.NDArray[Any]


class Scores(Protocol):
    """What a scorer found."""

    @property
    def images(self) -> int:
        """Images of which something is known."""

    @property
    def primary(self) -> float:
        """The task's ``PRIMARY`` metric, 0…1; more is better."""

    def cells(self) -> Mapping[str, float | Proportion | None]:
        """For a table, by the column's heading."""

    def doubts(self, name: str, classes: int) -> Sequence[str]:
        """What makes one doubt the labels, a sentence each; ``name`` is the bundle's."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""


class Drawn(Scores, Protocol):
    """Scores that are no share of images, such as average precision or mean IoU: their interval is that of
    images drawn anew (:mod:`edgeeff.bootstrap`)."""

    @property
    def heading(self) -> str:
        """What the primary metric is called in a table: ``mAP``."""

    @property
    def standard_error(self) -> float:
        """Of the primary metric, percentage points: how much other images would move it."""

    def lost(self, before: Any, draws: int | None = None) -> Loss | None:
        """How much lower the primary metric is than another network's of the same images; None where that
        cannot be said.

        Args:
            before: The other's scores.
            draws: How often images are drawn; None: as usual.
        """


def drawn(scores: Scores | None) -> Drawn | None:
    """The scores, where they are such; else None."""
    return cast(Drawn, scores) if hasattr(scores, "lost") else None


class Scorer(Protocol):
    """It goes on from a state, and adds up the states of the shards of an image set.

    Attributes:
        unlabelled: Whether images of which nothing is known are added too: which of them are alike needs no
            label.
    """

    unlabelled: bool

    def update(self, outputs: Mapping[str, Array], truth: Truth) -> None:
        """Add a batch: outputs [N, …] each, and what is known of these images."""

    def state(self) -> dict[str, Array]:
        """All that was added, as arrays that ``np.savez`` takes."""

    def add(self, state: Mapping[str, Array]) -> None:
        """Add what another one, or an earlier run, had seen."""

    def scores(self) -> Scores | None:
        """Those of all that was added; None where nothing is known of any image."""

    def agreement(self, other: Any) -> Proportion | None:
        """How often another network's scorer of the same images says the same, where only all images together
        tell; None: the task's ``fidelity`` counts it batch by batch."""
