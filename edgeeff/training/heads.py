"""A classifier that learns alone, on what a frozen trunk makes of photos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgeeff.training.loop import Group, Part, Score
from edgeeff.training.photos.decoding import generator

#: ``loss(logits [N, classes], truth)``: of each image, [N].
Loss = Callable[[Tensor, npt.NDArray[np.int64]], Tensor]
#: ``judge(logits, truth)``.
Judge = Callable[[npt.NDArray[np.float32], npt.NDArray[np.int64]], Score]


@dataclass(frozen=True)
class Aim:
    """What a task makes of logits.

    Args:
        loss: The loss of each of some images.
        judge: What logits are worth.
    """

    loss: Loss
    judge: Judge


@dataclass(frozen=True)
class Seen:
    """Photos as the trunk sees them: features [views, N, F], and what is known of each photo."""

    features: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pace:
    """How steps are taken.

    Args:
        batch: Photos in a step.
        rate: Of AdamW.
        decay: Of the weights.
        dropout: Share of the features that are left out.
        seed: Of the order of the photos.
    """

    batch: int
    rate: float
    decay: float
    dropout: float
    seed: int


@dataclass(frozen=True)
class Head:
    """The learner: a linear classifier, in its network."""

    classifier: nn.Linear
    aim: Aim
    train: Seen
    validation: Seen
    pace: Pace

    def groups(self) -> Sequence[Group]:
        """Weights with decay, biases without."""
        layer, pace = self.classifier, self.pace
        for parameter in layer.parameters():
            parameter.requires_grad_(True)
        return [
            Group({"classifier.weight": layer.weight}, pace.rate, pace.decay),
            Group({"classifier.bias": layer.bias}, pace.rate),
        ]

    def buffers(self) -> Mapping[str, Tensor]:
        """None."""
        return {}

    def steps(self) -> int:
        """Batches of an epoch; a last one that is not full counts."""
        return -(-len(self.train.truth) // self.pace.batch)

    def batches(self, epoch: int, begin: int) -> Iterator[npt.NDArray[np.int64]]:
        """The photos of each batch [n, 2]: view and number."""
        views, count = self.train.features.shape[:2]
        random = generator(self.pace.seed, 0xBA7C, epoch)
        order, view = random.permutation(count), random.integers(0, views, count)
        pairs = np.stack([view, order], axis=1)
        for start in range(begin * self.pace.batch, count, self.pace.batch):
            yield pairs[start : start + self.pace.batch]

    def parts(self, batch: npt.NDArray[np.int64], epoch: int) -> Sequence[Part]:
        """One: there is nothing to share out."""
        del epoch

        def loss(random: torch.Generator) -> Tensor:
            view, number = batch.T
            x = dropped(torch.from_numpy(self.train.features[view, number]), self.pace.dropout, random)
            return self.aim.loss(self.classifier(x), self.train.truth[number]).sum() / len(batch)

        return [loss]

    def score(self) -> Score:
        """On the photos that judge, as the deployment shows them."""
        with torch.inference_mode():
            logits = self.classifier(torch.from_numpy(self.validation.features[0])).numpy()
        return self.aim.judge(logits, self.validation.truth)


def dropped(x: Tensor, share: float, random: torch.Generator) -> Tensor:
    """``x`` without a share of its values, the others larger for it (Srivastava et al. 2014)."""
    if not share:
        return x
    keep = torch.rand(x.shape, generator=random) >= share
    return x * keep / (1 - share)
