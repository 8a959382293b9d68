"""Exactly one class for each image: a softmax over the logits, and the largest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeeff.tasks import Array, Fidelity, Output, Outputs, Probabilities, compared, only, only_scores

NAME = "classification"
SUMMARY = "one class for each image, by softmax"
ACTIVATION = "Softmax"
EXCLUSIVE = True
_TOP = 3


def probabilities(logits: Array) -> Probabilities:
    """Softmax over the classes of [N, classes]."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


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


def answers(probabilities: Array, top: int | None, threshold: float) -> list[int]:
    """The likeliest classes."""
    del threshold
    return [int(i) for i in np.argsort(-probabilities, kind="stable")[: _TOP if top is None else top]]
