"""Two photos in one, and their labels with them: mixup and CutMix.

Zhang et al. 2017, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899. As in the authors' code
(google/automl, efficientnetv2/datasets.py) a photo's partner is the one at the same place from the batch's
end, each photo has a share of its own, and where both are on, one half of the batch is mixed in one way and
the other half in the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixed:
    """Photos of a batch, mixed.

    Args:
        x: [N, C, H, W].
        own: Share of each photo in what it became, [N], 0…1: so much its own label counts, and the rest its
            partner's.
        partner: Which photo the rest is from, [N].
    """

    x: Tensor
    own: Tensor
    partner: npt.NDArray[np.int64]


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

    def __call__(self, x: Tensor, random: np.random.Generator) -> Mixed:
        """Photos [N, C, H, W], mixed; what is passed stays as it is.

        A photo without a partner, the middle one of an odd number, stays alone.
        """
        count = len(x)
        half = count // 2 if self.mixup and self.cutmix else count * (self.mixup > 0)
        partner = np.concatenate([np.arange(half)[::-1], np.arange(half, count)[::-1]])
        own = torch.ones((count, 1, *x.shape[2:]), device=x.device)
        if half:
            own[:half] = torch.from_numpy(_shares(half, self.mixup, random)).to(x.device)
        if half < count and self.cutmix:
            masks = _rectangles(count - half, x.shape[2], x.shape[3], self.cutmix, random)
            own[half:] = torch.from_numpy(masks).to(x.device)
        shares = own.mean((1, 2, 3))
        shares[torch.from_numpy(partner == np.arange(count)).to(x.device)] = 1.0
        return Mixed(own * x + (1 - own) * x[partner], shares, partner)


def _shares(count: int, alpha: float, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Of mixup, [count, 1, 1, 1]: the larger one, at least a half, is a photo's own."""
    drawn = random.beta(alpha, alpha, count)
    return np.maximum(drawn, 1 - drawn).astype(np.float32).reshape(-1, 1, 1, 1)


def _rectangles(
    count: int, height: int, width: int, alpha: float, random: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Of CutMix, [count, 1, height, width]: 0 in a rectangle somewhere, part of it in the photo."""
    own = np.ones((count, 1, height, width), np.float32)
    for number, area in enumerate(1 - random.beta(alpha, alpha, count)):
        spans = []
        for side in (height, width):
            centre, reach = int(random.integers(0, side)), int(np.sqrt(area) * side) // 2
            spans.append(slice(max(0, centre - reach), min(side, centre + reach)))
        own[number, 0, spans[0], spans[1]] = 0
    return own
