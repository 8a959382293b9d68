"""What a task's file has to hold although nothing is decided of an image as a whole: refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from edgeeff.errors import OptionError

if TYPE_CHECKING:
    from edgeeff.tasks import Array, Fidelity, Outputs, Probabilities


def probabilities(logits: Array) -> Probabilities:
    """There are none.

    Raises:
        OptionError: Always.
    """
    _refuse()


def decisions(outputs: Array, cut: float) -> Array:
    """There are none image by image.

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


def fidelity(reference: Outputs, test: Outputs, cut: float) -> Fidelity:
    """More than a threshold is needed: the task has ``fidelity_with``.

    Raises:
        OptionError: Always.
    """
    _refuse()


def _refuse() -> NoReturn:
    raise OptionError(
        "the task decides nothing of an image as a whole",
        mend="compare boxes of a detector, embeddings of features; or build the classifier",
    )
