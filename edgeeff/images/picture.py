"""One image, not yet decoded, and crops of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeeff import digests
from edgeeff.watched import Stamp, stamp

if TYPE_CHECKING:
    from edgeeff.images.annotations.truth import Truth
    from edgeeff.images.frames import Frames

UNLABELLED = -1


@dataclass(frozen=True)
class Picture:
    """One image, not yet decoded.

    Args:
        path: The file that holds it.
        index: Its row, where the file is an .npz; its number, where it is a clip.
        label: Its class, or -1. Where ``class_name`` is not None, the class's place among the sorted names,
            until :meth:`edgeeff.images.ImageSet.classes_named` finds it among the network's.
        crop: Part of the photo to use: left, top, width and height as fractions of the photo's, if not all.
        class_name: The name of its class, where a subfolder or a list gives one.
        place: Where its label stands, for messages.
        row: Which labels it has, where a column tells each: 1, 0, or −1 where that is not known.
        boxes: What is drawn around what it shows, as its file says; None: nothing is known.
        frames: Where its pixels are kept, where the file is a clip.
        mask: The file that holds the class of each of its pixels; None: nothing is known of them.
        known: What that says, once the network's classes are known
            (:class:`edgeeff.images.annotations.masks.Known`).
    """

    path: Path
    index: int | None = None
    label: int = UNLABELLED
    crop: tuple[float, float, float, float] | None = None
    class_name: str | None = None
    place: str = field(default="", compare=False)
    row: tuple[int, ...] | None = None
    boxes: Truth | None = field(default=None, compare=False, repr=False)
    frames: Frames | None = field(default=None, compare=False, repr=False)
    mask: Path | None = field(default=None, compare=False, repr=False)
    known: Any = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return str(self.path) if self.index is None else f"{self.path}[{self.index}]"

    @property
    def content(self) -> str:
        """SHA-256 of the file's bytes, or of a clip's frame."""
        if self.frames is not None and self.index is not None:
            return self.frames.digest(self.path, self.index)
        return file_digest(self.path, stamp(self.path))


def with_crops(pictures: Sequence[Picture], count: int, seed: int) -> list[Picture]:
    """Seeded crops of the pictures, ``count`` in all, each of 40 to 100 % of a photo's width and height.

    The photos take turns, so that each gives as many crops as the others.
    """
    generator = np.random.default_rng(seed)
    crops = []
    for i in range(count):
        extent = generator.uniform(0.4, 1.0)
        left, top = generator.uniform(0, 1 - extent, 2)
        crop = (float(left), float(top), float(extent), float(extent))
        crops.append(
            replace(
                pictures[i % len(pictures)],
                crop=crop,
                label=UNLABELLED,
                class_name=None,
                row=None,
                boxes=None,
                mask=None,
                known=None,
            )
        )
    return crops


@lru_cache(maxsize=65536)
def file_digest(path: Path, stamp: Stamp) -> str:
    """SHA-256 of a file's bytes."""
    del stamp  # part of the cache's key
    return digests.of_regular_file(path) or "unreadable"
