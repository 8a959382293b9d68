"""Photos with masks decoded by threads, as views and the classes of their pixels, in order.

How a photo is looked at depends on the seed, the epoch and the photo's number alone: any number of threads
and any interruption give the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.errors import ImageError
from edgeeff.images.annotations.masks import Known
from edgeeff.images.decoding import try_image
from edgeeff.images.picture import Picture
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.training.masks.views import Look, view
from edgeeff.training.photos.decoding import in_batches


@dataclass(frozen=True)
class Batch:
    """Photos of a step.

    Args:
        pixels: uint8 [n, H, W, C].
        classes: Of each pixel, [n, H, W].
        numbers: Which photos these are.
    """

    pixels: Pixels
    classes: npt.NDArray[Any]
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Reader:
    """What makes batches of photos.

    Args:
        pictures: The photos.
        known: Their masks.
        preprocess: From a photo to the network's pixels.
        void: The class of pixels that are not learnt.
        varied: ``slight``, ``unmirrored``, or ``none``: they are shown as the deployment shows them.
        seed: Of all that is drawn.
    """

    pictures: tuple[Picture, ...]
    known: tuple[Known, ...]
    preprocess: Preprocess
    void: int
    varied: str = "none"
    seed: int = 0

    def read(self, batches: Sequence[Sequence[int]], epoch: int) -> Iterator[Batch]:
        """Batches in their order, decoded ahead. What cannot be decoded any more is left out.

        Args:
            batches: The numbers of each batch's photos.
            epoch: Changes what is drawn.
        """
        for _, found in in_batches(lambda number: self._one(number, epoch), batches):
            yield self._together([one for one in found if one is not None])

    def _one(self, number: int, epoch: int) -> _Seen | None:
        image = try_image(self.pictures[number], self.preprocess)
        mask = self.known[number].read()
        if isinstance(image, ImageError) or mask is None:
            return None
        look = Look()
        if self.varied != "none":
            random = np.random.default_rng([self.seed, 0x3A5C, epoch, number])
            look = Look.drawn(random, mirror=self.varied != "unmirrored")
        return _Seen(number, *view(image, mask, self.preprocess, look, self.void))

    def _together(self, found: Sequence[_Seen]) -> Batch:
        size, channels = self.preprocess.size, self.preprocess.channels
        pixels = [one.pixels for one in found] or [np.zeros((0, *size, channels), np.uint8)]
        classes = [one.classes for one in found] or [np.zeros((0, *size), np.uint8)]
        stack = np.stack if found else np.concatenate
        return Batch(stack(pixels), stack(classes), tuple(one.number for one in found))


@dataclass(frozen=True)
class _Seen:
    number: int
    pixels: Pixels
    classes: npt.NDArray[Any]
