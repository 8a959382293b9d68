"""What a network says of one image."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from edgeeff.detection import Boxes
from edgeeff.detection.boxes import Placed as PlacedBoxes
from edgeeff.segmentation.masks import Fitted, Mask

Array = npt.NDArray[Any]


class Placed(PlacedBoxes, Fitted, Protocol):
    """Where a photo lies in the network's input, as :class:`edgeeff.preprocess.Fit` has it."""


@dataclass(frozen=True)
class Named:
    """A class or label, and its probability, 0…1; of a mask the share of the photo that it covers."""

    index: int
    label: str
    probability: float

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"index": self.index, "label": self.label, "probability": round(self.probability, 6)}


#: What is said of an image: ``named``, ``likeliest`` and ``absent`` of a :class:`Prediction`.
Said = tuple[tuple[Named, ...], tuple[Named, ...], str]


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image.

    Args:
        outputs: The artifact's outputs, by name and without the batch: float32 [classes], [C, H, W].
        named: The likeliest classes, best first; of a multilabel network the labels that are there; of a mask
            its classes, the largest first; of features none.
        likeliest: The likeliest classes, whether they are there or not, best first.
        absent: What the image is called where no label is there; else empty. Of a detector always,
            since boxes may turn out to lie outside of the photo.
        boxes: Of a detector what is there, the best first, in pixels of the photo; of another network None.
        mask: Of a network that decides of pixels the class of each, in pixels of the photo; of another None.
    """

    outputs: Mapping[str, Array]
    named: tuple[Named, ...] = field(default_factory=tuple)
    likeliest: tuple[Named, ...] = field(default_factory=tuple)
    absent: str = field(default_factory=str)
    boxes: Boxes | None = None
    mask: Mask | None = None

    @classmethod
    def later(
        cls,
        outputs: Mapping[str, Array],
        say: Callable[[], Said],
        first: Callable[[], str | None] | None = None,
    ) -> Prediction:
        """One whose ``named``, ``likeliest`` and ``absent`` are computed when the first of them is read.

        Of a frame whose reader wants the outputs alone nothing more is computed.

        Args:
            outputs: As above.
            say: Computes them, once, and not from arrays of ``outputs``, which their reader may change.
            first: ``label`` alone, for less; None, or what gives None: read it from what ``say`` gives.
        """
        found = object.__new__(cls)
        vars(found).update(outputs=outputs, _say=say, _first=first)
        return found

    @classmethod
    def of_mask(cls, outputs: Mapping[str, Array], mask: Mask) -> Prediction:
        """One that is named by the classes of its mask, the largest first, once they are read."""

        def say() -> Said:
            shares = tuple(Named(one.index, one.label, one.share) for one in mask.shares)
            return shares, shares, ""

        found = cls.later(outputs, say)
        vars(found).update(mask=mask)
        return found

    if not TYPE_CHECKING:  # for a type checker the fields above are all that there is

        def __getattr__(self, name: str) -> Any:
            """A field that is not there yet."""
            say = vars(self).get("_say")
            if say is None or name not in ("named", "likeliest", "absent"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)
            vars(self).update(zip(("named", "likeliest", "absent"), say(), strict=True))
            return vars(self)[name]

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles hold what is said, not how it is computed."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def __eq__(self, other: object) -> bool:
        """Whether both say the same, number by number."""
        if not isinstance(other, Prediction):
            return NotImplemented
        said = (self.named, self.likeliest, self.absent, self.boxes, self.mask, self.outputs.keys())
        others = (other.named, other.likeliest, other.absent, other.boxes, other.mask, other.outputs.keys())
        return said == others and all(
            np.array_equal(values, other.outputs[name]) for name, values in self.outputs.items()
        )

    def placed(self, fit: Placed) -> Prediction:
        """The same with boxes of the input as boxes of the photo, clipped to it, and a mask of the input as
        one of the photo; without either itself.

        Args:
            fit: Where the photo lies in the input.
        """
        if self.mask is not None:
            return Prediction.of_mask(self.outputs, self.mask.placed(fit))
        if self.boxes is None:
            return self
        boxes = self.boxes.placed(fit)
        if len(boxes) == len(self.boxes):
            return replace(self, boxes=boxes)
        # A box that lies outside of the photo, as in a letterbox's border, is none of the photo's.
        named = tuple(Named(box.index, box.label, box.score) for box in boxes)
        return replace(self, boxes=boxes, named=named, likeliest=named or self.likeliest)

    @property
    def label(self) -> str:
        """The likeliest class or label that is there, of boxes the best one's; else its absence."""
        own = vars(self)
        if "named" not in own and (first := own.get("_first")) is not None and (label := first()) is not None:
            return str(label)
        return self.named[0].label if self.named else self.absent

    @property
    def probability(self) -> float:
        """Of the likeliest class or label, whether it is there or not, of a mask the share of its largest
        class; NaN of features."""
        return self.likeliest[0].probability if self.likeliest else float("nan")

    def __str__(self) -> str:
        return self.line()

    def line(self, top: int | None = None) -> str:
        """For a person: ``cat 97.3%``; where no label is there, the likeliest with its probability behind.

        Args:
            top: Names at most; None: all that there are, of a mask the three largest.
        """
        if self.boxes is not None and not self.boxes:
            return self.absent
        if self.mask is not None:
            return self._line_of_mask(_SHARES if top is None else top)
        if self.named:
            return ", ".join(f"{found.label} {found.probability:.1%}" for found in self.named[:top])
        if self.likeliest:
            return f"{self.absent} ({self.likeliest[0].label} {self.probability:.1%})"
        return ", ".join(f"{name} {list(values.shape)}" for name, values in self.outputs.items())

    def _line_of_mask(self, top: int) -> str:
        """``road 43.2%, sky 20.1%, car 9.8% and 4 more``: shares of the photo."""
        if not self.named:
            return "no class"
        shown = ", ".join(f"{one.label} {one.probability:.1%}" for one in self.named[:top])
        return shown + (f" and {len(self.named) - top} more" if len(self.named) > top else "")


@dataclass(frozen=True)
class Naming:
    """How what a network says is called.

    Args:
        labels: Of its classes; none of features.
        absent: What an image is called that has none of the labels.
        top: Classes or labels to name at most; None: the task's own number.
    """

    labels: tuple[str, ...] = ()
    absent: str = ""
    top: int | None = None

    def of(self, classes: Sequence[int], probabilities: Array) -> tuple[Named, ...]:
        """Classes with their names and probabilities."""
        return tuple(Named(i, self.labels[i], probabilities.item(i)) for i in classes)


def told(
    outputs: Mapping[str, Array],
    say: Callable[[Array], list[Said]],
    first: Callable[[Array], str | None] | None = None,
) -> list[Prediction]:
    """The predictions of a network whose only output are scores; of a single image, when they are read.

    Args:
        outputs: One, [N, classes].
        say: Of such scores, what is said of each image.
        first: Of one image's scores [classes], its label for less work; None where it cannot tell.
    """
    ((name, scores),) = outputs.items()
    if len(scores) == 1:
        kept = scores.copy()
        label = None if first is None else partial(first, kept[0])
        return [Prediction.later({name: scores[0]}, lambda: say(kept)[0], label)]
    return [Prediction({name: row}, *said) for row, said in zip(scores, say(scores), strict=True)]


#: Classes of a mask that a line names, where nobody says how many.
_SHARES = 3
#: Up to so many names one search for the largest after the other is faster than a partition.
_FEW = 8
_NOTHING = -math.inf


def best(probabilities: Array, count: int) -> list[int]:
    """The classes of the largest probabilities [classes], best first, of equal ones the lower class.

    What ``np.argsort(-probabilities, kind="stable")[:count]`` gives, without sorting all.
    """
    if 0 < count <= min(_FEW, len(probabilities)) and (found := _largest(probabilities, count)):
        return found
    falling = -probabilities
    if not 0 < count < len(falling) or np.isnan(falling).any():
        return [int(i) for i in np.argsort(falling, kind="stable")[: max(count, 0)]]
    last = np.partition(falling, count - 1)[count - 1]
    among = np.flatnonzero(falling <= last)
    return [int(i) for i in among[np.argsort(falling[among], kind="stable")[:count]]]


def _largest(probabilities: Array, count: int) -> list[int] | None:
    """One after the other; None where a value is NaN, or cannot be told from one that was taken."""
    left, found = probabilities.copy(), []
    for _ in range(count):
        place = int(left.argmax())  # of equal values the first; a NaN before any number
        if not left.item(place) > _NOTHING:
            return None
        found.append(place)
        left[place] = _NOTHING
    return found
