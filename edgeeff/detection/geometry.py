"""Where a detector's anchors lie: boxes of fixed sizes, a few at each place of each feature map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.detection import numbers

Array = npt.NDArray[np.float32]
#: Width and height of anchors, by which the side of a square is multiplied; automl has √2 and 1/√2.
RATIOS = ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))
#: Anchors of the largest detector: D7x at 1536 x 1536 has 442 260.
_MOST = 1 << 22
_LARGEST = 1 << 14
_KEYS = ("size", "levels", "octaves", "ratios", "scale")


@dataclass(frozen=True)
class Geometry:
    """Anchors as data.

    Args:
        size: Height and width of the network's input, pixels.
        levels: First and last level of the feature pyramid; level n has about 1/2ⁿ of the input's sides.
        octaves: Sizes of anchors at each place: 1, 2^(1/octaves), 2^(2/octaves) …
        ratios: Width and height of each shape, relative to a square's side.
        scale: Side of the smallest square anchor, in strides of its level.
    """

    size: tuple[int, int]
    levels: tuple[int, int] = (3, 7)
    octaves: int = 3
    ratios: tuple[tuple[float, float], ...] = RATIOS
    scale: float = 4.0

    @property
    def features(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each level's map, from the first level on: halved and rounded up."""
        return tuple((_side(self.size[0], n), _side(self.size[1], n)) for n in self._levels)

    @property
    def at_a_place(self) -> int:
        """Anchors at each place of a map."""
        return self.octaves * len(self.ratios)

    @property
    def count(self) -> int:
        """Anchors of all levels."""
        return self.at_a_place * sum(height * width for height, width in self.features)

    def anchors(self) -> Array:
        """Anchors float32 [count, 4]: top, left, bottom and right in pixels of the input; not to be written.

        Level by level, row by row, at a place each size with all its shapes. The order, and a stride that is
        the input's side divided by the map's, are those of automl and effdet. They may reach out of the
        input.
        """
        return _anchors(self)

    def centres(self) -> Array:
        """The same as centre and extent, float32 [count, 4]: y, x, height and width; not to be written."""
        return _centres(self)

    @property
    def _levels(self) -> range:
        return range(self.levels[0], self.levels[1] + 1)

    def to_json(self) -> dict[str, Any]:
        """As plain data, for a manifest."""
        return {
            "size": list(self.size),
            "levels": list(self.levels),
            "octaves": self.octaves,
            "ratios": [list(ratio) for ratio in self.ratios],
            "scale": self.scale,
        }

    @classmethod
    def from_json(cls, data: object) -> Geometry:
        """The reverse of :meth:`to_json`.

        Raises:
            ValueError: The data is no such thing, or no network has so many anchors.
        """
        said = numbers.section(data, "geometry", _KEYS)
        size = [
            numbers.whole(side, "a side", 1, _LARGEST) for side in numbers.listed(said["size"], "size", 2, 2)
        ]
        levels = [numbers.whole(n, "a level", 1, 14) for n in numbers.listed(said["levels"], "levels", 2, 2)]
        if levels[0] > levels[1]:
            raise ValueError(f"levels {levels[0]} to {levels[1]}; the first must not be above the last")
        octaves = numbers.whole(said["octaves"], "octaves", 1, 16)
        ratios = []
        for ratio in numbers.listed(said["ratios"], "ratios", 1, 32):
            sides = numbers.listed(ratio, "a ratio", 2, 2)
            ratios.append(tuple(numbers.number(side, "a side of a ratio", 0.01, 100) for side in sides))
        scale = numbers.number(said["scale"], "scale", 0.01, 1000)
        found = cls(
            (size[0], size[1]), (levels[0], levels[1]), octaves, tuple((w, h) for w, h in ratios), scale
        )
        if found.count > _MOST:
            raise ValueError(f"geometry gives {found.count} anchors, {_MOST} at most are read")
        return found


def _side(side: int, level: int) -> int:
    for _ in range(level):
        side = (side + 1) // 2
    return side


@lru_cache(maxsize=8)
def _anchors(geometry: Geometry) -> Array:
    found = np.empty((geometry.count, 4), np.float64)
    start = 0
    for rows, columns in geometry.features:
        strides = geometry.size[0] / rows, geometry.size[1] / columns
        y = (np.arange(rows) + 0.5) * strides[0]
        x = (np.arange(columns) + 0.5) * strides[1]
        part = np.empty((rows, columns, geometry.at_a_place, 4), np.float64)
        place = 0
        for octave in range(geometry.octaves):
            side = geometry.scale * 2.0 ** (octave / geometry.octaves)
            for wide, high in geometry.ratios:
                half_height, half_width = side * strides[0] * high / 2, side * strides[1] * wide / 2
                part[:, :, place, 0] = (y - half_height)[:, None]
                part[:, :, place, 1] = x - half_width
                part[:, :, place, 2] = (y + half_height)[:, None]
                part[:, :, place, 3] = x + half_width
                place += 1
        stop = start + rows * columns * geometry.at_a_place
        found[start:stop] = part.reshape(-1, 4)
        start = stop
    return _kept(found.astype(np.float32))


@lru_cache(maxsize=8)
def _centres(geometry: Geometry) -> Array:
    corners = geometry.anchors()
    extent = corners[:, 2:] - corners[:, :2]
    return _kept(np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, extent], axis=1))


def _kept(array: Array) -> Array:
    array.setflags(write=False)
    return array
