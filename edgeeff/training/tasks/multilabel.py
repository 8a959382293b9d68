"""Any number of labels for each photo: binary cross-entropy of each logit. One logit is one label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from edgeeff import tasks
from edgeeff.errors import LabelsError, TrainingError
from edgeeff.harness import multilabel as reading
from edgeeff.images import ImageSet
from edgeeff.labels import placeholders
from edgeeff.pipeline.context import Context
from edgeeff.tasks import MULTILABEL, Meaning
from edgeeff.training.heads import Aim
from edgeeff.training.loop import Score
from edgeeff.training.photos.labelled import Data, Labelled
from edgeeff.training.setting import Setting
from edgeeff.training.tasks import _classes, _holding_out

PRECEDENCE = 4
#: Photos that have a label, and that have it not, at least.
LEAST = 2
#: Share of a label that goes to both answers alike, where nobody says otherwise.
SMOOTHING = 0.1
#: How names begin, or are, that say that the label of two folders is not there.
_ABSENT = ("not ", "not_", "not-", "no ", "no_", "no-", "without")
_OTHER = ("other", "others", "negative", "background", "none", "absent", "0", "false", "no")


def claims(images: ImageSet) -> bool:
    """A column for each label, or several labels in a list's cell."""
    if any(picture.row is not None for picture in images.pictures):
        return True
    found = images.labelling
    return found.listed and any(";" in name or name == reading.NONE for name in found.names)


def label(train: ImageSet, validation: ImageSet | None, seed: int, context: Context) -> Data:
    """The labels, and which of them each photo has.

    Raises:
        LabelsError: Photos have no labels, or those that judge others than those that are learnt.
        TrainingError: No photo has a label, or all of them do.
    """
    pair = _pair(train)
    labels = (pair[1],) if pair else _names(train)
    if pair:
        context.progress.tell(f"labels   one logit: {pair[1]!r}, or {pair[0]!r} where it is not there")
    learnt = _labelled(train, labels, pair, "to learn from", context)
    _refuse_one_sided(labels, learnt)
    if validation is None:
        _, groups = np.unique(learnt.truth, axis=0, return_inverse=True)
        learnt, judging = _holding_out.split(learnt, groups.reshape(-1), seed, context)
    else:
        judging = _labelled(validation, labels, pair, "to judge by", context)
    absent = [labels[i] for i in np.flatnonzero(~(judging.truth == 1).any(0))]
    if absent:
        context.warn(
            f"no photo to judge by has {len(absent)} of {len(labels)} labels ({', '.join(absent[:3])}): what "
            "the network makes of these is not judged"
        )
    _holding_out.warn_of_common(learnt, judging, context)
    return Data(labels, learnt, judging, negative=pair[0] if pair else "")


#: Blocks that learn may be regularised, stage by stage.
REGULARISED = True


def begin(setting: Setting) -> Session:
    """A training of a classifier whose labels do not exclude each other."""
    return Session(setting)


class Session(_classes.Session):
    """A training of a logit for each label."""

    def __init__(self, setting: Setting) -> None:
        self._labels = len(setting.data.classes)
        super().__init__(setting, self._labels, self._aims)

    def _aims(self, truth: npt.NDArray[np.int64]) -> Aim:
        del truth
        said = self.setting.request.learning.smoothing
        return Aim(_Loss(SMOOTHING if said is None else said), self._judge)

    def _judge(self, logits: npt.NDArray[np.float32], truth: npt.NDArray[np.int64]) -> Score:
        found = self._scores(logits, truth)
        with torch.inference_mode():
            loss = float(_Loss(0.0)(torch.from_numpy(logits), truth).sum()) / max(1, len(truth))
        if found is None:
            return Score(float("nan"), loss)
        figures = {"mean_average_precision": found.mean_average_precision, "f1": found.f1_micro}
        return Score(found.primary, loss, figures)

    def _scores(self, logits: npt.NDArray[np.float32], truth: npt.NDArray[np.int64]) -> Any:
        scorer = tasks.room(MULTILABEL).scorer(Meaning(MULTILABEL), self._labels, "the network")
        scorer.update({"logits": logits}, truth)
        return scorer.scores()

    def scored(self) -> Mapping[str, Any]:
        """Mean average precision and F1."""
        found = self._scores(*self.judged())
        return found.to_json() if found is not None else {}


class _Loss:
    """Binary cross-entropy of each of some photos, the mean over the labels that are known."""

    def __init__(self, smoothing: float) -> None:
        self._smoothing = smoothing

    def __call__(self, logits: Tensor, truth: npt.NDArray[np.int64]) -> Tensor:
        known = torch.from_numpy((truth >= 0).astype(np.float32))
        wanted = torch.from_numpy(np.maximum(truth, 0).astype(np.float32))
        wanted = wanted * (1 - self._smoothing) + self._smoothing / 2
        each = binary_cross_entropy_with_logits(logits, wanted, reduction="none") * known
        return each.sum(1) / known.sum(1).clamp(min=1)


def _pair(train: ImageSet) -> tuple[str, str] | None:
    """Of two classes the one that says that the label is not there, and the label; None: they are not two."""
    names = train.labelling.names
    if len(names) != 2 or any(p.row is not None for p in train.pictures) or claims(train):
        return None
    first, second = names
    if _says_absent(second) and not _says_absent(first):
        return second, first
    return first, second


def _says_absent(name: str) -> bool:
    return name.lower().startswith(_ABSENT) or name.lower() in _OTHER


def _names(train: ImageSet) -> tuple[str, ...]:
    """The labels: the columns', else those that a list names, sorted."""
    found = train.labelling
    if found.columns:
        return found.columns
    widths = {len(picture.row) for picture in train.pictures if picture.row is not None}
    if widths:
        return placeholders(max(widths))
    if not found.listed:
        raise LabelsError(
            f"{len(found.names)} folders tell one label of a photo, and --task multilabel learns any number",
            mend="list the photos in a CSV with a column for each label; or leave --task out",
        )
    names = sorted({name for cell in found.names for name in reading.labels_of(cell)})
    if not names:
        raise LabelsError(
            "the list names no label", mend="write photo.jpg,cat;dog, or a column for each label"
        )
    return tuple(names)


def _labelled(
    images: ImageSet, labels: Sequence[str], pair: tuple[str, str] | None, what: str, context: Context
) -> Labelled:
    if pair:
        named = images.classes_named(pair)
        context.warn_all(text for text in named.warnings if text not in images.warnings)
        classes = named.labels
        truth = np.full((len(images), 1), -1, np.int64) if classes is None else classes[:, None]
    else:
        truth = reading.several(images, labels)
    known = np.flatnonzero((truth >= 0).any(1))
    if not len(known):
        raise LabelsError(
            f"of no photo {what} a label is known", mend="list them in a CSV with a column for each label"
        )
    if len(known) < len(truth):
        context.warn(
            f"of {len(truth) - len(known)} of {len(truth)} photos {what} no label is known: they are left out"
        )
    return Labelled(tuple(images.pictures), truth).only(known)


def _refuse_one_sided(labels: Sequence[str], learnt: Labelled) -> None:
    there, absent = (learnt.truth == 1).sum(0), (learnt.truth == 0).sum(0)
    few = [
        f"{name} on {there[i]} and not on {absent[i]}"
        for i, name in enumerate(labels)
        if min(there[i], absent[i]) < LEAST
    ]
    if few:
        more = f"; and {len(few) - 3} more" if len(few) > 3 else ""
        raise TrainingError(
            f"{len(few)} of {len(labels)} labels cannot be learnt: too few photos have them, or have them "
            f"not: {'; '.join(few[:3])}{more}",
            mend=f"add photos, {LEAST} at least of either kind, or leave the label out",
        )
