"""How good boxes are: average precision, and precision and recall at the operating threshold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgeeff.bootstrap import Loss
from edgeeff.detection import Boxes
from edgeeff.detection.boxes import Placed
from edgeeff.detection.judging import Judged, Sample, judge
from edgeeff.detection.resampling import Ranking, loss, standard_error
from edgeeff.errors import BundleError
from edgeeff.metrics import Proportion, json_number
from edgeeff.tasks import _coco

Array = npt.NDArray[Any]
#: A floor of scores that hardly lowers average precision, and boxes of an image that it looks at.
_LOW, _MANY = 0.05, 100
#: What the bytes of a state are, by name: type, and numbers in a row.
_ARRAYS: Mapping[str, tuple[type, int]] = {
    "numbers": (np.int64, 1),
    "counts": (np.int64, 1),
    "known": (np.int64, 1),
    "corners": (np.float32, 4),
    "scores": (np.float32, 1),
    "classes": (np.int64, 1),
    "known_corners": (np.float64, 4),
    "known_classes": (np.int64, 1),
    "crowd": (np.bool_, 1),
    "areas": (np.float64, 1),
    "invalid": (np.int64, 1),
}


class KnownBoxes(Protocol):
    """What is known of an image, as :class:`edgeeff.images.annotations.Truth` has it."""

    @property
    def corners(self) -> Array:
        """float64 [K, 4], pixels of the photo."""

    @property
    def classes(self) -> Array:
        """int64 [K], of the network."""

    @property
    def crowd(self) -> Array:
        """bool [K]."""

    @property
    def areas(self) -> Array:
        """float64 [K], square pixels."""

    @property
    def fit(self) -> Placed | None:
        """Where the photo lies in the input."""

    @property
    def number(self) -> int:
        """The photo's place in its set."""


@dataclass(frozen=True)
class ClassFigures:
    """One class.

    Args:
        number: Its place among the network's classes.
        truths: Boxes that are known.
        found: Boxes of the network at the threshold or over it.
        right: Of these those that are right, at an IoU of 0.5.
        average: Average precision over all IoUs; NaN without a truth.
        average_50: The same at an IoU of 0.5.
    """

    number: int
    truths: int
    found: int
    right: int
    average: float
    average_50: float

    @property
    def precision(self) -> float | None:
        """Of the boxes that are found those that are right; None of none."""
        return self.right / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """Of the boxes that are known those that are found; None of none."""
        return self.right / self.truths if self.truths else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both."""
        both = self.truths + self.found
        return 2 * self.right / both if both else None

    def to_json(self, label: str) -> dict[str, Any]:
        """As plain data; the counts are called as those of a classifier's classes."""
        return {
            "number": self.number,
            "label": label,
            "images": self.truths,
            "decided": self.found,
            "right": self.right,
            "map": json_number(self.average),
            "map_50": json_number(self.average_50),
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }


@dataclass(frozen=True)
class DetectionScores:
    """Against boxes that are known.

    Args:
        means: Average precision and recall, by name (:class:`edgeeff.tasks._coco.Figures`).
        threshold: Of the scores, for precision and recall.
        precision: Boxes at the threshold or over it that are right, at an IoU of 0.5.
        recall: Boxes that are known, but crowds, which are found there.
        classes: Those of the network that are known or found somewhere.
        images: How many there are.
        boxes: How many boxes are known, but crowds.
        notes: What holds average precision down though the network be good, a sentence each.
        judged: Which boxes are right; not part of the JSON.
    """

    means: Mapping[str, float]
    threshold: float
    precision: Proportion
    recall: Proportion
    classes: tuple[ClassFigures, ...]
    images: int
    boxes: int
    notes: tuple[str, ...] = ()
    judged: Judged | None = field(default=None, repr=False)
    numbers: Array | None = field(default=None, repr=False)
    width: int = 0

    #: What the metric that a budget speaks of is called in a table.
    heading = "mAP"

    @property
    def primary(self) -> float:
        """Mean average precision over IoUs of 0.5 to 0.95."""
        return self.means["map"]

    @property
    def f1(self) -> float:
        """Of precision and recall; NaN where nothing is known or found."""
        both = self.precision.total + self.recall.total
        return 2 * self.precision.successes / both if both else math.nan

    def cells(self) -> dict[str, float | Proportion | None]:
        """For a table."""
        names = {"mAP": "map", "AP50": "map_50"}
        found: dict[str, float | Proportion | None] = {head: self.means[name] for head, name in names.items()}
        return found

    def doubts(self, name: str, classes: int) -> list[str]:
        """That nothing is known, or what holds average precision down."""
        del classes
        if not self.boxes:
            return [f"{name}: no image has a box, so there is no average precision"]
        return [f"{name}: {note}" for note in self.notes]

    @cached_property
    def ranking(self) -> Ranking | None:
        """Its boxes, for averages of images that are drawn anew."""
        return None if self.judged is None else Ranking(self.judged, self.width)

    def lost(self, before: Any, draws: int | None = None) -> Loss | None:
        """How much lower its mean average precision is than another network's of the same images.

        None where that cannot be said: the other's is of other images, or no class has a truth.

        Args:
            before: The other's scores.
            draws: How often images are drawn; None: as usual.
        """
        if not isinstance(before, DetectionScores) or self.ranking is None or before.ranking is None:
            return None
        if not np.array_equal(self.numbers, before.numbers):  # type: ignore[arg-type]
            return None
        return loss(before.ranking, self.ranking, self.images, draws)

    @cached_property
    def standard_error(self) -> float:
        """Of mean average precision, percentage points: how much other images would move it."""
        return math.nan if self.ranking is None else standard_error(self.ranking, self.images)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "images": self.images,
            "boxes": self.boxes,
            **{name: json_number(value) for name, value in self.means.items()},
            "threshold": self.threshold,
            "precision": self.precision.to_json(),
            "recall": self.recall.to_json(),
            "f1": json_number(self.f1),
        }


class DetectionScorer:
    """Batch by batch; it holds the boxes of all images, since average precision ranks them."""

    unlabelled = False

    def __init__(
        self,
        find: Callable[[Mapping[str, Array]], list[Boxes]],
        classes: int,
        threshold: float,
        notes: Sequence[str] = (),
    ) -> None:
        _coco.refuse_missing()
        self._find, self._classes, self._threshold, self._notes = find, classes, threshold, tuple(notes)
        self._parts: dict[str, list[Array]] = {name: [] for name in _ARRAYS}
        self._scores: DetectionScores | None = None

    def update(self, outputs: Mapping[str, Array], truth: Array) -> None:
        """Add a batch: outputs of a detector, and what is known of each image (:class:`KnownBoxes`).

        Raises:
            BundleError: A class that the network does not have.
        """
        for boxes, known in zip(self._find(outputs), truth, strict=True):
            self._add(boxes if known.fit is None else boxes.placed(known.fit), known)

    def _add(self, boxes: Boxes, known: KnownBoxes) -> None:
        if len(boxes) and not 0 <= int(boxes.classes.min()) <= int(boxes.classes.max()) < self._classes:
            raise BundleError(
                f"the artifact gives class {boxes.classes.max()}, its classes are 0…{self._classes - 1}",
                mend="build it again",
            )
        self._scores = None
        order = np.argsort(-boxes.scores.astype(np.float64), kind="stable")
        rows: dict[str, Any] = {
            "numbers": [known.number],
            "counts": [len(boxes)],
            "known": [len(known.classes)],
            "corners": boxes.corners[order],
            "scores": boxes.scores[order],
            "classes": boxes.classes[order],
            "known_corners": known.corners,
            "known_classes": known.classes,
            "crowd": known.crowd,
            "areas": known.areas,
            "invalid": [boxes.invalid],
        }
        for name, values in rows.items():
            self._parts[name].append(np.asarray(values, _ARRAYS[name][0]))

    def agreement(self, other: Any) -> None:
        """Batches tell it."""
        del other

    def state(self) -> dict[str, Array]:
        """The boxes of all images, and what is known of them."""
        return self._whole() if self._parts["numbers"] else {}

    def add(self, state: Mapping[str, Array]) -> None:
        """Add what another one had seen.

        Raises:
            ValueError, KeyError: It is no such state.
        """
        if not state:
            return
        self._scores = None
        lengths: dict[str, tuple[str, ...]] = {
            "counts": ("corners", "scores", "classes"),
            "known": ("known_corners", "known_classes", "crowd", "areas"),
        }
        for name, (kind, width) in _ARRAYS.items():
            values = state[name]
            if values.dtype != kind or values.shape[1:] != ((width,) if width > 1 else ()):
                raise ValueError(f"{name} is {values.dtype} {list(values.shape)}")
        for count, names in lengths.items():
            if state[count].min(initial=0) < 0 or any(len(state[n]) != state[count].sum() for n in names):
                raise ValueError(f"{count} are not as many as there are")
        if len({len(state[name]) for name in ("numbers", "counts", "known", "invalid")}) > 1:
            raise ValueError("images are not as many as there are")
        both = np.concatenate([state["classes"], state["known_classes"]])
        if len(both) and not 0 <= int(both.min()) <= int(both.max()) < self._classes:
            raise ValueError(f"classes up to {both.max()} of {self._classes}")
        for name in _ARRAYS:
            self._parts[name].append(np.asarray(state[name]))

    def _whole(self) -> dict[str, Array]:
        empty: dict[str, Array] = {
            name: np.zeros((0, 4) if width > 1 else 0, kind) for name, (kind, width) in _ARRAYS.items()
        }
        return {name: np.concatenate([empty[name], *parts]) for name, parts in self._parts.items()}

    def _sample(self) -> Sample:
        """All of it, in the order of the images' numbers: shards may have come in any."""
        held = self._whole()
        order = np.argsort(held["numbers"], kind="stable")
        boxes, known = (_rows(held[count], order) for count in ("counts", "known"))
        places = np.arange(len(order))
        return Sample(
            numbers=held["numbers"][order],
            image=np.repeat(places, held["counts"][order]),
            corners=held["corners"][boxes],
            scores=held["scores"][boxes],
            classes=held["classes"][boxes],
            known_image=np.repeat(places, held["known"][order]),
            known_corners=held["known_corners"][known],
            known_classes=held["known_classes"][known],
            crowd=held["crowd"][known],
            areas=held["areas"][known],
        )

    def scores(self) -> DetectionScores | None:
        """Those of all batches; None where nothing was added.

        Raises:
            MissingRuntimeError: hotcoco is not installed.
        """
        if self._scores is None and self._parts["numbers"]:
            self._scores = self._scored()
        return self._scores

    def _scored(self) -> DetectionScores:
        sample = self._sample()
        figures, judged = _coco.figures(sample, self._classes), judge(sample)
        shown = judged.scores >= np.float32(self._threshold)
        right = shown & judged.right[:, 0]
        counted = shown & ~judged.ignored[:, 0]
        truths, found, hits = (
            np.bincount(values, minlength=self._classes)
            for values in (judged.known_classes, judged.classes[counted], judged.classes[right])
        )
        invalid = int(self._whole()["invalid"].sum())
        notes = [*self._notes, *([f"{invalid} values of the network are no numbers"] if invalid else [])]
        return DetectionScores(
            means=figures.means,
            threshold=self._threshold,
            precision=Proportion(int(right.sum()), int(counted.sum())),
            recall=Proportion(int(right.sum()), len(judged.known_classes)),
            classes=tuple(
                ClassFigures(cls, int(truths[cls]), int(found[cls]), int(hits[cls]), *map(float, each))
                for cls, each in enumerate(figures.by_class)
                if truths[cls] or found[cls]
            ),
            images=len(sample.numbers),
            boxes=len(judged.known_classes),
            notes=tuple(notes),
            judged=judged,
            numbers=sample.numbers,
            width=self._classes,
        )


def floor_notes(score: float, most: int) -> list[str]:
    """What of a detector's NMS holds average precision down."""
    notes = []
    if score > _LOW:
        notes.append(
            f"boxes of a score under {score:g} are dropped by its NMS, which lowers average precision; build "
            "with --score 0.01 to compare it with published figures"
        )
    if most < _MANY:
        notes.append(f"its NMS keeps {most} boxes of an image, and average precision looks at {_MANY}")
    return notes


def _rows(counts: Array, order: Array) -> Array:
    """The places of all rows of images in another order, where each image has so many rows."""
    begins = np.concatenate([[0], np.cumsum(counts)])
    parts = [np.arange(begins[place], begins[place + 1]) for place in order.tolist()]
    return np.concatenate([np.zeros(0, np.int64), *parts])
