"""A class for each pixel of an image.

A network decides on the grid of its input. A photo's pixel gets the class of the input's pixel in which its
centre lies (nearest neighbour): scores of classes are not interpolated, so that an artifact that puts out
classes and one that puts out logits say the same of a photo.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Fitted(Protocol):
    """Where a photo lies in the network's input, as :class:`edgeeff.preprocess.Fit` has it."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """What of the photo the input shows: left, top, right and bottom, in pixels of the photo."""

    @property
    def photo(self) -> tuple[int, int] | None:
        """The photo's width and height; None: those of the box."""


@dataclass(frozen=True)
class Share:
    """How much of an image a class covers.

    Args:
        index: The class, from 0.
        label: Its name; empty where it has none.
        pixels: How many it has.
        share: Of all pixels of the image, 0…1.
    """

    index: int
    label: str
    pixels: int
    share: float

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        found = {"index": self.index, "label": self.label}
        return {**found, "pixels": self.pixels, "share": round(self.share, 6)}


@dataclass(frozen=True)
class Mask:
    """A class for each pixel of an image.

    Args:
        classes: [H, W], uint8, or uint16 for more than 255 classes; :attr:`void` where a pixel has
            no class.
        labels: The names of the classes, by number; none where they have no names.
        cut_off: Pixels that have no class because the network did not see them: a crop cut them off.
        invalid: Pixels that have none because a score of theirs is no number (NaN).
    """

    classes: Array
    labels: tuple[str, ...] = ()
    cut_off: int = 0
    invalid: int = 0

    @property
    def void(self) -> int:
        """The value of a pixel that has no class: the largest of the array's type."""
        return int(np.iinfo(self.classes.dtype).max)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        height, width = self.classes.shape
        return width, height

    def __eq__(self, other: object) -> bool:
        """Whether both are the same, pixel by pixel."""
        if not isinstance(other, Mask):
            return NotImplemented
        own, others = (self.labels, self.cut_off, self.invalid), (other.labels, other.cut_off, other.invalid)
        return own == others and np.array_equal(self.classes, other.classes)

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def shares(self) -> tuple[Share, ...]:
        """The classes that are there, the largest first, of equal ones the lower class first."""
        counts = np.bincount(self.classes.ravel(), minlength=self.void + 1)[: self.void]
        order = np.argsort(-counts, kind="stable")
        total = self.classes.size
        return tuple(
            Share(i, self.labels[i] if i < len(self.labels) else "", int(counts[i]), int(counts[i]) / total)
            for i in order.tolist()
            if counts[i]
        )

    def placed(self, fit: Fitted) -> Mask:
        """The same on the photo's own pixels; what the input does not show of the photo has no class.

        Args:
            fit: Where the photo lies in the input that this is the mask of.
        """
        rows, columns = places(fit, self.classes.shape)
        seen = int((rows >= 0).sum()) * int((columns >= 0).sum())
        found = taken(self.classes, rows, columns, self.void)
        invalid = int((found == self.void).sum()) - (found.size - seen) if self.invalid else 0
        return Mask(found, self.labels, found.size - seen, invalid)

    def to_json(self) -> dict[str, Any]:
        """Sizes, and how much each class covers; no pixels."""
        total = max(self.classes.size, 1)
        found: dict[str, Any] = {"size": list(self.size), "classes": [one.to_json() for one in self.shares]}
        if self.cut_off:
            found["cut_off"] = round(self.cut_off / total, 6)
        return {**found, "invalid": self.invalid} if self.invalid else found


def void_of(classes: int) -> int:
    """The value of a pixel without a class, of a network of so many classes.

    Raises:
        ValueError: More than a mask can hold.
    """
    return int(np.iinfo(kind_of(classes)).max)


def kind_of(classes: int) -> npt.DTypeLike:
    """The type of the pixels of masks of so many classes.

    Raises:
        ValueError: More than a mask can hold.
    """
    if classes > 65_535:
        raise ValueError(f"{classes} classes")
    return np.uint8 if classes <= 255 else np.uint16


def classes_of(values: Array, classes: int) -> Array:
    """The class of each pixel, [N, H, W]; of equal scores the lower class.

    Args:
        values: Scores [N, C, H, W], or classes already, integers [N, H, W].
        classes: How many there are.

    Returns:
        uint8 or uint16, with :func:`void_of` where a score is no number, or a class is none of so many.
    """
    kind, void = kind_of(classes), void_of(classes)
    if values.ndim == 3:
        known = (values >= 0) & (values < classes)
        return np.where(known, values.astype(np.int64), void).astype(kind)
    # Class by class: numpy's argmax along an axis that is not the last is several times slower.
    best = np.array(values[:, 0], copy=True)
    found = np.zeros(best.shape, kind)
    for number in range(1, values.shape[1]):
        scores = values[:, number]
        np.copyto(found, number, where=scores > best, casting="unsafe")
        np.maximum(best, scores, out=best)  # a NaN stays
    if best.dtype.kind == "f":
        found[np.isnan(best)] = void
    return found


def places(fit: Fitted, shape: tuple[int, ...], size: tuple[int, int] | None = None) -> tuple[Array, Array]:
    """Which row and which column of a mask each row and column of the photo gets, −1 where none is seen.

    Args:
        fit: Where the photo lies in the input.
        shape: Height and width of the mask on the input's grid.
        size: Width and height of the photo where its mask has another number of pixels; None: the photo's.
    """
    left, top, right, bottom = fit.box
    photo = fit.photo or (round(right - left), round(bottom - top))
    found = []
    for axis, (low, high) in enumerate(((left, right), (top, bottom))):
        count = photo[axis] if size is None else size[axis]
        centres = (np.arange(count) + 0.5) * (photo[axis] / count)
        # A centre on the border of two pixels belongs to the later one, whatever the quotient's last bit is.
        at = np.floor((centres - low) / (high - low) * shape[1 - axis] + 1e-9).astype(np.int64)
        found.append(np.where((at >= 0) & (at < shape[1 - axis]), at, -1))
    return found[1], found[0]


def taken(classes: Array, rows: Array, columns: Array, void: int) -> Array:
    """The pixels of these rows and columns, ``void`` where one of the two is −1."""
    height, width = classes.shape
    if np.array_equal(rows, np.arange(height)) and np.array_equal(columns, np.arange(width)):
        return classes
    found = classes[rows][:, columns]
    found[rows < 0] = void
    found[:, columns < 0] = void
    return found
