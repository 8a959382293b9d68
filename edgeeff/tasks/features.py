"""Features: maps and embeddings, used as they are by whatever reads them. Nothing is decided of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from edgeeff.errors import OptionError
from edgeeff.tasks import (
    EMBEDDING,
    FEATURES,
    Fidelity,
    Meaning,
    Naming,
    Output,
    Outputs,
    Prediction,
    compared,
)
from edgeeff.tasks._retrieval import RetrievalScorer, units
from edgeeff.tasks._undecided import answers as answers
from edgeeff.tasks._undecided import decisions as decisions
from edgeeff.tasks._undecided import probabilities as probabilities

NAME = "features"
SUMMARY = "features of the network under a head: maps by stride, or an embedding"
ACTIVATION = ""
EXCLUSIVE = False
DECIDES = False
TRUTH = "identity"
PRIMARY = "recall_1"


def outputs(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Output, ...]:
    """Maps [1, C, H, W] and embeddings [1, C].

    Raises:
        OptionError: An output is neither.
    """
    meanings = {2: EMBEDDING, 4: FEATURES}
    for name, shape in shapes.items():
        if len(shape) not in meanings or shape[0] != 1:
            raise OptionError(
                f"features are maps [1, C, H, W] or vectors [1, C], and {name} is {list(shape)}",
                mend="name other tensors with --taps",
            )
    return tuple(Output(name, shape, meanings[len(shape)]) for name, shape in shapes.items())


def fidelity(reference: Outputs, test: Outputs, cut: float) -> Fidelity:
    """Output by output; embeddings by their cosine too. There is nothing to agree on."""
    del cut
    vectors = [name for name, values in reference.items() if values.ndim == 2]
    cosines = {name: float((units(reference[name]) * units(test[name])).sum()) for name in vectors}
    return replace(compared(reference, test), cosine=cosines)


def scorer(meaning: Meaning, classes: int, name: str) -> RetrievalScorer:
    """Recall and mean average precision of the nearest images, by the embedding."""
    del meaning, classes, name
    return RetrievalScorer()


def decode(outputs: Outputs, meaning: Meaning, naming: Naming) -> list[Prediction]:
    """The outputs of each image, as they are."""
    del meaning, naming
    count = len(next(iter(outputs.values())))
    return [Prediction({name: values[i] for name, values in outputs.items()}) for i in range(count)]


def to_json(prediction: Prediction, meaning: Meaning) -> dict[str, Any]:
    """Each output's shape and length; of an embedding also its values."""
    del meaning
    found: dict[str, Any] = {}
    for name, values in prediction.outputs.items():
        found[name] = {"shape": list(values.shape), "norm": round(float(np.linalg.norm(values)), 6)}
        if values.ndim == 1:
            found[name]["values"] = [float(f"{value:.6g}") for value in values]
    return {"task": NAME, "outputs": found}
