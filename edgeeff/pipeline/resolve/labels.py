"""What the classes are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeeff.errors import LabelsError
from edgeeff.labels import duplicates, placeholders


def resolve_labels(
    given: Sequence[str] | None, own: Sequence[str] | None, classes: int, origin: object = None
) -> tuple[str, ...]:
    """The classes' names: those that were given, else the checkpoint's, else their numbers.

    ``origin`` is the file that the labels were given by, if they were given by one.

    Raises:
        LabelsError: Their number is not the network's number of classes; or features, which have none, are
            to have names.
    """
    if not classes:
        if given is not None:
            raise LabelsError("--labels with --task features, which has no classes", mend="leave it out")
        return ()
    if given is None:
        return tuple(own) if own else placeholders(classes)
    if len(given) != classes:
        raise LabelsError(
            f"{f'{origin} holds ' if isinstance(origin, (str, Path)) else ''}"
            f"{len(given)} labels for a network of {classes} classes",
            mend="pass one label for each class, in the order of the network's outputs",
        )
    return tuple(given)


def sides(labels: Sequence[str] | None, classes: int) -> tuple[list[str] | None, str]:
    """Labels for the outputs, and the name of what has not the only label, where one logit has two names.

    Of two names for one logit the second is the label: class 1, as torch and Keras number sorted folders.
    """
    if labels is not None and classes == 1 and len(labels) == 2:
        return [labels[1]], labels[0]
    return None if labels is None else list(labels), ""


def no_labels_line(classes: int) -> str:
    """What classes are called whose names nobody says: shown at every build."""
    if classes == 1:
        return "labels   none is known: it is 'positive'. Pass --labels: its name, or two, the other first"
    return "labels   none are known: classes are numbers. Pass --labels, a file or imagenet"


def label_warnings(labels: Sequence[str]) -> list[str]:
    """What may be wrong with the labels that a checkpoint brings; the user's own are refused for it."""
    twice = duplicates(labels)
    if not twice:
        return []
    return [
        f"{len(twice)} labels of the checkpoint stand for more than one class ({', '.join(twice[:3])}): "
        "results of these cannot be told apart. Pass labels that differ with --labels"
    ]
