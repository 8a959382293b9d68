"""What classification and multilabel share: a head that learns on a frozen trunk, then blocks behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgeeff import digests
from edgeeff.errors import ImageError
from edgeeff.graph.side_by_side import one_thread
from edgeeff.images.image_set import skipped
from edgeeff.pipeline.stages.identity import Source
from edgeeff.preprocess import Preprocess
from edgeeff.training import regularising, trunk
from edgeeff.training.augment.crop import RandomCrop
from edgeeff.training.features import Trunk, View
from edgeeff.training.heads import Aim, Head, Pace, Seen
from edgeeff.training.loop import Course, workers
from edgeeff.training.photos import decoding, varying
from edgeeff.training.photos.labelled import Labelled
from edgeeff.training.request import BATCH
from edgeeff.training.setting import Setting
from edgeeff.training.tasks import Phase
from edgeeff.training.tuned import Shown, Tuned

#: Views of all photos together, where nobody says how many each has; and of one at most.
VIEWS, MOST_VIEWS = 2400, 6
#: Epochs of a phase where nobody says how many.
HEAD_EPOCHS, BLOCK_EPOCHS = 40, 15
#: Photos that batch normalisation is made to remember.
REMEMBERED = 256
_VARIED: Mapping[str, decoding.Vary | None] = {
    "slight": varying.slightly,
    "unmirrored": varying.slightly_unmirrored,
    "wide": RandomCrop(),
    "none": None,
}


class Session:
    """A classifier's training.

    Args:
        setting: What is trained, on what.
        outputs: Of the classifier.
        aim: ``aim(truth)``: what the logits are to be, of the photos that are learnt from.
    """

    def __init__(self, setting: Setting, outputs: int, aim: Callable[[Any], Aim]) -> None:
        learning, source = setting.request.learning, setting.source
        self.setting = setting
        if not learning.blocks:
            regularising.refuse(
                setting.request.regularisation, "with a frozen trunk", "let blocks learn: --blocks all"
            )
        self.network = trunk.classifier(source, setting.preprocess.size, outputs, learning.seed)
        digest = facts(source, setting.preprocess)
        self._trunk = Trunk(self.network, digest, setting.preprocess, setting.context)
        self._gained = False  # by blocks that learnt
        self._aim, self._vary = aim, _VARIED[setting.request.photos.augment]
        self.train, self.validation = setting.data.train, setting.data.validation

    def phases(self) -> Iterator[Phase]:
        """The head alone, on what the frozen trunk makes of photos; then blocks, if they are asked for."""
        learning = self.setting.request.learning
        train, judging = self._seen()
        aim = self._aim(train.truth)
        pace = Pace(learning.batch or BATCH, learning.rate, learning.decay, learning.dropout, learning.seed)
        head = Head(self.network.classifier, aim, train, judging, pace)
        course = self._course(HEAD_EPOCHS, last=not learning.blocks)
        facts = {"pace": asdict(pace), "course": asdict(course), "views": len(train.features)}
        yield Phase("head", "training the head", head, course, facts)
        if not learning.blocks:
            self._remember(self._trunk)
            with torch.inference_mode():
                self._logits = self.network.classifier(torch.from_numpy(judging.features[0])).numpy()
            return
        plan = self._plan()
        for line in plan.lines:
            self.setting.context.progress.tell(line)
        shown = Shown(self.setting.preprocess, self._vary, plan.stages, plan.survival)
        with workers() as pool:
            tuned = Tuned(
                self.network,
                learning.blocks,
                aim,
                (self.train, self.validation),
                shown,
                replace(pace, rate=learning.block_rate),
                learning.block_rate,
                pool,
            )
            tuned.refuse_large()
            course = self._course(BLOCK_EPOCHS, last=True)
            course = replace(
                course,
                beat=head.score(),
                earliest=plan.stages[-1].begin,
                batch=learning.batch or BATCH,
                flag="--block-rate",
            )
            facts = {"blocks": learning.blocks, "pace": asdict(tuned.pace), "course": asdict(course)}
            facts |= {"stages": [asdict(stage) for stage in plan.stages], "survival": plan.survival}
            before = self._digest()
            yield Phase("blocks", f"training {self._learning()}", tuned, course, facts)
            self._gained = self._digest() != before
            self._remember(replace(self._trunk, digest=self._digest()))
            with one_thread():
                self._logits = tuned.logits(self.validation.pictures)

    def _digest(self) -> str:
        """Of the network as it is."""
        return digests.of_bytes(b"".join(t.numpy().tobytes() for t in self.tensors().values()))

    def _course(self, epochs: int, *, last: bool) -> Course:
        """How long and how fast a phase is; what the user says of its length is of the last one."""
        learning = self.setting.request.learning
        return Course(
            epochs=(learning.epochs if last else None) or epochs,
            minutes=learning.minutes if last else None,
            warmup=learning.warmup,
            patience=learning.patience,
            average=learning.average,
            seed=learning.seed,
        )

    def _plan(self) -> regularising.Plan:
        """How blocks are regularised."""
        request, course = self.setting.request, self._course(BLOCK_EPOCHS, last=True)
        epochs = course.epochs if course.minutes is None else None
        return regularising.plan(
            request.regularisation,
            len(self.train),
            epochs,
            self.setting.preprocess.size,
            request.learning.dropout,
        )

    def _learning(self) -> str:
        count, all_of_them = self.setting.request.learning.blocks or 0, len(self.network.blocks)
        return "all blocks" if count >= all_of_them else f"the last {count} of {all_of_them} blocks"

    def tensors(self) -> Mapping[str, Tensor]:
        """All of the network's."""
        return trunk.tensors(self.network)

    def says(self) -> Mapping[str, Any]:
        """Which part of it learnt."""
        return {
            "trunk": f"{self._learning()} trained" if self._gained else "frozen",
            "batch_norm": "frozen, its statistics those of the training photos",
        }

    def judged(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The logits of the photos that judge, and their truth."""
        return self._logits, self.validation.truth

    def _seen(self) -> tuple[Seen, Seen]:
        """What the trunk makes of the photos; those that cannot be decoded are left out."""
        photos, seed = self.setting.request.photos, self.setting.request.learning.seed
        vary = self._vary
        count = photos.views or max(1, min(MOST_VIEWS, VIEWS // max(1, len(self.train))))
        views = [View()] + [View(n, vary, photos.augment, seed) for n in range(1, count) if vary is not None]
        found = self._trunk.of(self.train.pictures, views, "looking at the photos")
        judging = self._trunk.of(self.validation.pictures, [View()], "looking at those that judge")
        self.train, kept = self._readable(self.train, {**found[0].bad})
        self.validation, judged = self._readable(self.validation, {**judging[0].bad})
        features = np.stack([one.values[kept] for one in found])
        return Seen(features, self.train.truth), Seen(judging[0].values[judged][None], self.validation.truth)

    def _readable(self, photos: Labelled, bad: Mapping[int, str]) -> tuple[Labelled, Any]:
        kept = np.array([n for n in range(len(photos)) if n not in bad], np.int64)
        if not len(kept):
            raise ImageError(
                f"none of {len(photos)} photos can be decoded: {next(iter(bad.values()))}",
                mend="pass photos that are whole",
            )
        self.setting.context.warn_all(skipped({str(photos.pictures[n]): why for n, why in bad.items()}))
        return photos.only(kept), kept

    def _remember(self, run: Trunk) -> None:
        """Batch normalisation remembers the photos of this training instead of those of an earlier one."""
        pictures = self.train.pictures
        spread = np.unique(np.linspace(0, len(pictures) - 1, min(REMEMBERED, len(pictures))).astype(int))
        trunk.remember(self.network, run.moments([pictures[i] for i in spread]))


def facts(source: Source, preprocess: Preprocess) -> str:
    """The digest of all that the values of a source's trunk hang on."""
    from edgeeff.cache import key_of

    conventions, asked = source.identity.conventions, source.asked
    return key_of(
        source=source.digest,
        model=source.identity.model,
        chosen=[asked.prefix, asked.channels],
        conventions=asdict(conventions) if conventions else None,
        size=preprocess.size,
    )
