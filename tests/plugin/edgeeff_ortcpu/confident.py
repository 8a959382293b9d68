# tests/plugin/edgeeff_ortcpu/confident.py
"""A task: one class for each image, and none where the network is not sure of any."""

from __future__ import annotations

from dataclasses import replace

from edgeeff.tasks import Array, Meaning, Naming, Outputs, Prediction, classification

SUMMARY = "the class of each image, where its probability is half or more"
ACTIVATION, EXCLUSIVE = classification.ACTIVATION, classification.EXCLUSIVE
TRUTH, PRIMARY, scorer = classification.TRUTH, classification.PRIMARY, classification.scorer
outputs, fidelity, to_json = classification.outputs, classification.fidelity, classification.to_json
probabilities, decisions = classification.probabilities, classification.decisions


def answers(probabilities: Array, top: int | None, threshold: float) -> list[int]:
    """The likeliest class, if it is likelier than all others together."""
    return [i for i in classification.answers(probabilities, 1, threshold) if probabilities[i] >= 0.5]


def decode(outputs: Outputs, meaning: Meaning, naming: Naming) -> list[Prediction]:
    """That class of each image."""
    found = classification.decode(outputs, meaning, naming)
    return [replace(p, named=tuple(n for n in p.named[:1] if n.probability >= 0.5)) for p in found]
