"""Photos without labels: what is learnt from, what is judged by, and what of them can be decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edgeeff import labels
from edgeeff.errors import LabelsError, TrainingError
from edgeeff.images import ImageSet
from edgeeff.images.image_set import skipped
from edgeeff.images.picture import UNLABELLED, Picture
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.resolve.labels import sides
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.training.photos import decoding
from edgeeff.training.photos.decoding import Vary, generator, seen
from edgeeff.training.photos.labelled import HELD_OUT, Data, Labelled
from edgeeff.zoo.sources import Identity

#: Photos at least: of fewer, batch normalisation has no statistics, and nothing is left to judge by.
LEAST = 8


def label(
    train: ImageSet, validation: ImageSet | None, identity: Identity, seed: int, context: Context
) -> Data:
    """The photos to learn from and to judge by; the class of each photo that judges, where it is known.

    Args:
        train: To learn from; its labels are not looked at.
        validation: To judge by; None: a fifth is held out.
        identity: The network, which says the classes.
        seed: Of the choice.
        context: Hears warnings.

    Raises:
        TrainingError: There are fewer photos than :data:`LEAST`.
    """
    own, negative = sides(identity.labels, identity.classes)
    classes = tuple(own or labels.placeholders(identity.classes))
    if len(train) < LEAST:
        raise TrainingError(
            f"{len(train)} photos to learn from", mend=f"pass {LEAST} at least, better some hundred"
        )
    if validation is not None:
        return Data(classes, _unlabelled(train), _known(validation, classes, context), negative)
    order = np.random.default_rng([seed, 0x5E1D]).permutation(len(train))
    held = np.sort(order[: max(1, round(HELD_OUT * len(train)))])
    context.warn(
        f"no photos to judge by were passed: {len(held)} of {len(train)} are held out. Photos of one scene "
        "in both parts make it look too good: pass others with --validation"
    )
    learnt = _unlabelled(train).only(np.setdiff1d(np.arange(len(train)), held))
    return Data(classes, learnt, _known(train, classes, context).only(held), negative)


def _unlabelled(images: ImageSet) -> Labelled:
    return Labelled(tuple(images.pictures), np.full(len(images), UNLABELLED, np.int64))


def _known(images: ImageSet, classes: Sequence[str], context: Context) -> Labelled:
    """The photos with their class, or −1; where their labels are none of the network's, without."""
    if any(picture.row is not None for picture in images.pictures):
        return _unlabelled(images)  # several labels for a photo: agreement with the teacher judges
    try:
        found = images.classes_named(classes)
    except LabelsError as error:
        context.progress.tell(f"labels   of the photos are not taken: {error.what}")
        return _unlabelled(images)
    truth = found.labels
    if truth is None:
        return _unlabelled(images)
    context.warn_all(text for text in found.warnings if text not in images.warnings)
    return Labelled(tuple(found.pictures), truth)


@dataclass
class Stream:
    """Photos as the network is shown them, and those that cannot be decoded, warned of once.

    Args:
        pictures: All photos.
        preprocess: From a photo to the network's pixels.
        context: Hears which cannot be decoded.
        vary: What changes a photo before; None: nothing does.
        seed: Of that.
    """

    pictures: Sequence[Picture]
    preprocess: Preprocess
    context: Context
    vary: Vary | None = None
    seed: int = 0
    bad: dict[str, str] = field(default_factory=dict)

    def batches(self, chosen: Sequence[Sequence[int]], epoch: int = 0) -> Iterator[decoding.Seen]:
        """The photos of these numbers, batch by batch; what cannot be decoded is left out."""
        for found in seen(self.pictures, chosen, self.preprocess, self.vary, (self.seed, epoch)):
            new = {str(self.pictures[n]): why for n, why in found.bad.items()}
            if fresh := {name: why for name, why in new.items() if name not in self.bad}:
                self.bad |= fresh
                self.context.warn_all(skipped(fresh))
            yield found

    def plain(self) -> Stream:
        """The same photos as they are."""
        return replace(self, vary=None)


def in_batches(numbers: Sequence[int], size: int) -> list[list[int]]:
    """The numbers, so many at a time."""
    return [[int(n) for n in numbers[start : start + size]] for start in range(0, len(numbers), size)]


def spread(count: int, most: int) -> list[int]:
    """At most so many numbers below ``count``, evenly spread."""
    return [int(n) for n in np.unique(np.linspace(0, count - 1, min(most, count)).astype(int))]


def shuffled(count: int, seed: int, epoch: int) -> list[int]:
    """The order of an epoch."""
    return [int(n) for n in generator(seed, 0xBA7C, epoch).permutation(count)]


def stacked(parts: Sequence[Pixels]) -> Pixels:
    """Pixels of several batches as one array."""
    return np.concatenate(parts) if parts else np.zeros((0, 0, 0, 0), np.uint8)
