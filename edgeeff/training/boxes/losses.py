"""How far a detector's outputs are from what they should be: focal loss of classes, Huber loss of codes.

Lin et al. 2017, arXiv:1708.02002 (focal loss), with the numbers of google/automl, efficientdet
(hparams_config.py: α 0.25, γ 1.5, δ 0.1, boxes weigh 50; tf2/train_lib.py: both are divided by the batch's
positives and one more, the boxes' by four times that).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgeeff.training.boxes.matching import IGNORED, Targets

#: Share of a positive's loss in the focal loss, and how much less counts what is right already.
ALPHA, GAMMA = 0.25, 1.5
#: Where the loss of a code turns from quadratic to linear; and the weight of all codes beside the classes.
DELTA, BOXES = 0.1, 50.0


@dataclass(frozen=True)
class Wanted:
    """What the outputs of a batch should be, as tensors.

    Args:
        counted: Anchors that the loss looks at, float32 [N, A, 1]: 1, or 0 where ignored.
        positives: Numbers of the anchors that are for a box, counted through the batch, int64 [P].
        classes: Of these, int64 [P].
        codes: Of these, float32 [P, 4].
    """

    counted: Tensor
    positives: Tensor
    classes: Tensor
    codes: Tensor

    @classmethod
    def of(cls, batch: Sequence[Targets]) -> Wanted:
        """Of the images of a batch."""
        count = len(batch[0].classes)
        numbers = [each.anchors + place * count for place, each in enumerate(batch)]
        return cls(
            torch.from_numpy(np.stack([each.classes != IGNORED for each in batch])[..., None]).float(),
            torch.from_numpy(np.concatenate(numbers)),
            torch.from_numpy(np.concatenate([each.classes[each.anchors] for each in batch])),
            torch.from_numpy(np.concatenate([each.codes for each in batch])),
        )

    def to(self, device: torch.device | str) -> Wanted:
        """The same there."""
        return Wanted(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def total(logits: Tensor, codes: Tensor, wanted: Wanted, positives: int, smoothing: float = 0.0) -> Tensor:
    """The loss of a batch, or of a part of it: the classes', and 50 times that of the codes.

    Args:
        logits: [N, A, C].
        codes: [N, A, 4].
        wanted: What they should be.
        positives: Anchors that are for a box in the whole batch.
        smoothing: What is taken off a probability of 1 and added to one of 0, half of it each (ε ÷ 2).
    """
    return (focal(logits, wanted, smoothing) + BOXES * huber(codes, wanted) / 4) / (positives + 1.0)


def focal(logits: Tensor, wanted: Wanted, smoothing: float = 0.0) -> Tensor:
    """The focal loss of all classes of all anchors that count, summed.

    All are taken for background first, and the few positives put right: no tensor of zeros and ones of the
    size of the logits is needed.
    """
    half = smoothing / 2
    x = logits.float()
    background = (1 - ALPHA) * torch.exp(GAMMA * F.logsigmoid(x)) * (F.softplus(x) - half * x)
    summed = (background * wanted.counted).sum()
    flat = wanted.positives * x.shape[2] + wanted.classes
    there = x.reshape(-1)[flat]
    right = ALPHA * torch.exp(GAMMA * F.logsigmoid(-there)) * (F.softplus(there) - (1 - half) * there)
    wrong = (1 - ALPHA) * torch.exp(GAMMA * F.logsigmoid(there)) * (F.softplus(there) - half * there)
    return summed + (right - wrong).sum()


def huber(codes: Tensor, wanted: Wanted) -> Tensor:
    """The Huber loss of the codes of anchors that are for a box, summed."""
    found = codes.float().reshape(-1, 4)[wanted.positives]
    return F.huber_loss(found, wanted.codes, reduction="sum", delta=DELTA)
