"""The images that a build is judged by: which of them search, which verify, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff import digests
from edgeeff.cache import key_of
from edgeeff.harness.truth import as_bytes
from edgeeff.images import ImageSet, decoding
from edgeeff.images.annotations import masks
from edgeeff.images.annotations.classes import placed
from edgeeff.images.image_set import skipped
from edgeeff.pipeline.context import Context
from edgeeff.preprocess import Preprocess
from edgeeff.quantization.budget import Budget
from edgeeff.zoo.sources import Identity

#: Images that verify at most, that the search looks at, and of either where top-1 is to be judged.
JUDGED, SEARCHED, LABELLED = 100, 50, 2000
#: Images of either where mean average precision is: a look at one takes a second.
BOXED = 500
#: Bytes of the outputs of these images that are kept at most (:mod:`edgeeff.pipeline.kept`), but those of so
#: many images at least.
HELD, FEWEST = 640 << 20, 16
#: The classes of images, or their boxes, and the photos that they are of, by number.
Known = tuple[npt.NDArray[Any] | None, npt.NDArray[np.int64]]


def halves(validation: ImageSet, budget: Budget | None, most: int | None = None) -> tuple[ImageSet, ImageSet]:
    """The images that the search judges by, and those that verify; without a budget all verify.

    Args:
        validation: The images.
        budget: What a build must meet.
        most: Images of either at most (:func:`affordable`).
    """
    judged, searched = (n if most is None else min(most, n) for n in (JUDGED, SEARCHED))
    if budget is None:
        return _part(validation, 0, 0), _part(validation, None, judged)
    if budget.max_drop is None:
        return _part(validation, 1, searched), _part(validation, 0, judged)
    if have_truths(validation):
        # What the float graph makes of these is kept, and a detector's outputs are large.
        return _part(validation, 1, BOXED), _part(validation, 0, judged)
    return _part(validation, 1, LABELLED), _part(validation, 0, LABELLED)


def boxed(validation: ImageSet) -> ImageSet:
    """The images with boxes, or masks, that verify what is no share of images."""
    return _part(validation, 0, BOXED)


def have_boxes(images: ImageSet) -> bool:
    """Whether boxes are known of the images."""
    return any(picture.boxes is not None for picture in images.pictures)


def have_truths(images: ImageSet) -> bool:
    """Whether boxes, or masks, are known of the images, which are judged by those alone."""
    return have_boxes(images) or any(picture.known is not None for picture in images.pictures)


def truths(images: ImageSet) -> npt.NDArray[Any]:
    """The boxes or masks of each image as the network knows them (:func:`with_boxes`, :func:`with_masks`), an
    array of objects."""
    found = np.empty(len(images), object)
    found[:] = [p.boxes if p.known is None else p.known for p in images.pictures]
    return found


def affordable(identity: Identity, size: tuple[int, int]) -> int | None:
    """How many images' outputs are kept at most; None: as many as there are.

    A detector gives values for each anchor: 18 MB of one image for D0 with 90 classes, 74 MB for D4. A
    segmenter gives some for each pixel: 20 MB of one image of 512×512 with 19 classes.
    """
    if identity.by_pixel:
        return max(FEWEST, HELD // (4 * size[0] * size[1] * identity.classes))
    if identity.geometry is None:
        return None
    each = 4 * replace(identity.geometry, size=size).count * (identity.classes + 4)
    return max(FEWEST, HELD // each)


def known(images: ImageSet, numbers: list[int], budget: Budget | None) -> Known:
    """The classes of some images, if a budget asks for them, and the photos that they are of.

    Args:
        images: A set; of one with boxes :func:`with_boxes`.
        numbers: Of those of its images that could be decoded.
        budget: What a build must meet.
    """
    wanted = budget is not None and budget.max_drop is not None
    asked_for = (truths(images) if have_truths(images) else images.labels) if wanted else None
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


def with_boxes(images: ImageSet, names: Sequence[str], preprocess: Preprocess, context: Context) -> ImageSet:
    """The images with their boxes as the network knows them; as they are where they have none.

    Raises:
        LabelsError: No class of the boxes is one of the network's.
    """
    if not have_boxes(images):
        return images
    found = placed(images, names, preprocess, decoding.sizes(images.pictures, preprocess))
    context.warn_all(found.warnings)
    pairs = zip(images.pictures, found.truths, strict=True)
    return replace(images, pictures=tuple(replace(picture, boxes=truth) for picture, truth in pairs))


def with_masks(images: ImageSet, names: Sequence[str], preprocess: Preprocess, context: Context) -> ImageSet:
    """The images with their masks as the network knows them; as they are where they have none.

    Raises:
        LabelsError: Masks hold what is no class of the network, or do not fit their photos.
    """
    found = masks.beside(images)
    if all(picture.mask is None for picture in found.pictures):
        return images
    placed_masks = masks.placed(found, names, preprocess)
    context.warn_all(placed_masks.warnings)
    context.watched.add(picture.mask for picture in found.pictures if picture.mask is not None)
    pairs = zip(found.pictures, placed_masks.known, strict=True)
    return replace(found, pictures=tuple(replace(picture, known=known) for picture, known in pairs))


def known_digest(images: ImageSet) -> str | None:
    """Part of a key: the class, the boxes or the mask of each image, None without any."""
    if have_truths(images):
        return digests.of_bytes(as_bytes(truths(images)))
    labels = images.labels
    return None if labels is None else key_of(labels=labels.tolist())


def warn_skipped(images: ImageSet, bad: Mapping[str, str], context: Context) -> None:
    """Warn of images of a set that cannot be decoded: ``bad`` says why, by name."""
    images.bad.update(bad)
    context.warn_all(skipped(bad))


def _part(images: ImageSet, half: int | None, most: int) -> ImageSet:
    """The first images of every second one, or of all; none of them looked at yet."""
    pictures = images.pictures if half is None else images.pictures[half::2]
    return replace(images, pictures=pictures[:most], bad={})
