"""What a bundle decided about each image, kept so that two bundles can be compared image by image.

A few bytes for each image: nothing of the outputs is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgeeff.tasks import Array, Meaning, Outputs, Truth, only

Decided = npt.NDArray[np.int32]
#: Of an image whose class is not known, or of which nothing is decided because an output is NaN.
UNKNOWN = -1
#: Labels that fit an image's number, a bit each.
_BITS = 31


@dataclass(frozen=True)
class Outcomes:
    """What was decided, and what is true, of each image that was run, in the order of the images.

    Args:
        images: Their names; a name may stand there more than once, as one listed twice does.
        decided: int32 [N]: the class; where labels do not exclude each other the set of labels, bit i for
            label i; −1 where an output is NaN.
        truth: int32 [N] of the same form, −1 where it is not known.
        labels: The classes' names.
        exclusive: Whether they are classes; else the numbers are sets of labels.
    """

    images: tuple[str, ...]
    decided: Decided
    truth: Decided
    labels: tuple[str, ...] = field(default=(), repr=False)
    exclusive: bool = True

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """The images whose truth is known, bool [N]."""
        return np.asarray(self.truth >= 0)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """The images that are decided rightly, bool [N]; none whose truth is not known."""
        return np.asarray((self.decided == self.truth) & self.known)

    def named(self, number: int) -> str:
        """A class or a set of labels, for a person."""
        if number < 0:
            return "?"
        if self.exclusive:
            return self.labels[number] if number < len(self.labels) else str(number)
        return ";".join(name for i, name in enumerate(self.labels) if number >> i & 1) or "-"


def recorded(meaning: Meaning, classes: int) -> bool:
    """Whether a task's decisions are kept: of one class, or of few enough labels to be bits of a number.

    Of a detector, or of pixels, nothing is decided of an image as a whole: scores hold what is.
    """
    few = meaning.exclusive or classes <= _BITS
    return meaning.decides and meaning.detection is None and not meaning.by_pixel and few


def decided(meaning: Meaning, outputs: Outputs) -> Decided:
    """What is decided of each image of a batch, as :class:`Outcomes` has it, int32 [N]."""
    values = only(outputs)
    found = np.asarray(meaning.decisions(values))
    numbers = found.astype(np.int32) if found.ndim == 1 else _as_bits(found)
    numbers[np.isnan(values).reshape(len(values), -1).any(axis=1)] = UNKNOWN
    return numbers


def true(truth: Truth | None, count: int) -> Decided:
    """What is known of ``count`` images, as :class:`Outcomes` has it, int32 [N]."""
    if truth is None:
        return np.full(count, UNKNOWN, np.int32)
    if truth.ndim == 1:
        return np.maximum(truth, UNKNOWN).astype(np.int32)
    return np.where((truth >= 0).all(axis=1), _as_bits(truth == 1), UNKNOWN).astype(np.int32)


def _as_bits(rows: Array) -> Decided:
    """Sets of labels [N, labels] as numbers [N]."""
    return np.asarray((rows.astype(np.int64) << np.arange(rows.shape[1])).sum(axis=1), np.int32)


def common(first: Outcomes, second: Outcomes) -> tuple[Sequence[int], Sequence[int]]:
    """The places of the images that both have run, in the order of the first.

    Images that one of the two could not read are left out.
    """
    if first.images == second.images:
        return range(len(first.images)), range(len(second.images))
    places: dict[str, list[int]] = {}
    for place in range(len(second.images) - 1, -1, -1):
        places.setdefault(second.images[place], []).append(place)
    pairs = [(i, places[name].pop()) for i, name in enumerate(first.images) if places.get(name)]
    return [i for i, _ in pairs], [j for _, j in pairs]
