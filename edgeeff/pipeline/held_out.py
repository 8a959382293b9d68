"""The images that a build is judged by: which of them search, which verify, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edgeeff.cache import key_of
from edgeeff.images import ImageSet
from edgeeff.images.image_set import skipped
from edgeeff.pipeline.context import Context
from edgeeff.quantization.budget import Budget

#: Images that verify at most, that the search looks at, and of either where top-1 is to be judged.
JUDGED, SEARCHED, LABELLED = 100, 50, 2000
#: The classes of images, and the photos that they are of, by number.
Known = tuple[npt.NDArray[np.int64] | None, npt.NDArray[np.int64]]


def halves(validation: ImageSet, budget: Budget | None) -> tuple[ImageSet, ImageSet]:
    """The images that the search judges by, and those that verify; without a budget all verify."""
    if budget is None:
        return _part(validation, 0, 0), _part(validation, None, JUDGED)
    labelled = budget.max_drop is not None
    search = _part(validation, 1, LABELLED if labelled else SEARCHED)
    return search, _part(validation, 0, LABELLED if labelled else JUDGED)


def known(images: ImageSet, numbers: list[int], budget: Budget | None) -> Known:
    """The classes of some images, if a budget asks for them, and the photos that they are of.

    Args:
        images: A set.
        numbers: Of those of its images that could be decoded.
        budget: What a build must meet.
    """
    asked_for = images.labels if budget is not None and budget.max_drop is not None else None
    labels = None if asked_for is None else asked_for[numbers]
    photos = [(images.pictures[n].path, images.pictures[n].index) for n in numbers]
    order = {photo: i for i, photo in enumerate(dict.fromkeys(photos))}
    return labels, np.array([order[photo] for photo in photos], np.int64)


def with_classes(images: ImageSet, names: Sequence[str], context: Context) -> ImageSet:
    """The images with the classes that their folders or lists name.

    Raises:
        LabelsError: What they name is no class of the network.
    """
    found = images.classes_named(names)
    context.warn_all(found.warnings)
    return found


def classes_digest(labels: npt.NDArray[np.int64] | None) -> str | None:
    """Part of a key: the class of each image, None without any."""
    return None if labels is None else key_of(labels=labels.tolist())


def warn_skipped(images: ImageSet, bad: Mapping[str, str], context: Context) -> None:
    """Warn of images of a set that cannot be decoded: ``bad`` says why, by name."""
    images.bad.update(bad)
    context.warn_all(skipped(bad))


def _part(images: ImageSet, half: int | None, most: int) -> ImageSet:
    """The first images of every second one, or of all; none of them looked at yet."""
    pictures = images.pictures if half is None else images.pictures[half::2]
    return replace(images, pictures=pictures[:most], bad={})
