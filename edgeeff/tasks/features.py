"""Features: maps and embeddings, used as they are by whatever reads them. Nothing is decided of an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from edgeeff.errors import OptionError
from edgeeff.tasks import EMBEDDING, FEATURES, Array, Fidelity, Output, Outputs, Probabilities, compared

NAME = "features"
SUMMARY = "features of the network under a head: maps by stride, or an embedding"
ACTIVATION = ""
EXCLUSIVE = False
DECIDES = False


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
    """Output by output; there is nothing to agree on."""
    del cut
    return compared(reference, test)


def probabilities(logits: Array) -> Probabilities:
    """There are none.

    Raises:
        OptionError: Always.
    """
    _refuse()


def decisions(outputs: Array, cut: float) -> Array:
    """There are none.

    Raises:
        OptionError: Always.
    """
    _refuse()


def answers(probabilities: Array, top: int | None, threshold: float) -> list[int]:
    """There are none.

    Raises:
        OptionError: Always.
    """
    _refuse()


def _refuse() -> NoReturn:
    raise OptionError(
        "features name no class", mend="build the classifier, or compare embeddings with each other"
    )
