"""How good embeddings are: whether images of one class lie nearest to each other, by cosine.

Every image asks all others for the nearest ones, as face recognition and re-identification do. What counts as
one class is what the images say, by folders, lists or numbers: the network knows no classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.metrics import Proportion, json_number

Array = npt.NDArray[Any]
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
        output: The embedding that was compared.
        others: Those that were not.
    """

    recall: tuple[Proportion, ...]
    mean_average_precision: float
    images: int
    classes: int
    output: str = ""
    others: tuple[str, ...] = ()

    @property
    def primary(self) -> float:
        """Recall at 1."""
        return self.recall[0].value

    def cells(self) -> dict[str, float | Proportion | None]:
        """For a table."""
        first, *_, last = zip(RANKS, self.recall, strict=True)
        return {f"recall@{rank}": found for rank, found in (first, last)} | {
            "mAP": self.mean_average_precision
        }

    def doubts(self, name: str, classes: int) -> list[str]:
        """Embeddings that were not compared. Chance has no one figure here."""
        del classes
        if not self.others:
            return []
        return [f"{name}: recall is that of {self.output}; {', '.join(self.others)} was not compared"]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        shares = {f"recall_{rank}": found.to_json() for rank, found in zip(RANKS, self.recall, strict=True)}
        return {
            **shares,
            "mean_average_precision": json_number(self.mean_average_precision),
            "images": self.images,
            "classes": self.classes,
            "output": self.output,
        }


class RetrievalScorer:
    """Batch by batch; it holds the embeddings of all images, since each is compared with all others.

    Of several embeddings the first is compared, which the scores say; feature maps are not.
    """

    unlabelled = True

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._vectors: list[Array] = []
        self._classes: list[Numbers] = []

    def update(self, outputs: Mapping[str, Array], truth: Numbers) -> None:
        """Add a batch: outputs [N, …] each, and the class of each image, −1 where it is not known."""
        self._names = tuple(name for name, values in outputs.items() if values.ndim == 2)
        if self._names:
            self._vectors.append(units(outputs[self._names[0]]))
            self._classes.append(truth)

    def state(self) -> dict[str, Array]:
        """The embeddings and classes of all images, and the names of the embeddings."""
        if not self._vectors:
            return {}
        names = np.array(self._names, np.str_)
        return {
            "vectors": np.concatenate(self._vectors),
            "classes": np.concatenate(self._classes),
            "names": names,
        }

    def add(self, state: Mapping[str, Array]) -> None:
        """Add what another one had seen."""
        if state:
            self._names = tuple(map(str, state["names"]))
            self._vectors.append(state["vectors"])
            self._classes.append(state["classes"])

    def agreement(self, other: RetrievalScorer) -> Proportion | None:
        """Images whose nearest neighbour is the same by the other's embeddings of the same images."""
        own, theirs = self.state(), other.state()
        if not own or not theirs or len(own["vectors"]) < 2:
            return None
        same = nearest(own["vectors"]) == nearest(theirs["vectors"])
        return Proportion(int(same.sum()), len(same))

    def scores(self) -> RetrievalScores | None:
        """Those of all batches; None where no two images are of one class, or all are."""
        state = self.state()
        if not state:
            return None
        known = state["classes"] >= 0
        vectors, classes = state["vectors"][known], state["classes"][known]
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
            self._names[0] if self._names else "",
            self._names[1:],
        )


def units(vectors: Array) -> Array:
    """Vectors [N, C] divided by their lengths; a vector of zeros stays."""
    wide = np.asarray(vectors, np.float32)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))


def nearest(vectors: Array) -> Numbers:
    """The number of the vector that lies nearest to each of [N, C] vectors of length 1, N at least 2."""
    return np.concatenate([rows.argmax(1) for _, rows in _cosines(vectors)])


def _cosines(vectors: Array) -> Iterator[tuple[int, Array]]:
    """The cosines of some images to all, those to themselves −∞: the first one's number, and [n, N]."""
    for start in range(0, len(vectors), _BLOCK):
        rows = vectors[start : start + _BLOCK] @ vectors.T
        rows[np.arange(len(rows)), start + np.arange(len(rows))] = -np.inf
        yield start, rows
