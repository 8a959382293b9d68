"""What is known of images whose labels do not exclude each other.

What is known of an image is which labels it has: a row of 1 (there), 0 (not there) and −1 (unknown). Of one
logit any set of two classes tells it: folders ``not dog`` and ``dog``, ``0`` and ``1``, a list of them. Of
several a list names an image's labels with semicolons between, ``photo.jpg,cat;dog``, and ``-`` where it has
none; or a table, or the rows of an .npz, have a column for each label. A folder for each class tells one
label of an image and nothing of the others, so it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgeeff.bundle import Manifest
from edgeeff.errors import LabelsError
from edgeeff.images import ImageSet, Labelling
from edgeeff.images.classes import find, refuse_numbers
from edgeeff.tasks import Truth

#: What a list has in the place of labels where an image has none.
NONE = "-"


def named(images: ImageSet, manifest: Manifest) -> ImageSet:
    """Images with the two classes of a network of one label, 1 where it is there; of several, as they are.

    Raises:
        LabelsError: A subfolder or a name is neither.
    """
    if manifest.classes > 1 or any(picture.row is not None for picture in images.pictures):
        return images
    label = manifest.labels[0]
    absent = manifest.negative or ("negative" if label == "positive" else f"not {label}")
    return images.classes_named((absent, label))


def truth(images: ImageSet, manifest: Manifest) -> Truth | None:
    """Which labels each image has, [N, labels] of 1, 0 and −1; None where nothing is known of any.

    ``images`` are :func:`named` ones.

    Raises:
        LabelsError: A name is no label of the network, or folders tell one label of several.
    """
    alone = manifest.classes == 1 and all(picture.row is None for picture in images.pictures)
    found = _single(images) if alone else several(images, manifest.labels)
    return found if (found >= 0).any() else None


def given(labels: Any, images: ImageSet, manifest: Manifest) -> Truth:
    """The same from an array that a caller has: [N, labels], or [N] of one label.

    Raises:
        LabelsError: It is of another shape, or holds something else than 1, 0 and −1.
    """
    array = np.asarray(labels)
    rows = array[:, None] if array.ndim == 1 and manifest.classes == 1 else array
    whole = np.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_
    if rows.shape != (len(images), manifest.classes) or not whole or not np.isin(array, (-1, 0, 1)).all():
        raise LabelsError(
            f"labels {array.dtype} {list(array.shape)} for {len(images)} images of {manifest.classes} labels",
            mend="give 1, 0 or -1 (unknown) for each image and label",
        )
    return np.asarray(rows, np.int64)


def _rows(images: ImageSet, labels: Sequence[str]) -> Truth:
    """From a column for each label, by its name, or in the network's order where columns have none.

    Raises:
        LabelsError: A column is no label of the network, or there is not one for each label.
    """
    columns = images.labelling.columns
    rows = np.array([picture.row or () for picture in images.pictures], np.int64)
    if columns:
        places = dict.fromkeys(columns, "a column of the list")
        numbers = find(Labelling(columns, listed=True), labels, places).numbers
        order = [numbers[name] for name in columns]
    else:
        order = [*range(rows.shape[1])]
    if len(order) != len(labels):
        raise LabelsError(
            f"there are columns for {len(order)} labels, and the network has {len(labels)}",
            mend="write a column for each label, with -1 where it is not known",
        )
    found = np.full((len(rows), len(labels)), -1, np.int64)
    found[:, order] = rows
    return found


def _single(images: ImageSet) -> Truth:
    found = images.labels
    return np.full((len(images), 1), -1, np.int64) if found is None else found[:, None]


def several(images: ImageSet, labels: Sequence[str]) -> Truth:
    """Which of several labels each image has, [N, labels] of 1, 0 and −1.

    Raises:
        LabelsError: A name is no label, or folders tell one label of several.
    """
    if any(picture.row is not None for picture in images.pictures):
        return _rows(images, labels)
    if images.labelling.names and not images.labelling.listed:
        raise LabelsError(
            "a folder for each class tells one label of an image, and this network gives several",
            mend=f"list the images: photo.jpg,cat;dog on each line, and {NONE} where there is no label",
        )
    rows = [labels_of(picture.class_name) for picture in images.pictures]
    names = tuple(sorted({name for row in rows for name in row}))
    places = {name: p.place for p, row in zip(images.pictures, rows, strict=True) for name in row}
    numbers = _numbers(names, labels, places)
    found = np.full((len(rows), len(labels)), -1, np.int64)
    for number, (picture, row) in enumerate(zip(images.pictures, rows, strict=True)):
        if picture.class_name is None and picture.label < 0:
            continue
        found[number] = 0
        if images.labelling.undecided:
            refuse_numbers([picture.label], labels, "in the list,")
        if picture.class_name is None and picture.label >= len(labels):
            raise LabelsError(
                f"{picture.place or picture}: label {picture.label} of {len(labels)}",
                mend="give the labels' numbers from 0, in the order of the network's outputs",
            )
        there = [numbers[name] for name in row] if picture.class_name is not None else [picture.label]
        found[number, there] = 1
    return found


def _numbers(names: Sequence[str], labels: Sequence[str], places: Mapping[str, str]) -> Mapping[str, int]:
    """The label of each name; all of them may be numbers from 0."""
    counted = all(name.isascii() and name.isdigit() for name in names) and not set(names) & set(labels)
    if not counted:
        return find(Labelling(tuple(names), listed=True), labels, places).numbers
    beyond = [name for name in names if int(name) >= len(labels)]
    if beyond:
        raise LabelsError(
            f"{places[beyond[0]]}: label {beyond[0]} of {len(labels)}",
            mend="give the labels' numbers from 0, in the order of the network's outputs",
        )
    return {name: int(name) for name in names}


def labels_of(cell: str | None) -> list[str]:
    """The labels that a list's cell names."""
    if cell is None or cell.strip() == NONE:
        return []
    return [name for part in cell.split(";") if (name := part.strip())]
