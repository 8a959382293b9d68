"""Boxes: the heads of a trained detector, then its pyramid and backbone; average precision judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from torch import Tensor

from edgeeff.cache import key_of
from edgeeff.errors import ImageError, LabelsError
from edgeeff.images import ImageSet
from edgeeff.images.annotations import Truth
from edgeeff.images.annotations.classes import classed
from edgeeff.images.image_set import skipped
from edgeeff.pipeline.context import Context
from edgeeff.training import trunk
from edgeeff.training.boxes import sets, views
from edgeeff.training.boxes.learner import BoxLearner, Pace
from edgeeff.training.boxes.network import detector
from edgeeff.training.boxes.reading import Reader, undecodable
from edgeeff.training.boxes.remembering import remember
from edgeeff.training.boxes.sets import BoxSet
from edgeeff.training.loop import Course
from edgeeff.training.photos.labelled import Data, Labelled
from edgeeff.training.request import BATCH
from edgeeff.training.setting import Setting
from edgeeff.training.tasks import Phase, _holding_out

PRECEDENCE = 1
#: Epochs of a phase where nobody says how many.
HEAD_EPOCHS, BLOCK_EPOCHS = 15, 15
#: Mean average precision of a network that has learnt nothing.
_NOTHING = 0.001
#: The largest norm of the gradients together (google/automl, hparams_config.py: clip_gradients_norm).
_CLIP = 10.0


def claims(images: ImageSet) -> bool:
    """Some photo has boxes, or its file could have had some."""
    return any(picture.boxes is not None for picture in images.pictures)


def label(train: ImageSet, validation: ImageSet | None, seed: int, context: Context) -> Data:
    """The classes that boxes have, and the boxes of each photo.

    Raises:
        LabelsError: No photo has a box, or none that judges one of the classes that are learnt.
    """
    classes, unused = sets.names(train)
    learnt = _labelled(train, classes, context)
    if validation is None:
        groups = sets.rarest(list(learnt.truth), len(classes))
        learnt, judging = _holding_out.split(learnt, groups, seed, context)
    else:
        judging = _labelled(validation, classes, context)
    context.warn_all(sets.doubts(list(learnt.truth), classes, unused))
    judged = sets.counts(list(judging.truth), len(classes))
    if not judged.sum():
        raise LabelsError(
            "no photo to judge by has a box of the classes that are learnt",
            mend="pass photos with such boxes (--validation)",
        )
    absent = [classes[number] for number in np.flatnonzero(judged == 0)]
    if absent:
        context.warn(
            f"no photo to judge by has a box of {len(absent)} of {len(classes)} classes "
            f"({', '.join(absent[:3])}): what the network makes of these is not judged"
        )
    for what, photos in (("to learn from", learnt), ("to judge by", judging)):
        context.progress.tell(f"boxes    {what}: {sets.described(list(photos.truth), len(classes))}")
    _holding_out.warn_of_common(learnt, judging, context)
    return Data(classes, learnt, judging)


def _labelled(images: ImageSet, classes: Sequence[str], context: Context) -> Labelled:
    found = classed(images, classes)
    context.warn_all(found.warnings)
    truth = np.empty(len(found.truths), object)
    truth[:] = found.truths
    return Labelled(images.pictures, truth)


def begin(setting: Setting) -> Session:
    """A training of a detector."""
    return Session(setting)


class Session:
    """A detector's training."""

    _learner: BoxLearner

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        learning, data = setting.request.learning, setting.data
        identity = setting.source.identity
        found = detector(setting.source, setting.preprocess.size, data.classes, learning.seed)
        self.network, self.kept = found.network, found.kept
        assert identity.geometry is not None
        self._geometry = replace(identity.geometry, size=setting.preprocess.size)
        self._tell_of_head()
        train, judging = self._placed(data.train), self._placed(data.validation)
        scales = views.MANY if len(train) >= views.ENOUGH else views.FEW
        vary = setting.request.photos.augment
        self._scales = None if vary == "none" else scales
        self._train = Reader(
            train, setting.preprocess, self._geometry, self._scales, vary == "slight", learning.seed
        )
        self._judging = Reader(judging, setting.preprocess, self._geometry)

    def phases(self) -> Iterator[Phase]:
        """The heads on frozen features; then the pyramid and blocks too, if they are asked for."""
        learning = self.setting.request.learning
        heads = Pace(learning.batch or BATCH, learning.rate, learning.decay, 0, learning.smoothing or 0.0)
        known = {*self.kept} == {*self.setting.data.classes}
        yield self._phase("heads", "training the heads", heads, HEAD_EPOCHS, not learning.blocks, known)
        if learning.blocks:
            all_of_them = len(self.network.backbone.blocks)
            blocks = replace(heads, rate=learning.block_rate, blocks=min(learning.blocks, all_of_them))
            doing = f"training {self._learning()}"
            yield self._phase("blocks", doing, blocks, BLOCK_EPOCHS, last=True, beat=True)
        remember(self.network, self._shown(self._train), self.setting.context.progress)

    def _phase(self, name: str, doing: str, pace: Pace, epochs: int, last: bool, beat: bool) -> Phase:
        """A phase; what the user says of its length is of the last one.

        With ``beat`` no state is taken that is worse than that of its beginning: a network that knows all
        classes may have nothing to learn.
        """
        learning = self.setting.request.learning
        self._learner = BoxLearner(self.network, self._train, self._judging, pace)
        self._learner.refuse_large()
        course = Course(
            epochs=(learning.epochs if last else None) or epochs,
            minutes=learning.minutes if last else None,
            warmup=learning.warmup,
            patience=learning.patience,
            average=learning.average,
            clip=_CLIP,
            seed=learning.seed,
            beat=self._learner.score() if beat else None,
        )
        truths = [list(reader.photos.truths) for reader in (self._train, self._judging)]
        facts = {
            "pace": asdict(pace),
            "course": asdict(course),
            "scales": self._scales,
            "boxes": key_of(boxes=[sets.digest(each) for each in truths]),
            "geometry": self._geometry.to_json(),
        }
        return Phase(name, doing, self._learner, course, facts)

    def _learning(self) -> str:
        count, all_of_them = self.setting.request.learning.blocks or 0, len(self.network.backbone.blocks)
        which = "all blocks" if count >= all_of_them else f"the last {count} of {all_of_them} blocks"
        return f"heads, pyramid and {which}"

    def _shown(self, reader: Reader) -> Reader:
        """The same photos as the deployment shows them."""
        return replace(reader, scales=None)

    def tensors(self) -> Mapping[str, Tensor]:
        """All of the network's."""
        return trunk.tensors(self.network)

    def says(self) -> Mapping[str, Any]:
        """What of the network is new, and how its boxes were shown."""
        blocks = self.setting.request.learning.blocks
        return {
            "trunk": f"{self._learning()} trained" if blocks else "frozen",
            "kept_classes": list(self.kept),
            "scales": self._scales,
            "batch_norm": "frozen, its statistics those of the training photos",
            "boxes": [
                sets.counts(reader.photos.truths, len(self.setting.data.classes)).tolist()
                for reader in (self._train, self._judging)
            ],
        }

    def scored(self) -> Mapping[str, Any]:
        """Average precision and recall, and each class's, on the photos that judge."""
        _, found = self._learner.judged()
        if not found.primary >= _NOTHING:
            self.setting.context.warn(
                "the network finds hardly a box of the photos that judge: train longer, or at a lower --rate"
            )
        classes = self.setting.data.classes
        return {**found.to_json(), "classes": [one.to_json(classes[one.number]) for one in found.classes]}

    def _tell_of_head(self) -> None:
        classes, context = self.setting.data.classes, self.setting.context
        new = [name for name in classes if name not in self.kept]
        if not new:
            text = "the network knows all classes already: its head is kept, and learns on"
        elif self.kept:
            text = (
                f"{len(self.kept)} of {len(classes)} classes are the network's own and keep what it knows of "
                f"them ({', '.join(self.kept[:3])}); {len(new)} are new"
            )
        else:
            text = f"a new last layer for {len(classes)} classes; all else is the checkpoint's"
        context.progress.tell(f"head     {text}")

    def _placed(self, photos: Labelled) -> BoxSet:
        """Photos that can be decoded, with their boxes in pixels of the photo."""
        context, preprocess = self.setting.context, self.setting.preprocess
        bad = undecodable(photos.pictures, preprocess, context.progress)
        context.warn_all(skipped({str(photos.pictures[n]): why for n, why in bad.items()}))
        kept = photos.only([n for n in range(len(photos)) if n not in bad])
        if not len(kept):
            raise ImageError(
                f"none of {len(photos)} photos can be decoded: {next(iter(bad.values()))}",
                mend="pass photos that are whole",
            )
        truths: list[Truth] = list(kept.truth)
        found, warnings = sets.placed(kept.pictures, truths, self.setting.data.classes, preprocess)
        context.warn_all(warnings)
        return found
