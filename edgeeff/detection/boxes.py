"""Boxes of one image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Placed(Protocol):
    """Where a photo lies in the network's input, as :class:`edgeeff.preprocess.Fit` has it."""

    def corners_to_photo(self, corners: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Boxes [K, 4] (left, top, right, bottom) of the input as boxes of the photo, clipped to it."""


@dataclass(frozen=True)
class Box:
    """One box.

    Args:
        index: Of its class among the labels.
        label: Its class's name; empty where the boxes have none.
        score: 0…1.
        left, top, right, bottom: Pixels.
    """

    index: int
    label: str
    score: float
    left: float
    top: float
    right: float
    bottom: float

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        corners = [round(value, 2) for value in (self.left, self.top, self.right, self.bottom)]
        return {"index": self.index, "label": self.label, "score": round(self.score, 6), "box": corners}


@dataclass(frozen=True)
class Boxes:
    """Boxes of one image, the best first; a sequence of :class:`Box`.

    Args:
        corners: Left, top, right and bottom in pixels, float32 [K, 4].
        scores: 0…1, float32 [K].
        classes: Indices into the labels, int64 [K].
        invalid: Values of the network that are no numbers; they gave no box.
        labels: The name of each box's class, as many as there are boxes; or none.
    """

    corners: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    invalid: int = 0
    labels: tuple[str, ...] = ()

    @classmethod
    def none(cls, invalid: int = 0) -> Boxes:
        """No box."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64), invalid)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, number: int) -> Box:
        """The box of that number, 0 is the best."""
        label = self.labels[number] if self.labels else ""
        corners = self.corners[number].tolist()
        return Box(self.classes.item(number), label, self.scores.item(number), *corners)

    def __iter__(self) -> Iterator[Box]:
        """Each box, the best first."""
        return (self[number] for number in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Whether both are the same, number by number."""
        if not isinstance(other, Boxes):
            return NotImplemented
        return (self.invalid, self.labels) == (other.invalid, other.labels) and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("corners", "scores", "classes")
        )

    __hash__ = None  # type: ignore[assignment]

    def of(self, which: npt.NDArray[Any]) -> Boxes:
        """Some of them, by their numbers or a mask [K]."""
        numbers = np.arange(len(self))[which].tolist()
        return Boxes(
            self.corners[which],
            self.scores[which],
            self.classes[which],
            self.invalid,
            tuple(self.labels[number] for number in numbers) if self.labels else (),
        )

    def named(self, labels: Sequence[str]) -> Boxes:
        """The same with the names of their classes.

        Args:
            labels: Of all classes.
        """
        return replace(self, labels=tuple(labels[number] for number in self.classes.tolist()))

    def at(self, threshold: float) -> Boxes:
        """Those whose score is at the threshold or over it."""
        return self.of(self.scores >= threshold)

    def placed(self, fit: Placed) -> Boxes:
        """Boxes of the input as boxes of the photo; those that lie outside of it are left out."""
        corners = fit.corners_to_photo(self.corners)
        inside = (corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])
        return replace(self, corners=corners).of(inside)
