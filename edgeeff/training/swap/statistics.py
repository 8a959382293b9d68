"""Statistics of batch normalisation anew: what another activation gives is distributed otherwise.

The cheapest step, and the first: of a B0 with HardSwish it brings half of the lost points back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from edgeeff.graph.side_by_side import one_thread
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.progress import Recorder
from edgeeff.training import trunk
from edgeeff.training.swap.networks import rows
from edgeeff.training.swap.photos import Stream, in_batches, spread
from edgeeff.zoo.efficientnet import EfficientNet

#: Photos that they are taken of, and how many of these are normalised together, at most.
PHOTOS, TOGETHER = 512, 64
#: Pixels of a batch at most: 64 photos of 224×224.
_PIXELS = 64 * 224 * 224


def refit(network: EfficientNet, photos: Stream, progress: Recorder) -> int:
    """Take the mean and variance of each batch normalisation anew; returns of how many photos.

    Each layer's statistics are those of what the layers before it give once they are normalised anew.
    """
    size = photos.preprocess.size
    together = max(1, min(TOGETHER, _PIXELS // (size[0] * size[1])))
    batches = in_batches(spread(len(photos.pictures), PHOTOS), together)
    progress.stage("statistics of batch normalisation", sum(map(len, batches)))
    count = 0
    with one_thread(), _taking_statistics(network), torch.inference_mode():
        for batch in photos.plain().batches(batches):
            if len(batch.pixels) > 1:  # a single photo's variance is none where its map has one pixel
                _through(network, batch.pixels, photos.preprocess)
                count += len(batch.pixels)
            progress.advance(len(batch.pixels) + len(batch.bad))
    return count


def _through(network: EfficientNet, pixels: Pixels, preprocess: Preprocess) -> None:
    x: Tensor = trunk.inputs(preprocess, pixels).to(network.classifier.weight.device)
    for _, row in rows(network):
        x = row(x)


@contextmanager
def _taking_statistics(network: EfficientNet) -> Iterator[None]:
    """Batch normalisation alone is in training mode, and averages over all batches."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the average of all batches
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.eval()
            norm.momentum = momentum
