"""Exactly one class for each photo: cross-entropy, smoothed, rare classes counted for more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from edgeeff import tasks
from edgeeff.errors import LabelsError, TrainingError
from edgeeff.images import ImageSet
from edgeeff.images.annotations.mask_folders import MASKS, PHOTOS
from edgeeff.images.classes import refuse_splits
from edgeeff.labels import placeholders
from edgeeff.pipeline.context import Context
from edgeeff.tasks import CLASSIFICATION, Meaning
from edgeeff.training.heads import Aim
from edgeeff.training.loop import Score
from edgeeff.training.photos.labelled import Data, Labelled
from edgeeff.training.setting import Setting
from edgeeff.training.tasks import _classes, _holding_out

PRECEDENCE = 5
#: Photos of a class at least: one is learnt by heart, and none of it is left to judge by.
LEAST = 2
#: Share of a label that goes to all classes alike, where nobody says otherwise.
SMOOTHING = 0.1
#: A class that has so many times the photos of another is said to.
UNBALANCED = 3


def claims(images: ImageSet) -> bool:
    """Each photo has a class: by its folder, its list or a number."""
    return bool(images.labelling.names) or images.labels is not None


def label(train: ImageSet, validation: ImageSet | None, seed: int, context: Context) -> Data:
    """The classes, and the class of each photo.

    Raises:
        LabelsError: Photos have no class, or those that judge one that is not learnt.
        TrainingError: There are fewer than two classes, or a class has fewer photos than it needs.
    """
    classes = _names(train)
    learnt = _labelled(train, classes, "to learn from", context)
    _refuse_few(classes, learnt, LEAST + (validation is None), train)
    if validation is None:
        learnt, judging = _holding_out.split(learnt, learnt.truth, seed, context)
    else:
        _refuse_unknown(validation, classes)
        judging = _labelled(validation, classes, "to judge by", context)
    counts = np.bincount(learnt.truth, minlength=len(classes))
    absent = [classes[i] for i in np.flatnonzero(np.bincount(judging.truth, minlength=len(classes)) == 0)]
    if absent:
        context.warn(
            f"no photo to judge by is of {len(absent)} of {len(classes)} classes ({', '.join(absent[:3])}): "
            "what the network makes of these is not judged"
        )
    if counts.max() >= UNBALANCED * counts.min():
        most, least = classes[int(counts.argmax())], classes[int(counts.argmin())]
        context.progress.tell(
            f"classes  {most} has {counts.max()} photos, {least} {counts.min()} (--class-weights)"
        )
    _holding_out.warn_of_common(learnt, judging, context)
    return Data(classes, learnt, judging)


#: Blocks that learn may be regularised, stage by stage.
REGULARISED = True


def begin(setting: Setting) -> Session:
    """A training of a classifier."""
    return Session(setting)


class Session(_classes.Session):
    """A classifier's training."""

    def __init__(self, setting: Setting) -> None:
        self._classes = len(setting.data.classes)
        super().__init__(setting, self._classes, self._aims)

    def _aims(self, truth: npt.NDArray[np.int64]) -> Aim:
        photos, learning = self.setting.request.photos, self.setting.request.learning
        counts = np.bincount(truth, minlength=self._classes)
        if not counts.all():
            name = self.setting.data.classes[int(counts.argmin())]
            raise TrainingError(
                f"no photo of {name} can be decoded", mend="replace these photos, or leave it out"
            )
        even = photos.class_weights == "none"
        weights = np.ones(self._classes) if even else len(truth) / (self._classes * np.maximum(counts, 1))
        smoothing = SMOOTHING if learning.smoothing is None else learning.smoothing
        return Aim(_Loss(torch.from_numpy(weights.astype(np.float32)), smoothing), self._judge)

    def _judge(self, logits: npt.NDArray[np.float32], truth: npt.NDArray[np.int64]) -> Score:
        found = self._scores(logits, truth)
        known = torch.from_numpy(truth)
        loss = -log_softmax(torch.from_numpy(logits), 1).gather(1, known[:, None]).double().mean()
        return Score(found.primary, float(loss), {"top_1": found.primary, "f1": found.macro.f1})

    def _scores(self, logits: npt.NDArray[np.float32], truth: npt.NDArray[np.int64]) -> Any:
        scorer = tasks.room(CLASSIFICATION).scorer(Meaning(), self._classes, "the network")
        scorer.update({"logits": logits}, truth)
        return scorer.scores()

    def scored(self) -> Mapping[str, Any]:
        """Top-1, macro precision, recall and F1, and the cells of the confusion matrix that are not 0."""
        logits, truth = self.judged()
        pairs, counts = np.unique(np.stack([truth, logits.argmax(1)], 1), axis=0, return_counts=True)
        cells = [
            {"truth": int(a), "decided": int(b), "images": int(n)}
            for (a, b), n in zip(pairs, counts, strict=True)
        ]
        return {**self._scores(logits, truth).to_json(), "confusion": cells}


class _Loss:
    """Cross-entropy of each of some photos."""

    def __init__(self, weights: Tensor, smoothing: float) -> None:
        self._weights, self._smoothing = weights, smoothing

    def __call__(self, logits: Tensor, truth: npt.NDArray[np.int64]) -> Tensor:
        likely, known = log_softmax(logits, 1), torch.from_numpy(truth)
        own = likely.gather(1, known[:, None])[:, 0]
        each = -(1 - self._smoothing) * own - self._smoothing * likely.mean(1)
        return each * self._weights[known]


def _names(train: ImageSet) -> tuple[str, ...]:
    """The classes in the order of the outputs: the data set's own, else sorted, numbers as numbers."""
    found = train.labelling
    if found.order:
        return found.order
    if found.names:
        if not found.listed:
            refuse_splits(found.names)
            _refuse_masks(found.names)
        every = {*found.names, *found.empty}
        numbers = all(name.isascii() and name.isdigit() for name in every)
        return tuple(sorted(every, key=lambda name: (int(name), name) if numbers else (0, name)))
    if train.labels is None:
        raise LabelsError(
            "the photos have no classes",
            mend="put them into a folder for each class, or list them in a CSV: path,class",
        )
    return placeholders(int(train.labels.max()) + 1)


def _refuse_masks(names: Sequence[str]) -> None:
    if {*names} == {PHOTOS, MASKS}:
        raise LabelsError(
            f"{PHOTOS} and {MASKS} are folders of photos and of masks, no classes",
            mend="pass the folder of the photos, and --masks with that of their masks; for photos to judge "
            "by --validation and --validation-masks",
        )


def _labelled(images: ImageSet, classes: tuple[str, ...], what: str, context: Context) -> Labelled:
    named = images.classes_named(classes)
    context.warn_all(text for text in named.warnings if text not in images.warnings)
    labels = named.labels
    known = np.flatnonzero(labels >= 0) if labels is not None else np.zeros(0, np.int64)
    if labels is None or not len(known):
        raise LabelsError(
            f"no photo {what} has a class",
            mend="put photos into a folder for each class, or list them in a CSV",
        )
    if len(known) < len(labels):
        context.warn(
            f"{len(labels) - len(known)} of {len(labels)} photos {what} have no class, and are left out"
        )
    return Labelled(tuple(named.pictures), labels).only(known)


def _refuse_few(classes: tuple[str, ...], learnt: Labelled, least: int, train: ImageSet) -> None:
    counts = np.bincount(learnt.truth, minlength=len(classes))
    if len(classes) < 2:
        raise TrainingError(
            f"the photos have one class alone, {classes[0]}: there is nothing to tell apart",
            mend="add a folder of photos of something else; for one label that is there or not, name what is "
            "not of it 'other'",
        )
    few = [f"{classes[i]} {counts[i]}" for i in np.flatnonzero(counts < least)]
    if few:
        wanted = f"{least}, one of them to judge by" if least > LEAST else f"{least}"
        empty = [name for name in train.labelling.empty if name in classes]
        raise TrainingError(
            f"{len(few)} of {len(classes)} classes have fewer than {wanted} photos: {', '.join(few[:3])}"
            + (f" and {len(few) - 3} more" if len(few) > 3 else ""),
            mend="remove the empty folder, or put photos there"
            if empty
            else "add photos, or leave the class out",
        )


def _refuse_unknown(validation: ImageSet, classes: tuple[str, ...]) -> None:
    other = [name for name in validation.labelling.names if name not in classes]
    if other:
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        raise LabelsError(
            f"the photos to judge by have classes that none to learn from has: {', '.join(other[:3])}{more}",
            mend="add photos of these to learn from, or leave them out of --validation",
        )
