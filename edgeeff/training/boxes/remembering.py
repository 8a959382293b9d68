"""A detector whose batch normalisation remembers the photos of this training, as a classifier's does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgeeff.progress import Recorder
from edgeeff.training import trunk
from edgeeff.training.boxes.reading import Reader
from edgeeff.zoo.detection.efficientdet import EfficientDet

#: Photos that are run, and how many of them at a time.
_MOST, _TOGETHER = 128, 4


def remember(network: EfficientDet, photos: Reader, progress: Recorder) -> None:
    """Let every batch normalisation remember what these photos give; what is computed stays the same.

    Args:
        network: In eval mode as far as batch normalisation goes.
        photos: As the deployment shows them.
        progress: Hears of each photo.
    """
    count = len(photos.photos)
    chosen = np.unique(np.linspace(0, count - 1, min(_MOST, count)).astype(int)).tolist()
    progress.stage("noting what these photos are like", len(chosen))
    norms = {name: m for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)}
    batches = [chosen[i : i + _TOGETHER] for i in range(0, len(chosen), _TOGETHER)]
    with torch.no_grad(), _watched(norms) as found:
        for batch in photos.read(batches, 0):
            if batch.numbers:
                network(torch.from_numpy(photos.preprocess.normalise(batch.pixels)))
            progress.advance(len(batch.numbers))
    for name, norm in norms.items():
        if name in found:
            trunk.restate(norm, found[name])


@contextmanager
def _watched(norms: dict[str, nn.BatchNorm2d]) -> Iterator[dict[str, npt.NDArray[np.float64]]]:
    """What each gives meanwhile, summed (:func:`trunk.sums`)."""
    found: dict[str, npt.NDArray[np.float64]] = {}

    def watch(name: str) -> None:
        def seen(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            found[name] = found.get(name, 0) + trunk.sums(output)

        handles.append(norms[name].register_forward_hook(seen))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name in norms:
        watch(name)
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
