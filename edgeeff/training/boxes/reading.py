"""Photos with boxes decoded by threads, as views and what is to be found in them, in order.

How a photo is looked at depends on the seed, the epoch and the photo's number alone: any number of threads
and any interruption give the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from edgeeff.detection import Geometry
from edgeeff.errors import ImageError
from edgeeff.images.ahead import quiet, threads
from edgeeff.images.decoding import try_image
from edgeeff.images.picture import Picture
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.progress import Recorder
from edgeeff.training.boxes.matching import Targets, targets
from edgeeff.training.boxes.sets import BoxSet
from edgeeff.training.boxes.views import Look, view
from edgeeff.training.photos.decoding import in_batches


@dataclass(frozen=True)
class Batch:
    """Photos that a step learns from.

    Args:
        pixels: uint8 [n, H, W, C].
        targets: Of each what the outputs should be.
        numbers: Which photos these are.
    """

    pixels: Pixels
    targets: tuple[Targets, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Reader:
    """What makes batches of photos.

    Args:
        photos: With their boxes.
        preprocess: From a photo to the network's pixels.
        geometry: The anchors.
        scales: How photos are scaled; None: they are shown as the deployment shows them, and not mirrored.
        mirror: Whether half of them are mirrored.
        seed: Of all that is drawn.
    """

    photos: BoxSet
    preprocess: Preprocess
    geometry: Geometry
    scales: tuple[float, float] | None = None
    mirror: bool = True
    seed: int = 0

    def read(self, batches: Sequence[Sequence[int]], epoch: int) -> Iterator[Batch]:
        """Batches in their order, decoded ahead. Photos that cannot be decoded any more are left out.

        Args:
            batches: The numbers of each batch's photos.
            epoch: Changes what is drawn.
        """
        for _, found in in_batches(lambda number: self._one(number, epoch), batches):
            yield _together([one for one in found if one is not None], self.preprocess)

    def _one(self, number: int, epoch: int) -> _Seen | None:
        image = try_image(self.photos.pictures[number], self.preprocess)
        if isinstance(image, ImageError):
            return None
        truth, look = self.photos.truths[number], Look()
        if self.scales is not None:
            drawn = Look.drawn(np.random.default_rng([self.seed, epoch, number]), self.scales)
            look = drawn if self.mirror else Look(drawn.scale, drawn.across, drawn.down)
        found = view(image, (truth.corners, truth.classes, truth.crowd), self.preprocess, look)
        wanted = targets(found.corners, found.classes, found.ignored, self.geometry)
        return _Seen(number, found.pixels, wanted)


def undecodable(pictures: Sequence[Picture], preprocess: Preprocess, progress: Recorder) -> dict[int, str]:
    """Why photos cannot be decoded, by their numbers: each is decoded once, before anything is learnt.

    Args:
        pictures: All photos.
        preprocess: Says how they are read.
        progress: Hears of each photo.
    """
    progress.stage("looking at the photos", len(pictures))
    found: dict[int, str] = {}
    with quiet(), ThreadPoolExecutor(threads(), thread_name_prefix="decode") as pool:
        for number, why in enumerate(pool.map(lambda p: _trouble(p, preprocess), pictures)):
            progress.advance(1)
            if why:
                found[number] = why
    return found


def _trouble(picture: Picture, preprocess: Preprocess) -> str:
    found = try_image(picture, preprocess)
    return found.what if isinstance(found, ImageError) else ""


@dataclass(frozen=True)
class _Seen:
    number: int
    pixels: Pixels
    targets: Targets


def _together(found: Sequence[_Seen], preprocess: Preprocess) -> Batch:
    shape = (0, *preprocess.size, preprocess.channels)
    pixels = np.stack([one.pixels for one in found]) if found else np.zeros(shape, np.uint8)
    return Batch(pixels, tuple(one.targets for one in found), tuple(one.number for one in found))
