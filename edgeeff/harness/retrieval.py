"""How good embeddings are: whether images of one class lie nearest to each other, by cosine.

Every image asks all others for the nearest ones, as face recognition and re-identification do. What counts as
one class is what the images say, by folders, lists or numbers: the network knows no classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.images import ImageSet
from edgeeff.images.classes import refuse_splits
from edgeeff.metrics import Array, Proportion, json_number

Numbers = npt.NDArray[np.int64]
#: So many of the nearest images are looked at.
RANKS = (1, 5, 10)
#: Images that ask at a time: their cosines to all others are held at once.
_BLOCK = 256


@dataclass(frozen=True)
class RetrievalScores:
    """Against labels.

    Args:
        recall: For each of :data:`RANKS`, the images with one of their own class among so many nearest.
        mean_average_precision: Over these images: precision at each image of the same class, averaged.
        images: How many were asked: those whose class has another image.
        classes: How many classes these have.
    """

    recall: tuple[Proportion, ...]
    mean_average_precision: float
    images: int
    classes: int

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        shares = {f"recall_{rank}": found.to_json() for rank, found in zip(RANKS, self.recall, strict=True)}
        return {
            **shares,
            "mean_average_precision": json_number(self.mean_average_precision),
            "images": self.images,
            "classes": self.classes,
        }


class RetrievalAccumulator:
    """Batch by batch; it holds the embeddings of all images, since each is compared with all others."""

    def __init__(self) -> None:
        self._vectors: list[Array] = []
        self._classes: list[Numbers] = []

    def update(self, vectors: Array, classes: Numbers) -> None:
        """Add a batch: embeddings [N, C], and the class of each image, −1 where it is not known."""
        self._vectors.append(units(vectors))
        self._classes.append(classes)

    def nearest(self) -> Numbers:
        """The number of the image that lies nearest to each, [N]; none where there are fewer than two."""
        vectors = np.concatenate(self._vectors) if self._vectors else np.zeros((0, 1), np.float32)
        if len(vectors) < 2:
            return np.zeros(0, np.int64)
        return np.concatenate([rows.argmax(1) for _, rows in _cosines(vectors)])

    def scores(self) -> RetrievalScores | None:
        """Those of all batches; None where no two images are of one class, or all are."""
        classes = np.concatenate(self._classes) if self._classes else np.zeros(0, np.int64)
        known = classes >= 0
        vectors, classes = np.concatenate(self._vectors or [np.zeros((0, 1))])[known], classes[known]
        names, which, counts = np.unique(classes, return_inverse=True, return_counts=True)
        asks = counts[which] > 1
        if len(names) < 2 or not asks.any():
            return None
        hits, precisions = np.zeros(len(RANKS), np.int64), []
        for start, rows in _cosines(vectors):
            order = np.argsort(-rows, axis=1, kind="stable")[:, :-1]  # the last is the image itself
            for row, ranking in enumerate(order):
                if not asks[start + row]:
                    continue
                same = classes[ranking] == classes[start + row]
                hits += [bool(same[:rank].any()) for rank in RANKS]
                places = np.flatnonzero(same)
                precisions.append(float(((np.arange(len(places)) + 1) / (places + 1)).mean()))
        total = int(asks.sum())
        return RetrievalScores(
            tuple(Proportion(int(found), total) for found in hits),
            float(np.mean(precisions)),
            total,
            int((counts > 1).sum()),
        )


def units(vectors: Array) -> Array:
    """Vectors [N, C] divided by their lengths; a vector of zeros stays."""
    wide = np.asarray(vectors, np.float32)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))


def agreement(reference: Numbers, test: Numbers) -> Proportion:
    """Images whose nearest neighbour is the same in both."""
    return Proportion(int((reference == test).sum()), len(reference))


def truth(images: ImageSet) -> Numbers | None:
    """The class of each image, −1 where unknown: any number for each name; None where nothing is known.

    Raises:
        LabelsError: The names are those of splits (train, val), and no classes.
    """
    names = images.labelling.names
    if not names:
        return images.labels
    refuse_splits(names)
    return images.classes_named(names).labels


def _cosines(vectors: Array) -> Iterator[tuple[int, Array]]:
    """The cosines of some images to all, those to themselves −∞: the first one's number, and [n, N]."""
    for start in range(0, len(vectors), _BLOCK):
        rows = vectors[start : start + _BLOCK] @ vectors.T
        rows[np.arange(len(rows)), start + np.arange(len(rows))] = -np.inf
        yield start, rows
