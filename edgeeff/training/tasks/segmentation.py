"""A class for each pixel: a light decoder on a trained encoder, all of which learns; mean IoU judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from edgeeff import digests
from edgeeff.errors import ImageError, LabelsError, OptionError
from edgeeff.harness.truth import as_bytes
from edgeeff.images import ImageSet
from edgeeff.images.annotations import masks
from edgeeff.images.annotations.truth import some
from edgeeff.pipeline.context import Context
from edgeeff.preprocess import Preprocess
from edgeeff.segmentation import void_of
from edgeeff.training import trunk
from edgeeff.training.loop import Course
from edgeeff.training.masks import network as networks
from edgeeff.training.masks import opening
from edgeeff.training.masks.learner import MaskLearner, Pace
from edgeeff.training.masks.reading import Reader
from edgeeff.training.photos.labelled import Data, Labelled
from edgeeff.training.setting import Setting
from edgeeff.training.tasks import Phase, _holding_out
from edgeeff.zoo.sources import Identity

PRECEDENCE = 2
#: The largest norm of the gradients together.
_CLIP = 10.0
#: Epochs where nobody says how many; photos of a step at most.
_EPOCHS, _BATCH = 60, 16
#: Photos that a new decoder's batch normalisation begins with, and that all of it is made to remember.
_FIRST, _REMEMBERED = 32, 128
#: Classes with a smaller share of the pixels are said to have few.
_FEW = 0.001


def claims(images: ImageSet) -> bool:
    """Some photo has a mask."""
    return any(picture.mask is not None for picture in images.pictures)


def preprocess(own: Preprocess, changed: Mapping[str, Any]) -> Preprocess:
    """A classifier's preprocessing for masks: the whole photo, so that each of its pixels gets a class.

    Args:
        own: The classifier's.
        changed: What options say, by field.
    """
    if own.letterbox is not None or {"crop", "squash", "letterbox"} & {*changed}:
        return own
    kept = {} if "interpolation" in changed else {"interpolation": "bilinear"}
    return Preprocess(**{**vars(own), "crop": 1.0, "squash": True, **kept})


def label(train: ImageSet, validation: ImageSet | None, seed: int, context: Context) -> Data:
    """The classes that masks have, and the mask of each photo.

    Raises:
        LabelsError: No photo has a mask, all pixels are ignored, or masks that judge have other classes.
    """
    found = opening.classes(train)
    learnt = _labelled(train, found.names, "to learn from", context)
    if validation is None:
        learnt, judging = _holding_out.split(learnt, _rarest(learnt, found.shares), seed, context)
    else:
        judging = _labelled(validation, found.names, "to judge by", context)
    shares = zip(found.names, found.shares, strict=True)
    none = [name for name, share in shares if not share]
    few = [f"{n} {s:.2%}" for n, s in zip(found.names, found.shares, strict=True) if 0 < s < _FEW]
    if none:
        context.warn(
            f"{len(none)} of {len(found.names)} classes have no pixel to learn from ({some(none)}): "
            "the network has outputs that it never learns"
        )
    if few:
        context.warn(f"classes of so few pixels that little can be learnt of them: {some(few)}")
    _holding_out.warn_of_common(learnt, judging, context)
    return Data(found.names, learnt, judging)


def _labelled(images: ImageSet, classes: tuple[str, ...], what: str, context: Context) -> Labelled:
    found = masks.placed(images, classes, None)
    context.warn_all(f"photos {what}: {text}" for text in found.warnings)
    truth = np.empty(len(found.known), object)
    truth[:] = found.known
    kept = [number for number, one in enumerate(found.known) if one.path is not None]
    return Labelled(images.pictures, truth).only(kept)


def _rarest(photos: Labelled, shares: tuple[float, ...]) -> npt.NDArray[np.int64]:
    """The rarest class of each photo, −1 where all of it is ignored, int64 [N]."""
    order = np.argsort(shares, kind="stable").tolist()
    there = [one.classes_there() for one in photos.truth]
    return np.array([next((c for c in order if c in found), -1) for found in there], np.int64)


def begin(setting: Setting) -> Session:
    """A training of a segmenter."""
    return Session(setting)


class Session:
    """A segmenter's training."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        request, data = setting.request, setting.data
        if request.learning.blocks is not None:
            raise OptionError(
                "--blocks with masks, which all of the network learns",
                mend="leave it out; --block-rate says how fast the encoder learns",
            )
        self._made = networks.segmenter(
            setting.source,
            setting.arch,
            setting.preprocess.size,
            data.classes,
            request.masks.decoder,
            request.learning.seed,
        )
        self.network = self._made.network
        self._void = void_of(len(data.classes))
        seed, varied = request.learning.seed, request.photos.augment
        self._train = self._reader(data.train, "to learn from", varied, seed)
        self._judging = self._reader(data.validation, "to judge by")
        self._learner: MaskLearner | None = None
        kept = self._made.kept
        known = f", {len(kept)} of them known already" if kept else ""
        setting.context.progress.tell(
            f"network  {self._made.spec.name}: {len(data.classes)} classes a pixel{known}"
        )

    def phases(self) -> Iterator[Phase]:
        """All of the network at once: a new decoder alone learns little."""
        learning = self.setting.request.learning
        plain = self._plain(self._train, _FIRST)
        if not self._made.kept:
            networks.begin_decoder(self.network, self.setting.preprocess, plain)
        pace = Pace(
            learning.rate,
            learning.block_rate,
            learning.decay,
            learning.batch or _BATCH,
            learning.smoothing or 0.0,
            learning.seed,
        )
        weights = self._weights()
        self._learner = MaskLearner(self.network, self._train, self._judging, weights, pace)
        course = Course(
            epochs=learning.epochs or _EPOCHS,
            minutes=learning.minutes,
            warmup=learning.warmup,
            patience=learning.patience,
            average=learning.average,
            clip=_CLIP,
            seed=learning.seed,
        )
        truths = [as_bytes(np.array([*r.known, None], object)[:-1]) for r in (self._train, self._judging)]
        facts = {
            "pace": asdict(pace),
            "course": asdict(course),
            "weights": weights.tolist(),
            "decoder": self._made.spec.name,
            "masks": digests.of_bytes(b"".join(truths)),
        }
        yield Phase("all", "training the segmenter", self._learner, course, facts)
        self._remember()

    def tensors(self) -> Mapping[str, Tensor]:
        """All of the network's."""
        return trunk.tensors(self.network)

    def made(self, identity: Identity) -> Identity:
        """What the checkpoint says of its network."""
        return networks.identity_of(identity, self._made)

    def says(self) -> Mapping[str, Any]:
        """Which decoder it has, and what was frozen."""
        return {
            "decoder": self._made.spec.decoder,
            "batch_norm": "frozen",
            "kept_classes": [*self._made.kept],
        }

    def scored(self) -> Mapping[str, Any]:
        """Mean IoU, pixels that are right, each class's, and the confusion of pixels."""
        assert self._learner is not None
        _, found = self._learner.judged()
        classes = self.setting.data.classes
        return {
            **found.to_json(),
            "per_class": [one.to_json(classes[one.number]) for one in found.classes],
            "confusion": found.confusion.tolist(),
        }

    def _reader(self, photos: Labelled, what: str, varied: str = "none", seed: int = 0) -> Reader:
        """Photos whose masks fit them as they are read."""
        setting = self.setting
        images = ImageSet(photos.pictures, masks=photos.truth[0].rule) if len(photos) else ImageSet(())
        found = masks.placed(images, setting.data.classes, setting.preprocess)
        setting.context.warn_all(f"photos {what}: {text}" for text in found.warnings)
        pairs = [(p, k) for p, k in zip(photos.pictures, found.known, strict=True) if k.path and k.fit]
        if not pairs:
            raise ImageError(f"no photo {what} can be read", mend="pass photos that are whole")
        if all(not known.classes_there() for _, known in pairs):
            raise LabelsError(
                f"all pixels of the photos {what} are ignored", mend="say which numbers are: --ignore 255"
            )
        lost = len(photos) - len(pairs)
        if lost:
            setting.context.warn(f"{lost} of {len(photos)} photos {what} cannot be read, and are left out")
        pictures, known = zip(*pairs, strict=True)
        return Reader(pictures, known, setting.preprocess, self._void, varied, seed)

    def _weights(self) -> npt.NDArray[np.float32]:
        """Of each class, so that a pixel's mean weight is 1: 1 ÷ log(1.02 + share) of balanced ones.

        Paszke et al. 2016 (ENet, arXiv:1606.02147): a thousandth weighs some ten times a third.
        """
        classes = len(self.setting.data.classes)
        counts = np.zeros(classes)
        for known in self._train.known:
            for cls, pixels in known.classes_there().items():
                counts[cls] += pixels
        shares = counts / counts.sum()
        if self.setting.request.photos.class_weights == "none":
            return np.ones(classes, np.float32)
        weights = 1 / np.log(1.02 + shares)
        return np.asarray(weights / (weights * shares).sum(), np.float32)

    def _plain(self, reader: Reader, count: int) -> npt.NDArray[np.uint8]:
        """Some of the photos as the deployment shows them, uint8 [n, H, W, C]."""
        own = Reader(reader.pictures, reader.known, reader.preprocess, reader.void)
        spread = np.unique(np.linspace(0, len(own.pictures) - 1, min(count, len(own.pictures))).astype(int))
        return next(own.read([spread.tolist()], 0)).pixels

    def _remember(self) -> None:
        """Batch normalisation remembers the photos of this training instead of those of an earlier one."""
        pixels, found = self._plain(self._train, _REMEMBERED), trunk.Moments()
        for start in range(0, len(pixels), 8):
            found.add(networks.moments(self.network, self.setting.preprocess, pixels[start : start + 8]))
        trunk.remember(self.network, found)
