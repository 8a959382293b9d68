"""What a network says of one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Named:
    """A class or label, and its probability, 0…1."""

    index: int
    label: str
    probability: float

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"index": self.index, "label": self.label, "probability": round(self.probability, 6)}


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image.

    Args:
        outputs: The artifact's outputs, by name and without the batch: float32 [classes], [C, H, W].
        named: The likeliest classes, best first; of a multilabel network the labels that are there; of
            features none.
        likeliest: The likeliest classes, whether they are there or not, best first.
        absent: What the image is called where no label is there; else empty.
    """

    outputs: Mapping[str, Array]
    named: tuple[Named, ...] = ()
    likeliest: tuple[Named, ...] = ()
    absent: str = ""

    def __eq__(self, other: object) -> bool:
        """Whether both say the same, number by number."""
        if not isinstance(other, Prediction):
            return NotImplemented
        said = (self.named, self.likeliest, self.absent, self.outputs.keys())
        return said == (other.named, other.likeliest, other.absent, other.outputs.keys()) and all(
            np.array_equal(values, other.outputs[name]) for name, values in self.outputs.items()
        )

    @property
    def label(self) -> str:
        """The likeliest class or label that is there; else what its absence is called."""
        return self.named[0].label if self.named else self.absent

    @property
    def probability(self) -> float:
        """Of the likeliest class or label, whether it is there or not; NaN of features."""
        return self.likeliest[0].probability if self.likeliest else float("nan")

    def __str__(self) -> str:
        return self.line()

    def line(self, top: int | None = None) -> str:
        """For a person: ``cat 97.3%``; where no label is there, the likeliest with its probability behind.

        Args:
            top: Names at most; None: all that there are.
        """
        if self.named:
            return ", ".join(f"{found.label} {found.probability:.1%}" for found in self.named[:top])
        if self.likeliest:
            return f"{self.absent} ({self.likeliest[0].label} {self.probability:.1%})"
        return ", ".join(f"{name} {list(values.shape)}" for name, values in self.outputs.items())


@dataclass(frozen=True)
class Naming:
    """How what a network says is called.

    Args:
        labels: Of its classes; none of features.
        absent: What an image is called that has none of the labels.
        top: Classes or labels to name at most; None: the task's own number.
    """

    labels: tuple[str, ...] = ()
    absent: str = ""
    top: int | None = None

    def of(self, classes: Sequence[int], probabilities: Array) -> tuple[Named, ...]:
        """Classes with their names and probabilities."""
        return tuple(Named(i, self.labels[i], float(probabilities[i])) for i in classes)


def best(probabilities: Array, count: int) -> list[int]:
    """The classes of the largest probabilities [classes], best first, of equal ones the lower class.

    What ``np.argsort(-probabilities, kind="stable")[:count]`` gives, without sorting all.
    """
    falling = -probabilities
    if not 0 < count < len(falling) or np.isnan(falling).any():
        return [int(i) for i in np.argsort(falling, kind="stable")[: max(count, 0)]]
    last = np.partition(falling, count - 1)[count - 1]
    among = np.flatnonzero(falling <= last)
    return [int(i) for i in among[np.argsort(falling[among], kind="stable")[:count]]]
