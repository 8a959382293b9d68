"""How good masks are: intersection over union by class, and the share of pixels that are right."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgeeff import bootstrap
from edgeeff.bootstrap import Loss
from edgeeff.metrics import Proportion, json_number
from edgeeff.segmentation.masks import Fitted, classes_of, places, taken, void_of

Array = npt.NDArray[Any]
#: Of fewer images nothing is said of chance.
_FEW = 5
#: The share of labelled pixels that a crop may cut off without a word.
_BORDER = 0.001


class KnownMask(Protocol):
    """What is known of an image, as :class:`edgeeff.images.annotations.masks.Known` has it."""

    @property
    def fit(self) -> Fitted | None:
        """Where the photo lies in the input."""

    @property
    def number(self) -> int:
        """The photo's place in its set."""

    def read(self) -> Array | None:
        """The network's class of each pixel, [H, W], :func:`void_of` where it is to be ignored; None: nothing
        is known of the image."""


@dataclass(frozen=True)
class ClassPixels:
    """One class.

    Args:
        number: Its place among the network's classes.
        images: In how many it is known.
        truths: Pixels that are known to be of it.
        found: Pixels that the network takes for it, among those whose class is known.
        right: Of these those that are of it.
    """

    number: int
    images: int
    truths: int
    found: int
    right: int

    @property
    def iou(self) -> float | None:
        """Intersection over union; None where no pixel is known to be of it."""
        return self.right / (self.truths + self.found - self.right) if self.truths else None

    @property
    def precision(self) -> float | None:
        """Of the pixels that are taken for it those that are right; None of none."""
        return self.right / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """Of the pixels that are of it those that are found; None of none."""
        return self.right / self.truths if self.truths else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both, which is Dice's coefficient."""
        both = self.truths + self.found
        return 2 * self.right / both if both else None

    def to_json(self, label: str) -> dict[str, Any]:
        """As plain data."""
        return {
            "number": self.number,
            "label": label,
            "images": self.images,
            "pixels": self.truths,
            "decided": self.found,
            "right": self.right,
            "iou": self.iou,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }


@dataclass(frozen=True)
class SegmentationScores:
    """Against masks that are known, pixel by pixel of the masks.

    Args:
        numbers: The images' places in their set, int64 [N], rising.
        counts: int64 [N, 3, C]: of each image and class the pixels that are right, that are known, and that
            the network takes for it.
        confusion: int64 [C, C + 1]: pixels of a class (row) that are taken for another (column); the last
            column: for none, since a score is no number.
        left: Pixels that say nothing, int64 [3]: ignored by the truth; cut off by a crop; and of those that
            are scored, and are wrong, those whose scores are no numbers.
    """

    numbers: Array
    counts: Array
    confusion: Array
    left: Array

    #: What the score that a budget speaks of is called in a table.
    heading = "mIoU"

    @property
    def images(self) -> int:
        """Images of which at least one pixel is known."""
        return int((self.counts[:, 1].sum(axis=1) > 0).sum())

    @property
    def primary(self) -> float:
        """Mean IoU over the classes that the truth has; NaN of none."""
        return _mean_iou(self.counts.sum(axis=0))

    @property
    def pixels(self) -> Proportion:
        """Pixels that are right, of those that are known."""
        total = self.counts.sum(axis=(0, 2))
        return Proportion(int(total[0]), int(total[1]), self.images)

    @property
    def mean_accuracy(self) -> float:
        """Of each class the share of its pixels that is right, averaged; NaN of none."""
        right, truths, _ = self.counts.sum(axis=0)
        return float((right[truths > 0] / truths[truths > 0]).mean()) if (truths > 0).any() else math.nan

    @cached_property
    def classes(self) -> tuple[ClassPixels, ...]:
        """Those of the network that are known or found somewhere."""
        sums, images = self.counts.sum(axis=0), (self.counts[:, 1] > 0).sum(axis=0)
        return tuple(
            ClassPixels(i, int(images[i]), int(truths), int(found), int(right))
            for i, (right, truths, found) in enumerate(sums.T)
            if truths or found
        )

    @property
    def confused(self) -> list[dict[str, int]]:
        """Pixels by class and decision, those that there are; a decision of −1 is none (NaN)."""
        width = self.confusion.shape[1]
        return [
            {"truth": int(i), "decided": int(j) if j < width - 1 else -1, "pixels": int(self.confusion[i, j])}
            for i, j in np.argwhere(self.confusion)
        ]

    def cells(self) -> dict[str, float | Proportion | None]:
        """For a table."""
        return {self.heading: self.primary, "pixels": self.pixels.value}

    def doubts(self, name: str, classes: int) -> list[str]:
        """That nothing is known, or what was not scored, or that nothing seems to have been learned."""
        known = self.pixels
        if not known.total:
            return [f"{name}: no pixel of the masks has a class that is scored, so there is no mIoU"]
        found = []
        ignored, cut, invalid = (int(count) for count in self.left)
        if cut > _BORDER * (known.total + cut):
            found.append(
                f"{name}: its preprocessing cuts off {cut / (known.total + cut):.1%} of the pixels that are "
                "known, and scores leave them out (the whole photo: --squash --crop 1 at build)"
            )
        if invalid:
            found.append(
                f"{name}: {invalid} pixels have scores that are no numbers (NaN), and count as wrong"
            )
        if ignored > known.total:
            share = ignored / (ignored + known.total)
            found.append(f"{name}: {share:.0%} of the masks' pixels are ignored: is --ignore meant so?")
        if self.images >= _FEW and classes > 1 and known.value <= 1 / classes:
            found.append(
                f"{name}: {known.value:.1%} of the pixels are right, no more than by chance with {classes} "
                "classes: are these the network's classes, numbered from 0 in its order?"
            )
        return found

    def lost(self, before: Any, draws: int | None = None) -> Loss | None:
        """How much lower its mean IoU is than another network's of the same images.

        None where that cannot be said: the other's is of other images, or no pixel is known.

        Args:
            before: The other's scores.
            draws: How often images are drawn; None: as usual.
        """
        if not isinstance(before, SegmentationScores) or not np.array_equal(self.numbers, before.numbers):
            return None
        points = 100.0 * (before.primary - self.primary)
        if self.counts.shape != before.counts.shape or not math.isfinite(points):
            return None
        pairs = zip(before.drawn(draws), self.drawn(draws), strict=True)
        return bootstrap.loss(points, (one - other for one, other in pairs), len(self.numbers))

    def drawn(self, draws: int | None = None) -> Iterator[float]:
        """Mean IoU of images that are drawn anew, the same ones for each network."""
        flat = self.counts.reshape(len(self.numbers), -1).astype(np.float64)
        for weights in bootstrap.drawn(len(self.numbers), draws):
            yield _mean_iou((weights @ flat).reshape(self.counts.shape[1:]))

    @cached_property
    def standard_error(self) -> float:
        """Of mean IoU, percentage points: how much other images would move it."""
        return bootstrap.standard_error(self.drawn())

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        ignored, cut, invalid = (int(count) for count in self.left)
        pixels = {"scored": self.pixels.total, "ignored": ignored, "cut_off": cut, "invalid": invalid}
        return {
            "images": self.images,
            "miou": json_number(self.primary),
            "pixel_accuracy": json_number(self.pixels.value),
            "mean_accuracy": json_number(self.mean_accuracy),
            "classes": sum(one.truths > 0 for one in self.classes),
            "pixels": pixels,
        }


class SegmentationScorer:
    """Batch by batch; it holds three numbers for each image and class, and no pixels."""

    unlabelled = False

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._numbers: list[Array] = []
        self._counts: list[Array] = []
        self._confusion = np.zeros((classes, classes + 1), np.int64)
        self._left = np.zeros(3, np.int64)

    def update(self, outputs: Mapping[str, Array], truth: Array) -> None:
        """Add a batch: ``mask_logits`` or ``mask``, [N, …], and what is known of each image
        (:class:`KnownMask`)."""
        (values,) = outputs.values()
        for row, known in zip(values, truth, strict=True):
            if (labels := known.read()) is not None:
                found = classes_of(row[None], self._classes)[0]
                self._add(found, labels, known)

    def _add(self, found: Array, truth: Array, known: KnownMask) -> None:
        void = void_of(self._classes)
        height, width = truth.shape
        if known.fit is None:
            if found.shape != truth.shape:
                raise ValueError(f"a mask {truth.shape} for outputs {found.shape}")
            seen = np.ones(truth.shape, bool)
        else:
            rows, columns = places(known.fit, found.shape, (width, height))
            found = taken(found, rows, columns, void)
            seen = (rows >= 0)[:, None] & (columns >= 0)[None]
        labelled = truth != void
        scored = labelled & seen
        right, decided = truth[scored].astype(np.int64), found[scored].astype(np.int64)
        decided[decided == void] = self._classes
        cells = np.bincount(right * (self._classes + 1) + decided, minlength=self._confusion.size)
        table = cells.reshape(self._confusion.shape)
        own = np.stack([table.diagonal(), table.sum(axis=1), table.sum(axis=0)[: self._classes]])
        self._confusion += table
        self._numbers.append(np.array([known.number], np.int64))
        self._counts.append(own[None].astype(np.int64))
        invalid = int(table[:, self._classes].sum())
        self._left += [int((~labelled).sum()), int((labelled & ~seen).sum()), invalid]

    def agreement(self, other: Any) -> None:
        """Batches tell it."""
        del other

    def state(self) -> dict[str, Array]:
        """Counts by image and class, and of all images together."""
        if not self._numbers:
            return {}
        return {
            "numbers": np.concatenate(self._numbers),
            "counts": np.concatenate(self._counts),
            "confusion": self._confusion,
            "left": self._left,
        }

    def add(self, state: Mapping[str, Array]) -> None:
        """Add what another one had seen.

        Raises:
            ValueError, KeyError: It is no such state.
        """
        if not state:
            return
        images, shapes = len(state["numbers"]), {name: value.shape for name, value in state.items()}
        wanted = {
            "numbers": (images,),
            "counts": (images, 3, self._classes),
            "confusion": self._confusion.shape,
            "left": self._left.shape,
        }
        if shapes != wanted or any(value.dtype != np.int64 for value in state.values()):
            raise ValueError(f"counts of {shapes}")
        if any((value < 0).any() for value in state.values()):
            raise ValueError("counts below 0")
        self._numbers.append(state["numbers"])
        self._counts.append(state["counts"])
        self._confusion = self._confusion + state["confusion"]
        self._left = self._left + state["left"]

    def scores(self) -> SegmentationScores | None:
        """Those of all batches; None where nothing is known of any image."""
        held = self.state()
        if not held:
            return None
        order = np.argsort(held["numbers"], kind="stable")  # shards may have come in any
        return SegmentationScores(
            held["numbers"][order], held["counts"][order], held["confusion"].copy(), held["left"].copy()
        )


def _mean_iou(sums: Array) -> float:
    """Mean IoU over the classes that the truth has, of sums [3, C]; NaN of none."""
    right, truths, found = sums
    there = truths > 0
    if not there.any():
        return math.nan
    return float((right[there] / (truths + found - right)[there]).mean())
