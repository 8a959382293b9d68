"""Boxes that are known of a photo, and what its readers share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Corners = npt.NDArray[np.float64]
#: Of a fraction of a photo's side that is outside by rounding alone.
_HAIR = 1e-4
#: Of a coordinate: no photo is as large.
_FARTHEST = 1e9


@dataclass(frozen=True, eq=False)
class Truth:
    """The boxes of one photo.

    Args:
        corners: float64 [K, 4], x1 y1 x2 y2 in pixels of the photo, or fractions of its sides.
        classes: int64 [K]: places among the names of the file; of the network's classes once these are known.
        crowd: bool [K]: a box around many, or a doubtful one: it is neither to be seen nor wrong to see.
        areas: float64 [K], what size a thing counts as, in square pixels (or fractions): an outline's area is
            less than its box's.
        size: Width and height that the file says the photo has; None: it does not say.
        fractions: Whether corners and areas are fractions of the photo's sides.
        fit: Where the photo lies in the network's input (:class:`edgeeff.preprocess.Fit`), once known.
        number: The photo's place in its set, once that is known.
    """

    corners: Corners
    classes: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]
    areas: npt.NDArray[np.float64]
    size: tuple[int, int] | None = None
    fractions: bool = False
    fit: Any = None
    number: int = -1

    def __len__(self) -> int:
        return len(self.classes)

    def chosen(self, which: npt.NDArray[Any]) -> Truth:
        """Some of the boxes, by their places or as a mask."""
        return replace(
            self,
            corners=self.corners[which],
            classes=self.classes[which],
            crowd=self.crowd[which],
            areas=self.areas[which],
        )

    def of_photo(self, width: int, height: int) -> Truth:
        """The same in pixels of a photo of that size."""
        if not self.fractions:
            return self
        scale = np.array([width, height, width, height], np.float64)
        return replace(self, corners=self.corners * scale, areas=self.areas * width * height, fractions=False)

    def clipped(self, width: int, height: int) -> tuple[Truth, int, int]:
        """The boxes within a photo; how many were cut at its edges, and how many were left out as empty."""
        edges = np.array([width, height, width, height], np.float64)
        corners = np.clip(self.corners, 0.0, edges)
        beyond = np.abs(corners - self.corners).max(axis=1, initial=0.0) > _HAIR * max(width, height)
        there = (corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])
        cut = replace(self, corners=corners).chosen(there)
        return cut, int((beyond & there).sum()), int((~there).sum())


@dataclass
class Rows:
    """Boxes of a photo while they are read."""

    corners: list[tuple[float, float, float, float]] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)

    def add(
        self, corners: tuple[float, float, float, float], cls: int, *, crowd: bool, area: float | None = None
    ) -> None:
        """One box; its own area where the file gives no other."""
        x1, y1, x2, y2 = corners
        self.corners.append(corners)
        self.classes.append(cls)
        self.crowd.append(crowd)
        self.areas.append((x2 - x1) * (y2 - y1) if area is None else area)

    def truth(self, size: tuple[int, int] | None, *, fractions: bool = False) -> Truth:
        """All of them."""
        return Truth(
            np.array(self.corners, np.float64).reshape(-1, 4),
            np.array(self.classes, np.int64),
            np.array(self.crowd, np.bool_),
            np.array(self.areas, np.float64),
            size,
            fractions,
        )


@dataclass
class Oddities:
    """What was passed over while boxes were read: counted by kind, with the first of each."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def note(self, kind: str, where: str) -> None:
        """One more."""
        self.counts[kind] += 1
        self.first.setdefault(kind, where)

    def sentences(self, path: object) -> tuple[str, ...]:
        """One for each kind."""
        return tuple(
            f"{path}: {count} {kind} ({self.first[kind]}{' and others' if count > 1 else ''})"
            for kind, count in self.counts.items()
        )


def number(value: object) -> float | None:
    """A finite number that a coordinate can be, as JSON has it; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # An integer of thousands of digits is no float.
    if not -_FARTHEST <= value <= _FARTHEST:
        return None
    return float(value) if math.isfinite(value) else None


def numbers(value: object, count: int) -> list[float] | None:
    """So many of them; None: they are not."""
    if not isinstance(value, list) or len(value) != count:
        return None
    found = [n for item in value if (n := number(item)) is not None]
    return found if len(found) == count else None


def some(names: Sequence[object]) -> str:
    """The first three, for a message."""
    return ", ".join(str(name)[:60] for name in names[:3]) + (
        f" and {len(names) - 3} more" if len(names) > 3 else ""
    )
