"""A segmenter that learns masks: what :func:`edgeeff.training.loop.descend` descends on.

Batch normalisation is frozen throughout, its statistics and, in the encoder, its scales: a batch on one
machine is too small to know better than the images that the encoder was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeeff.tasks.segmentation import SegmentationScorer, SegmentationScores
from edgeeff.training.loop import Group, Part, Score, workers
from edgeeff.training.masks.reading import Batch, Reader
from edgeeff.zoo.segmentation.segmenter import DECODER, Segmenter

#: Photos that one thread computes at a time; a batch is cut into such parts on any machine.
_PART = 4
#: Photos that are judged at a time.
_JUDGED = 8
_IGNORED = -100


@dataclass(frozen=True)
class Pace:
    """How steps are taken.

    Args:
        decoder: The largest rate of AdamW.
        encoder: Likewise, of the encoder; 0: it is frozen.
        decay: Of the weights of convolutions.
        batch: Photos of a step.
        smoothing: Share of a pixel's label that goes to all classes alike.
        seed: Of the photos' order.
    """

    decoder: float
    encoder: float
    decay: float
    batch: int
    smoothing: float = 0.0
    seed: int = 0


class MaskLearner:
    """A segmenter, photos that it learns from and photos that judge it.

    Args:
        network: Learns, in its place.
        training: Makes batches.
        judging: Photos to judge by, as the deployment shows them.
        weights: Of each class, float32 [C].
        pace: How steps are taken.
    """

    def __init__(
        self,
        network: Segmenter,
        training: Reader,
        judging: Reader,
        weights: npt.NDArray[np.float32],
        pace: Pace,
    ) -> None:
        self._network, self._training, self._judging = network.eval(), training, judging
        self._weights, self._pace = torch.from_numpy(weights), pace
        kinds: dict[tuple[float, float], dict[str, Tensor]] = {}
        for name, parameter in network.named_parameters():
            rate = pace.decoder if name.startswith(DECODER) else pace.encoder
            learns = rate > 0 and (name.startswith(DECODER) or not _of_norm(network, name))
            parameter.requires_grad_(learns)
            if learns:
                decay = pace.decay if parameter.dim() > 1 else 0.0
                kinds.setdefault((rate, decay), {})[name] = parameter
        self._groups = [Group(tensors, rate, decay) for (rate, decay), tensors in kinds.items()]

    def groups(self) -> Sequence[Group]:
        """All that learns, at its rates."""
        return self._groups

    def buffers(self) -> Mapping[str, Tensor]:
        """Batch statistics are frozen."""
        return {}

    def steps(self) -> int:
        """Of an epoch; the last one may have fewer photos."""
        return -(-len(self._training.pictures) // self._pace.batch)

    def batches(self, epoch: int, begin: int) -> Iterator[Batch]:
        """The photos in an order that is the epoch's."""
        count, size = len(self._training.pictures), self._pace.batch
        order = np.random.default_rng([self._pace.seed, 0xBA7C, epoch]).permutation(count)
        parts = [order[i : i + size].tolist() for i in range(0, count, size)]
        return self._training.read(parts[begin:], epoch)

    def parts(self, batch: Batch, epoch: int) -> Sequence[Part]:
        """The batch's loss in parts of a few photos: what it is divided by is that of the whole batch."""
        del epoch
        known = batch.classes[batch.classes != self._training.void]
        total = float(self._weights[torch.from_numpy(known.astype(np.int64))].double().sum())
        starts = range(0, len(batch.pixels), _PART) or (0,)
        return [partial(self._loss, batch, start, total) for start in starts]

    def _loss(self, batch: Batch, start: int, total: float, random: torch.Generator) -> Tensor:
        del random
        part = slice(start, start + _PART)
        if not len(batch.pixels[part]) or not total:  # nothing of the batch is known, or could be decoded
            return next(iter(self._groups[0].tensors.values())).sum() * 0
        return self._summed(self._run(batch.pixels[part]), batch.classes[part], self._pace.smoothing) / total

    def _summed(self, logits: Tensor, classes: npt.NDArray[Any], smoothing: float = 0.0) -> Tensor:
        """Cross-entropy of the pixels that are known, weighted and summed."""
        truth = torch.from_numpy(classes.astype(np.int64))
        truth[truth == self._training.void] = _IGNORED
        return F.cross_entropy(
            logits,
            truth,
            weight=self._weights,
            ignore_index=_IGNORED,
            reduction="sum",
            label_smoothing=smoothing,
        )

    def _run(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        x = torch.from_numpy(self._training.preprocess.normalise(pixels))
        found: Tensor = self._network(x.contiguous(memory_format=torch.channels_last))
        return found

    def score(self) -> Score:
        """Mean IoU on the photos that judge, and their loss."""
        return self.judged()[0]

    def judged(self) -> tuple[Score, SegmentationScores]:
        """The same, with everything that is known of the masks: on their own pixels, as evaluation has it."""
        reader = self._judging
        scorer, loss, total = SegmentationScorer(len(self._weights)), 0.0, 0.0
        for batch, logits in self._outputs():
            truth = np.empty(len(batch.numbers), object)
            truth[:] = [reader.known[number] for number in batch.numbers]
            scorer.update({"mask_logits": logits.numpy()}, truth)
            loss += float(self._summed(logits, batch.classes))
            known = batch.classes[batch.classes != reader.void].astype(np.int64)
            total += float(self._weights[torch.from_numpy(known)].double().sum())
        scores = scorer.scores()
        if not isinstance(scores, SegmentationScores):
            return Score(float("nan"), float("nan")), _NOTHING
        figures = {"miou": scores.primary, "pixel_accuracy": scores.pixels.value}
        return Score(scores.primary, loss / max(total, 1e-9), figures), scores

    def _outputs(self) -> Iterator[tuple[Batch, Tensor]]:
        """Photos with what the network says of them."""
        count = len(self._judging.pictures)
        parts = [range(i, min(i + _JUDGED, count)) for i in range(0, count, _JUDGED)]

        def run(pixels: npt.NDArray[np.uint8]) -> Tensor:
            with torch.no_grad():
                return self._run(pixels)

        with workers() as pool:
            for batch in self._judging.read(parts, 0):
                if batch.numbers:
                    pieces = [batch.pixels[i : i + _PART] for i in range(0, len(batch.pixels), _PART)]
                    yield batch, torch.cat(list(pool.map(run, pieces)))


_NOTHING = SegmentationScores(
    np.zeros(0, np.int64), np.zeros((0, 3, 1), np.int64), np.zeros((1, 2), np.int64), np.zeros(3, np.int64)
)


def _of_norm(network: Segmenter, name: str) -> bool:
    return isinstance(network.get_submodule(name.rpartition(".")[0]), nn.BatchNorm2d)
