"""What is known of images, in the form that a task's scores go by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from edgeeff import tasks
from edgeeff.bundle import Manifest
from edgeeff.errors import LabelsError
from edgeeff.harness import multilabel
from edgeeff.images import ImageSet, decoding
from edgeeff.images.annotations import masks
from edgeeff.images.annotations.classes import placed
from edgeeff.images.classes import refuse_splits
from edgeeff.tasks import EMBEDDING, Truth

#: The images with their classes by the network's numbers, and what is known of each; None where nothing is.
Known = tuple[ImageSet, Truth | None]


def read(images: ImageSet, labels: Any, manifest: Manifest) -> Known:
    """What is known of images.

    Args:
        images: As they were opened.
        labels: What the caller knows of them instead; None: what they bear.
        manifest: Of the bundle that is judged.

    Raises:
        LabelsError: The labels are not those of the network, or not of these images.
    """
    return _KINDS[tasks.room(manifest.task).TRUTH](images, labels, manifest)


def _classes(images: ImageSet, labels: Any, manifest: Manifest) -> Known:
    if labels is None:
        images = images.classes_named(manifest.labels)
        return images, images.labels
    array = np.asarray(labels)
    if array.shape != (len(images),) or not np.issubdtype(array.dtype, np.integer):
        raise LabelsError(
            f"labels {array.dtype} {list(array.shape)} for {len(images)} images",
            mend="give one class index for each image, -1 where unknown",
        )
    known = array.astype(np.int64)
    return images, known if (known >= 0).any() else None


def _labels(images: ImageSet, labels: Any, manifest: Manifest) -> Known:
    if labels is not None:
        return images, multilabel.given(labels, images, manifest)
    images = multilabel.named(images, manifest)
    return images, multilabel.truth(images, manifest)


def _identity(images: ImageSet, labels: Any, manifest: Manifest) -> Known:
    """Any number for each name: the network knows no classes. Feature maps have none to be compared by."""
    if not any(output.meaning == EMBEDDING for output in manifest.outputs):
        bear = labels is not None or images.labels is not None or images.labelling.names
        left = ("labels of the images are not looked at: the bundle puts out no embedding",) if bear else ()
        return replace(images, warnings=(*images.warnings, *left)), None
    if labels is None and any(picture.row is not None for picture in images.pictures):
        raise LabelsError(
            "the images have a column for each label, and embeddings are compared by one class of each image",
            mend="list a class for each image: a person, a product",
        )
    if labels is not None or not images.labelling.names:
        return (images, images.labels) if labels is None else _classes(images, labels, manifest)
    refuse_splits(images.labelling.names)
    named = images.classes_named(images.labelling.names)
    return named, named.labels


def _boxes(images: ImageSet, labels: Any, manifest: Manifest) -> Known:
    """The boxes of each image, an array of objects (:class:`edgeeff.images.annotations.Truth`)."""
    if labels is not None:
        raise LabelsError(
            "a detector is judged by boxes, and labels are classes",
            mend="pass the images as COCO's JSON, a VOC folder or a YOLO data set",
        )
    if all(picture.boxes is None for picture in images.pictures):
        bear = images.labels is not None or images.labelling.names
        left = ("classes of the images are not looked at: a detector is judged by boxes",) if bear else ()
        return replace(images, warnings=(*images.warnings, *left)), None
    sizes = decoding.sizes(images.pictures, manifest.preprocess)
    found = placed(images, manifest.labels, manifest.preprocess, sizes)
    known = np.empty(len(images), object)
    known[:] = found.truths
    return replace(images, warnings=(*images.warnings, *found.warnings)), known


def _masks(images: ImageSet, labels: Any, manifest: Manifest) -> Known:
    """The masks of each image, an array of objects (:class:`edgeeff.images.annotations.masks.Known`)."""
    if labels is not None:
        raise LabelsError(
            "a network that decides of pixels is judged by masks, and labels are classes",
            mend="pass images that have masks (edgeeff.images.annotations.masks.given)",
        )
    images = masks.beside(images)
    if all(picture.mask is None for picture in images.pictures):
        bear = images.labels is not None or images.labelling.names
        left = ("classes of the images are not looked at: pixels are judged by masks",) if bear else ()
        return replace(images, warnings=(*images.warnings, *left)), None
    found = masks.placed(images, manifest.labels, manifest.preprocess)
    known = np.empty(len(images), object)
    known[:] = found.known
    return replace(images, warnings=(*images.warnings, *found.warnings)), known


def as_bytes(known: Truth | None) -> bytes:
    """What is known of images, to tell whether two sets know the same; where a photo lies does not count."""
    if known is None:
        return b""
    if known.dtype != object:
        return np.ascontiguousarray(known, np.int64).tobytes()
    if len(known) and isinstance(known[0], masks.Known):
        return b"".join(len(said).to_bytes(8, "little") + said for said in (one.digested() for one in known))
    parts = (part for one in known for part in (one.corners, one.classes, one.crowd, one.areas))
    return b"".join(len(part).to_bytes(8, "little") + np.ascontiguousarray(part).tobytes() for part in parts)


#: By the ``TRUTH`` of a task.
_KINDS: Mapping[str, Callable[[ImageSet, Any, Manifest], Known]] = {
    "class": _classes,
    "labels": _labels,
    "identity": _identity,
    "boxes": _boxes,
    "mask": _masks,
}
