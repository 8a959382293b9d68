"""The swap, top to bottom.

network ─▶ other activation ─▶ statistics anew ─▶ block by block ─▶ the whole ─▶ checkpoint, both compared
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from torch import Tensor

from edgeeff import tasks
from edgeeff.errors import ImageError, OptionError
from edgeeff.metrics import sqnr
from edgeeff.tasks import CLASSIFICATION, MULTILABEL, Meaning
from edgeeff.training import device, trunk
from edgeeff.training.loop import Course, Score
from edgeeff.training.photos import decoding, varying
from edgeeff.training.request import BATCH
from edgeeff.training.setting import Setting
from edgeeff.training.swap import networks, statistics
from edgeeff.training.swap.learners import Blocks, Distilling, Logits, Whole
from edgeeff.training.swap.photos import Stream
from edgeeff.training.tasks import Phase
from edgeeff.zoo.sources import Identity

#: Photos seen in each of the two phases, where nobody says how many epochs.
VIEWS = 4800
#: Rates of the phases, as shares of the head's (``--rate``).
BLOCKS_RATE, WHOLE_RATE = 1 / 3, 1 / 30
VARIED: Mapping[str, decoding.Vary | None] = {
    "slight": varying.slightly,
    "unmirrored": varying.slightly_unmirrored,
    "none": None,
}


def task_of(identity: Identity, said: str | None = None) -> str:
    """What the network decides, which a swap does not change: as the user or the checkpoint says it.

    Raises:
        OptionError: A task that has no logits.
    """
    if said not in (None, CLASSIFICATION, MULTILABEL):
        raise OptionError(
            f"--task {said:.40} with --activation", mend=f"choose {CLASSIFICATION} or {MULTILABEL}"
        )
    return said or (MULTILABEL if identity.ends_in == "sigmoid" else CLASSIFICATION)


class Session:
    """One swap: a :class:`edgeeff.training.tasks.Session`."""

    def __init__(self, setting: Setting, activation: str) -> None:
        request, size = setting.request, setting.preprocess.size
        teacher = networks.teacher(setting.source, size).to(device.best())
        self.setting, self.activation = setting, networks.chosen(activation, teacher)
        learning, photos = request.learning, request.photos
        self._task = task_of(setting.source.identity, photos.task)
        vary = VARIED[photos.augment]
        train = Stream(setting.data.train.pictures, setting.preprocess, setting.context, vary, learning.seed)
        self._pair = Distilling(
            teacher,
            networks.with_activation(teacher, self.activation),
            train,
            Stream(setting.data.validation.pictures, setting.preprocess, setting.context),
            batch=learning.batch or BATCH,
            together=networks.images_of_a_part(teacher, size),
            centred=self._task == CLASSIFICATION,
            seed=learning.seed,
        )

    def phases(self) -> Iterator[Phase]:
        """Statistics anew, then the two learners."""
        learning, pair = self.setting.request.learning, self._pair
        progress = self.setting.context.progress
        progress.tell(f"swap     experimental: {self.setting.source.identity.model} learns {self.activation}")
        pair.wanted = pair.of(pair.teacher, pair.judging)
        if not len(pair.wanted):
            raise ImageError("no photo to judge by can be decoded", mend="pass photos that are whole")
        count = statistics.refit(pair.student, pair.photos, progress)
        if not count:
            raise ImageError("no photo to learn from can be decoded", mend="pass photos that are whole")
        score = self._tell(f"statistics of {count} photos")
        course = Course(
            epochs=learning.epochs or max(1, round(VIEWS / len(pair.photos.pictures))),
            minutes=None if learning.minutes is None else learning.minutes / 2,
            warmup=learning.warmup,
            patience=learning.patience,
            average=learning.average,
            batch=learning.batch or BATCH,
            seed=learning.seed,
        )
        where = pair.student.classifier.weight.device.type
        facts = {
            "device": where,
            "activation": self.activation,
            "course": asdict(course),
            "together": pair.together,
        }
        for name, doing, learner in (
            ("blocks", "distilling block by block", Blocks(pair, learning.rate * BLOCKS_RATE)),
            ("whole", "distilling the whole network", Whole(pair, learning.rate * WHOLE_RATE)),
        ):
            own = {**facts, "rate": learner.rate, "batch": pair.batch}
            yield Phase(name, doing, learner, replace(course, beat=score), own)
            score = self._tell(doing)

    def tensors(self) -> Mapping[str, Tensor]:
        """The student's."""
        return trunk.tensors(self._pair.student)

    def says(self) -> Mapping[str, Any]:
        """How it came to its activation."""
        return {
            "activation": self.activation,
            "distilled_from": self.setting.source.identity.model,
            "batch_norm": "its statistics taken anew, then frozen",
        }

    def scored(self) -> Mapping[str, Any]:
        """Both float networks on the photos that judge, and against labels where any are known."""
        pair, task = self._pair, self._task
        wanted, made = self._wanted(), pair.of(pair.student, pair.judging)
        room, classes = tasks.room(task), pair.student.classifier.out_features
        found: dict[str, Any] = {
            "sqnr_db": sqnr(wanted, made),
            "sqnr_centred_db": sqnr(wanted, made, per_image_mean=pair.centred),
            "photos": len(made),
        }
        if pair.centred:
            found["agreement"] = float((wanted.argmax(1) == made.argmax(1)).mean())
        truth = self._truth()
        if truth is not None:
            for name, values in (("before", wanted), ("after", made)):
                scorer = room.scorer(Meaning(), classes, name)
                scorer.update({"logits": values[truth >= 0]}, truth[truth >= 0])
                scores = scorer.scores()
                found[name] = scores.to_json() if scores else None
        # The swapped network's own scores stand where those of any trained network do.
        return {
            **(found.get("after") or {}),
            **{"experimental": True, "activation": self.activation, "float": found},
        }

    def _truth(self) -> np.ndarray[Any, np.dtype[np.int64]] | None:
        """The class of each photo that judges and can be decoded; None where none is known."""
        pair, truth = self._pair, self.setting.data.validation.truth
        names = [str(picture) for picture in pair.judging.pictures]
        kept = np.array([name not in pair.judging.bad for name in names])
        found: np.ndarray[Any, np.dtype[np.int64]] = truth[kept]
        return found if (found >= 0).any() and self._task == CLASSIFICATION else None

    def _wanted(self) -> Logits:
        pair = self._pair
        return pair.wanted if pair.wanted is not None else pair.of(pair.teacher, pair.judging)

    def _tell(self, after: str) -> Score:
        score = self._pair.score()
        figures = ", ".join(
            f"agreement {value:.2%}" if name == "agreement" else f"{value:.1f} dB"
            for name, value in score.figures.items()
        )
        self.setting.context.progress.tell(f"         {after}: {figures} to the network as it was")
        return score
