"""Class by class: precision, recall and F1, and which classes are taken for which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeeff.harness.outcomes import Outcomes


@dataclass(frozen=True)
class ClassScores:
    """One class.

    Args:
        number: Its place among the network's outputs.
        label: Its name.
        images: Images that are of it.
        decided: Images that are said to be of it.
        right: Images that are both.
    """

    number: int
    label: str
    images: int
    decided: int
    right: int

    @property
    def precision(self) -> float | None:
        """Of the images that are said to be of it those that are; None of none."""
        return self.right / self.decided if self.decided else None

    @property
    def recall(self) -> float | None:
        """Of its images those that are said to be of it; None of none."""
        return self.right / self.images if self.images else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both; 0 where no image is right."""
        both = self.images + self.decided
        return 2 * self.right / both if both else None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**vars(self), "precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True)
class Confusion:
    """So many images of one class that are decided to be of another, or of the same."""

    truth: int
    decided: int
    images: int


def per_class(outcomes: Outcomes) -> list[ClassScores]:
    """The scores of each class that some labelled image has or is said to have, in the order of the classes.

    Where labels do not exclude each other, of each label, over the images all of whose labels are known.
    """
    known = outcomes.known
    truth, decided = outcomes.truth[known], outcomes.decided[known]
    size = len(outcomes.labels)
    if outcomes.exclusive:
        size = max(size, int(truth.max(initial=-1)) + 1, int(decided.max(initial=-1)) + 1)
        there, said = (np.bincount(values[values >= 0], minlength=size) for values in (truth, decided))
        right = np.bincount(truth[truth == decided], minlength=size)
    else:
        bits = np.arange(size)
        has, gets = (truth[:, None] >> bits & 1) > 0, (decided[:, None] >> bits & 1) > 0
        gets &= (decided >= 0)[:, None]  # −1, where nothing was decided, has all bits
        there, said, right = has.sum(0), gets.sum(0), (has & gets).sum(0)
    return [
        ClassScores(i, _label(outcomes, i), int(there[i]), int(said[i]), int(right[i]))
        for i in range(size)
        if there[i] or said[i]
    ]


def confusions(outcomes: Outcomes) -> list[Confusion]:
    """The confusion matrix, as those of its cells that are not 0, in the order of truth and decision.

    Images whose truth is not known are left out; a decision of −1 is none at all. None where labels do not
    exclude each other.
    """
    if not outcomes.exclusive:
        return []
    known = outcomes.known
    pairs = np.stack([outcomes.truth[known], outcomes.decided[known]], axis=1)
    cells, counts = np.unique(pairs, axis=0, return_counts=True)
    return [Confusion(int(a), int(b), int(n)) for (a, b), n in zip(cells, counts, strict=True)]


def worst(found: list[Confusion], most: int) -> list[Confusion]:
    """The most frequent confusions of one class with another, the first ones of equal number first."""
    wrong = [one for one in found if one.truth != one.decided]
    return sorted(wrong, key=lambda one: -one.images)[:most]


def _label(outcomes: Outcomes, number: int) -> str:
    return outcomes.labels[number] if number < len(outcomes.labels) else str(number)
