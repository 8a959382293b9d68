# tests/plugin/edgeeff_ortcpu/confident.py
"""A task: one class for each image, and none where the network is not sure of any."""

from __future__ import annotations

from edgeeff.tasks import Array, classification

SUMMARY = "the class of each image, where its probability is half or more"
ACTIVATION, EXCLUSIVE = classification.ACTIVATION, classification.EXCLUSIVE
outputs, fidelity = classification.outputs, classification.fidelity
probabilities, decisions = classification.probabilities, classification.decisions


def answers(probabilities: Array, top: int | None, threshold: float) -> list[int]:
    """The likeliest class, if it is likelier than all others together."""
    return [i for i in classification.answers(probabilities, 1, threshold) if probabilities[i] >= 0.5]
