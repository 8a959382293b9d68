"""Two photos in one, and their labels with them: mixup and CutMix.

Zhang et al. 2017, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899. As in the authors' code
(google/automl, efficientnetv2/datasets.py) a photo's partner is the one at the same place from the batch's
end, each photo has a share of its own, and where both are on, one half of the batch is mixed in one way and
the other half in the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixing:
    """How photos of a batch are mixed.

    Args:
        mixup: α of the Beta distribution that shares are drawn from; 0: no mixup.
        cutmix: The same for CutMix.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __bool__(self) -> bool:
        """Whether anything is mixed."""
        return self.mixup > 0 or self.cutmix > 0

    def __call__(self, x: Tensor, labels: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Photos [N, C, H, W] and labels [N, classes] of 0…1, mixed; what is passed stays as it is.

        A photo without a partner, the middle one of an odd number, stays alone.
        """
        if not self:
            return x, labels
        if self.mixup and self.cutmix:
            half = len(x) // 2
            first = mixup(x[:half], labels[:half], self.mixup, random)
            second = cutmix(x[half:], labels[half:], self.cutmix, random)
            return torch.cat([first[0], second[0]]), torch.cat([first[1], second[1]])
        if self.mixup:
            return mixup(x, labels, self.mixup, random)
        return cutmix(x, labels, self.cutmix, random)


def mixup(x: Tensor, labels: Tensor, alpha: float, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Each photo and its partner, weighted: the larger share, at least a half, is the photo's own."""
    drawn = random.beta(alpha, alpha, len(x))
    own = torch.from_numpy(np.maximum(drawn, 1 - drawn).astype(np.float32)).to(x.device)
    return _blend(x, own.view(-1, 1, 1, 1)), _blend(labels, own.view(-1, 1))


def cutmix(x: Tensor, labels: Tensor, alpha: float, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A rectangle of each photo taken from its partner; labels go by the area that is taken."""
    count, height, width = len(x), *x.shape[2:]
    own = np.ones((count, 1, height, width), np.float32)
    for number, area in enumerate(1 - random.beta(alpha, alpha, count)):
        spans = []
        for side in (height, width):
            centre, reach = int(random.integers(0, side)), int(np.sqrt(area) * side) // 2
            spans.append(slice(max(0, centre - reach), min(side, centre + reach)))
        own[number, 0, spans[0], spans[1]] = 0
    mask = torch.from_numpy(own).to(x.device)
    return _blend(x, mask), _blend(labels, mask.mean((2, 3)))


def _blend(values: Tensor, own: Tensor) -> Tensor:
    """What is a photo's own, and the rest of its partner."""
    return own * values + (1 - own) * values.flip(0)
