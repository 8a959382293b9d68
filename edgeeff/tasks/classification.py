"""Exactly one class for each image: a softmax over the logits, and the largest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from edgeeff.errors import LabelsError
from edgeeff.metrics import ClassificationAccumulator, MacroScores, Proportion, json_number, softmax
from edgeeff.tasks import (
    Array,
    Fidelity,
    Meaning,
    Naming,
    Output,
    Outputs,
    Prediction,
    Probabilities,
    Said,
    Truth,
    best,
    compared,
    only,
    only_scores,
    told,
)
from edgeeff.tasks._calibration import Calibration, CalibrationSums

NAME = "classification"
SUMMARY = "one class for each image, by softmax"
ACTIVATION = "Softmax"
EXCLUSIVE = True
TRUTH = "class"
PRIMARY = "top_1"
_TOP = 3
#: Probabilities of float32 logits that differ by more than this part of them, and this much, are not equal.
_NEAR = 1e-6
#: Of fewer images nothing is said of chance.
_FEW = 20


@dataclass(frozen=True)
class LabelScores:
    """Against labels.

    Args:
        top_1: Images whose largest logit is their label's.
        top_5: Images whose label is among the five largest; None for a network of five classes or fewer.
        macro: Precision, recall and F1 averaged over the classes that occur.
        calibration: Whether it is as often right as it is sure.
    """

    top_1: Proportion
    top_5: Proportion | None
    macro: MacroScores
    calibration: Calibration | None = None

    @property
    def images(self) -> int:
        """Images with a label."""
        return self.top_1.total

    @property
    def primary(self) -> float:
        """Top-1."""
        return self.top_1.value

    def cells(self) -> dict[str, float | Proportion | None]:
        """For a table."""
        return {"top-1": self.top_1, "top-5": self.top_5, "F1": self.macro.f1}

    def doubts(self, name: str, classes: int) -> list[str]:
        """Whether a network would seem to have learned nothing; of few images one may say nothing."""
        if self.images < _FEW or not classes or self.top_1.value > max(1 / classes, 0.02):
            return []
        return [
            f"{name}: top-1 is no better than chance ({self.top_1.value:.1%} with {classes} classes): are "
            "these the network's classes, numbered from 0 in its order?"
        ]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "top_1": self.top_1.to_json(),
            "top_5": self.top_5.to_json() if self.top_5 else None,
            "precision": json_number(self.macro.precision),
            "recall": json_number(self.macro.recall),
            "f1": json_number(self.macro.f1),
            "classes": self.macro.classes,
            "calibration": self.calibration.to_json() if self.calibration else None,
        }


class ClassScorer:
    """From the only output and the class of each image, −1 where it is unknown."""

    unlabelled = False

    def __init__(self, classes: int, name: str = "the network", meaning: Meaning | None = None) -> None:
        self._sums = ClassificationAccumulator(classes)
        self._calibration = CalibrationSums()
        self._name, self._meaning = name, meaning or Meaning()

    def update(self, outputs: Outputs, truth: Truth) -> None:
        """Add a batch.

        Raises:
            LabelsError: A class that the network does not have.
        """
        known = truth >= 0
        if (largest := int(truth.max(initial=-1))) >= self._sums.classes:
            raise LabelsError(
                f"an image is labelled {largest}, the classes of {self._name} are 0…{self._sums.classes - 1}",
                mend="give the labels that belong to this network",
            )
        if known.any():
            values = only(outputs)[known]
            self._sums.update(values, truth[known])
            with np.errstate(invalid="ignore"):  # infinite logits have no probabilities
                shares = self._meaning.probabilities(values)
            self._calibration.update(shares, truth[known])

    def agreement(self, other: Any) -> None:
        """Batches tell it."""
        del other

    def state(self) -> dict[str, Array]:
        """Counts, by class, by probability and of all images."""
        return {**self._sums.state(), **self._calibration.state()}

    def add(self, state: Mapping[str, Array]) -> None:
        """Add what another one had seen."""
        self._sums.add(state)
        self._calibration.add(state)

    def scores(self) -> LabelScores | None:
        """Those of all batches; None where no image has a label."""
        found = self._sums
        if not found.top_1.total:
            return None
        return LabelScores(found.top_1, found.top_5, found.macro, self._calibration.found())


def probabilities(logits: Array) -> Probabilities:
    """Softmax over the classes of [N, classes]."""
    return softmax(logits).astype(np.float32, copy=False)


def decisions(outputs: Array, cut: float) -> Array:
    """The class of each image, integers [N]: of equal outputs the first."""
    del cut
    return np.asarray(np.argmax(outputs, axis=1))


def outputs(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Output, ...]:
    """A score for each class: one output [1, classes]."""
    return only_scores(NAME, shapes)


def fidelity(reference: Outputs, test: Outputs, cut: float) -> Fidelity:
    """Agreement is that of the classes; a number added to all of an image's logits counts for nothing."""
    same = decisions(only(reference), cut) == decisions(only(test), cut)
    return compared(reference, test, same=same, centred=True)


def scorer(meaning: Meaning, classes: int, name: str) -> ClassScorer:
    """Top-1, top-5 and the scores of each class."""
    return ClassScorer(classes, name, meaning)


def answers(probabilities: Array, top: int | None, threshold: float) -> list[int]:
    """The likeliest classes."""
    del threshold
    return best(probabilities, _TOP if top is None else top)


def decode(outputs: Outputs, meaning: Meaning, naming: Naming) -> list[Prediction]:
    """The likeliest classes of each image."""
    return told(outputs, partial(_said, meaning, naming), partial(_first, meaning, naming))


def _first(meaning: Meaning, naming: Naming, scores: Array) -> str | None:
    """The likeliest class's name, without probabilities; None where only these say which class is meant."""
    if (naming.top is not None and naming.top < 1) or scores.itemsize < 4:
        return None
    place = int(scores.argmax())  # of equal ones the first; a NaN before any number
    largest = scores.item(place)
    # Of logits that lie so near each other probabilities may be equal: then the lower class is meant.
    near = 0.0 if meaning.probable else _NEAR * max(1.0, abs(largest))
    if not math.isfinite(largest):
        return None
    if place and not scores.item(int(scores[:place].argmax())) < largest - near:
        return None
    return naming.labels[place]


def _said(meaning: Meaning, naming: Naming, scores: Array) -> list[Said]:
    shares = meaning.probabilities(scores)
    each = [naming.of(answers(row, naming.top, 0), row) for row in shares]
    return [(named, named, "") for named in each]


def to_json(prediction: Prediction, meaning: Meaning) -> dict[str, Any]:
    """The likeliest classes."""
    del meaning
    return {"classes": [named.to_json() for named in prediction.named]}
