"""Any number of labels for each image: a sigmoid for each logit, and a threshold. One logit is one label."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from edgeeff.metrics import Proportion, average_precision, json_number
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

NAME = "multilabel"
SUMMARY = "any number of labels for each image, by sigmoid and a threshold"
ACTIVATION = "Sigmoid"
EXCLUSIVE = False
TRUTH = "labels"
PRIMARY = "mean_average_precision"
#: Labels that are shown at least, whether they are there or not.
_SHOWN = 3


@dataclass(frozen=True)
class MultilabelScores:
    """Against labels.

    Args:
        mean_average_precision: Over the labels that some image has: area under precision by recall, as
            scikit-learn's ``average_precision_score`` has it. It hangs on no threshold.
        f1_micro: Of all decisions together, at the threshold.
        f1_macro: The mean over the labels that some image has or was given.
        labels: How many of them some image has.
        images: How many of whose labels something is known.
    """

    mean_average_precision: float
    f1_micro: float
    f1_macro: float
    labels: int
    images: int

    @property
    def primary(self) -> float:
        """Mean average precision."""
        return self.mean_average_precision

    def cells(self) -> dict[str, float | Proportion | None]:
        """For a table."""
        return {"F1": self.f1_micro, "mAP": self.mean_average_precision, "F1 macro": self.f1_macro}

    def doubts(self, name: str, classes: int) -> list[str]:
        """None: chance has no one figure here."""
        del name, classes
        return []

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {name: json_number(v) if isinstance(v, float) else v for name, v in vars(self).items()}


class MultilabelScorer:
    """Batch by batch; it holds the scores of all images, since average precision ranks them."""

    unlabelled = False

    def __init__(self, meaning: Meaning) -> None:
        self._meaning = meaning
        self._outputs: list[Array] = []
        self._truth: list[Truth] = []

    def update(self, outputs: Outputs, truth: Truth) -> None:
        """Add a batch: the only output [N, labels], truth [N, labels] of 1, 0 and −1."""
        self._outputs.append(np.asarray(only(outputs), np.float32))
        self._truth.append(truth)

    def agreement(self, other: Any) -> None:
        """Batches tell it."""
        del other

    def state(self) -> dict[str, Array]:
        """The scores and labels of all images."""
        if not self._truth:
            return {}
        return {"outputs": np.concatenate(self._outputs), "truth": np.concatenate(self._truth)}

    def add(self, state: Mapping[str, Array]) -> None:
        """Add what another one had seen."""
        if state:
            self._outputs.append(state["outputs"])
            self._truth.append(state["truth"])

    def scores(self) -> MultilabelScores | None:
        """Those of all batches; None where nothing is known of any image."""
        truth = np.concatenate(self._truth) if self._truth else np.zeros((0, 0), np.int64)
        if not (truth >= 0).any():
            return None
        outputs = np.concatenate(self._outputs)
        given, known = self._meaning.decisions(outputs), truth >= 0
        there, given = truth == 1, given & known
        right = (there & given).sum(0)
        said = there.sum(0) + given.sum(0)
        f1 = 2 * right / np.maximum(said, 1)
        occurring = there.any(0)
        precisions = [
            average_precision(outputs[known[:, i], i], there[known[:, i], i]) for i in range(len(f1))
        ]
        return MultilabelScores(
            mean_average_precision=float(np.mean([p for p in precisions if not math.isnan(p)] or [math.nan])),
            f1_micro=float(2 * right.sum() / max(said.sum(), 1)),
            f1_macro=float(f1[said > 0].mean()) if (said > 0).any() else math.nan,
            labels=int(occurring.sum()),
            images=int(known.any(1).sum()),
        )


def probabilities(logits: Array) -> Probabilities:
    """Sigmoid of each logit of [N, classes], without overflow on either side."""
    power = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1, power) / (1 + power), np.float32)


def decisions(outputs: Array, cut: float) -> Array:
    """Whether each label is there, bool [N, classes]; a NaN is never."""
    return np.asarray(outputs >= cut)


def outputs(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Output, ...]:
    """A score for each label: one output [1, labels]."""
    return only_scores(NAME, shapes)


def fidelity(reference: Outputs, test: Outputs, cut: float) -> Fidelity:
    """Agreement is that of each image and label: whether it is there."""
    same = decisions(only(reference), cut) == decisions(only(test), cut)
    return compared(reference, test, same=same)


def scorer(meaning: Meaning, classes: int, name: str) -> MultilabelScorer:
    """F1 and mean average precision."""
    del classes, name
    return MultilabelScorer(meaning)


def answers(probabilities: Array, top: int | None, threshold: float) -> list[int]:
    """The labels at the threshold or over it, likeliest first."""
    there = np.flatnonzero(probabilities >= threshold)
    return [int(i) for i in there[np.argsort(-probabilities[there], kind="stable")][:top]]


def decode(outputs: Outputs, meaning: Meaning, naming: Naming) -> list[Prediction]:
    """The labels that are there, of each image."""
    return told(outputs, partial(_said, meaning, naming))


def _said(meaning: Meaning, naming: Naming, scores: Array) -> list[Said]:
    found = []
    for shares in meaning.probabilities(scores):
        there = answers(shares, None, meaning.threshold)
        likeliest = best(shares, naming.top or max(len(there), _SHOWN))
        absent = "" if there else naming.absent
        found.append((naming.of(there, shares), naming.of(likeliest, shares), absent))
    return found


def to_json(prediction: Prediction, meaning: Meaning) -> dict[str, Any]:
    """Which labels are there, by which threshold, and the likeliest."""
    return {
        "task": NAME,
        "threshold": meaning.threshold,
        "labels": [named.label for named in prediction.named],
        "absent": prediction.absent,
        "classes": [named.to_json() for named in prediction.likeliest],
    }
