"""Any number of labels for each image: a sigmoid for each logit, and a threshold. One logit is one label."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeeff.tasks import Array, Fidelity, Output, Outputs, Probabilities, compared, only, only_scores

NAME = "multilabel"
SUMMARY = "any number of labels for each image, by sigmoid and a threshold"
ACTIVATION = "Sigmoid"
EXCLUSIVE = False


def probabilities(logits: Array) -> Probabilities:
    """Sigmoid of each logit of [N, classes], without overflow on either side."""
    power = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1, power) / (1 + power), np.float32)


def decisions(outputs: Array, cut: float) -> Array:
    """Whether each label is there, bool [N, classes]; a NaN is never."""
    return np.asarray(outputs >= cut)


def outputs(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Output, ...]:
    """A score for each class: one output [1, classes]."""
    return only_scores(NAME, shapes)


def fidelity(reference: Outputs, test: Outputs, cut: float) -> Fidelity:
    """Agreement is that of each image and label: whether it is there."""
    same = decisions(only(reference), cut) == decisions(only(test), cut)
    return compared(reference, test, same=same)


def answers(probabilities: Array, top: int | None, threshold: float) -> list[int]:
    """The labels at the threshold or over it, likeliest first."""
    order = np.argsort(-probabilities, kind="stable")
    return [int(i) for i in order if probabilities[i] >= threshold][:top]
