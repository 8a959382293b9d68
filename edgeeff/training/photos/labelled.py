"""Photos with what is known of each, as a task wants it; and a part of them held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff import digests
from edgeeff.images import ImageSet, Picture

#: Share of the photos that is held out to judge by where nobody named others.
HELD_OUT = 0.2


@dataclass(frozen=True)
class Labelled:
    """Photos and what is known of them.

    Args:
        pictures: The photos.
        truth: Of each, [N] or [N, …], as the task wants it; objects for boxes or masks.
    """

    pictures: tuple[Picture, ...]
    truth: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.pictures)

    def only(self, numbers: Sequence[int] | npt.NDArray[Any]) -> Labelled:
        """Some of them, in the order that is given."""
        chosen = np.asarray(numbers, np.int64)
        return Labelled(tuple(self.pictures[i] for i in chosen), self.truth[chosen])

    def images(self) -> ImageSet:
        """The photos alone."""
        return ImageSet(tuple(replace(p, row=None, class_name=None) for p in self.pictures))

    def digest(self) -> str:
        """SHA-256 of the photos' content and of what is known of each."""
        known = b"" if self.truth.dtype == object else np.ascontiguousarray(self.truth).tobytes()
        return digests.of_bytes(self.images().digest().encode() + known)


@dataclass(frozen=True)
class Data:
    """All that a network is trained on.

    Args:
        classes: Their names, in the order of the network's outputs.
        train: To learn from.
        validation: To judge by.
        negative: What a photo is called that has not the only label; empty where nobody says.
    """

    classes: tuple[str, ...]
    train: Labelled
    validation: Labelled
    negative: str = ""


def stratified(groups: npt.NDArray[Any], seed: int, share: float = HELD_OUT) -> npt.NDArray[np.bool_]:
    """Which photos are held out: of each group about the same share, one at least where it has two.

    Args:
        groups: Of each photo the group that it is of, integers [N].
        seed: Of the choice.
        share: 0…1.
    """
    held = np.zeros(len(groups), np.bool_)
    random = np.random.default_rng([seed, 0x5E1D])
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held[random.permutation(members)[:count]] = True
    return held
