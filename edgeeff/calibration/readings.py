"""Which of several readings of the same tensors fits the images: what batch normalisation expects tells.

Two libraries may compute different things with the same tensors: pad otherwise, add another epsilon, prepare
images otherwise. Batch normalisation has written down what each channel's mean and standard deviation were in
training (Ioffe & Szegedy 2015, algorithm 2), so a few images are run under both readings, and two questions
are asked of the layers that come out different:

- whose *distance* from that is the smaller: the median over layers and channels, in the channel's expected
  standard deviations, as in :mod:`edgeeff.calibration.domain`;
- where what is expected *lies* on the way from the one to the other: 0 at the first, 1 at the second. That
  is the least-squares coefficient Σ r·d / Σ d², d being the difference of the two readings in every channel's
  mean and deviation and r what the first is off.

Both have to agree, and the nearer one has to lie in its domain, since images of other things lead both
astray. Measured on real weights (Lite0 as it came from TensorFlow; a B0 with batch normalisation measured
anew under each of three paddings, at 144 and 176 pixels), 16 comparisons a set: with 32 photos of the
training's kind 15 are decided, rightly, the true reading at -0.25 to 0.31 (the last differs in epsilon
alone); with 8 of them half are; with photos of cats and dogs, groceries or streets 15 of 48 are, rightly, and
the rest left open; noise decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Vector = npt.NDArray[np.float64]
Verdict = Literal["first", "second", "open", "equal"]

#: Images that are looked at, at most: a decision needs them to be of the training's kind and not too few.
IMAGES = 32
#: How far from an end what is expected may lie for that end to be right…
LIES = 0.35
#: …the share of the other's distance that its own may be…
NEARER = 0.9
#: …and how far it may be from what it expects.
FITS = 0.2
#: A channel that is further off than this counts as this far, so that no single one decides.
FARTHEST = 3.0
#: Readings that differ nowhere by more than this share of a standard deviation compute the same.
SAME = 1e-3
#: Channels whose expected deviation is under this share of the layer's median are switched off: no unit.
_OFF = 1e-2


@dataclass(frozen=True)
class Comparison:
    """Two readings, held against what batch normalisation expects.

    Args:
        first: The distance of the first, in the channels' expected standard deviations.
        second: That of the second.
        lies: Where what is expected lies between them: 0 at the first, 1 at the second.
    """

    first: float
    second: float
    lies: float

    @property
    def verdict(self) -> Verdict:
        """Which is right, if the images tell."""
        if self.first == self.second == self.lies == 0.0:
            return "equal"
        if self.lies <= LIES and self.first <= min(FITS, NEARER * self.second):
            return "first"
        if self.lies >= 1 - LIES and self.second <= min(FITS, NEARER * self.first):
            return "second"
        return "open"


@dataclass(frozen=True)
class Observed:
    """A batch normalisation's output: how far mean and deviation are off what it expects, for each channel.

    Args:
        off: What is expected less what was observed, of all means and then of all deviations, [2·C], in the
            channel's expected standard deviation; zero for channels that are switched off.
        on: Which channels are not switched off, [C].
    """

    off: Vector
    on: npt.NDArray[np.bool_]

    @property
    def distance(self) -> float:
        """The median over the channels."""
        mean, deviation = np.split(self.off, 2)
        return float(np.median(np.hypot(mean, deviation)[self.on])) if self.on.any() else 0.0


def observe(network: nn.Module, batches: Iterable[Tensor]) -> dict[str, Observed]:
    """Run a network over images, and hold every batch normalisation's output against what it expects.

    Args:
        network: In eval mode.
        batches: Its inputs, float32 [n, 3, H, W].

    Returns:
        By the layer's name, in the order in which they run.
    """
    sums: dict[str, Tensor] = {}  # count, Σx and Σx² of each channel
    norms = {name: module for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}

    def watch(name: str) -> object:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            rows = output.transpose(0, 1).flatten(1).double()
            count = torch.full((len(rows),), float(rows.shape[1]), dtype=torch.float64)
            found = torch.stack([count, rows.sum(1), rows.square().sum(1)])
            sums[name] = found if name not in sums else sums[name] + found

        return norms[name].register_forward_hook(hook)

    hooks = [watch(name) for name in norms]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in collect: torch's own threads wait for each other by spinning
    try:
        with torch.inference_mode():
            for batch in batches:
                network(batch)
    finally:
        torch.set_num_threads(threads)
        for hook in hooks:
            hook.remove()  # type: ignore[attr-defined]
    return {name: _held_against(norms[name], found) for name, found in sums.items()}


def compare(first: Mapping[str, Observed], second: Mapping[str, Observed]) -> Comparison:
    """Hold two readings of the same tensors, on the same images, against each other.

    Layers in which they do not differ say nothing and are left out.
    """
    products = squares = 0.0
    distances: tuple[list[float], list[float]] = [], []
    for name, one in first.items():
        other = second[name]
        both = np.tile(one.on & other.on, 2)
        way = np.clip((one.off - other.off)[both], -FARTHEST, FARTHEST)
        if not len(way) or float(np.abs(way).max()) < SAME:
            continue
        products += float(np.clip(one.off[both], -FARTHEST, FARTHEST) @ way)
        squares += float(way @ way)
        for found, observed in zip(distances, (one, other), strict=True):
            found.append(observed.distance)
    if not squares:
        return Comparison(0.0, 0.0, 0.0)
    return Comparison(_median(distances[0]), _median(distances[1]), products / squares)


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def _held_against(norm: nn.BatchNorm2d, sums: Tensor) -> Observed:
    assert norm.running_var is not None
    count, total, squares = sums.numpy()
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    with torch.no_grad():
        variance = norm.running_var.double()
        expected = (norm.weight.double().abs() * (variance / (variance + norm.eps)).sqrt()).numpy()
        shift = norm.bias.double().numpy()
    on = expected > _OFF * float(np.median(expected))
    unit = np.where(on, expected, 1.0)
    off = np.concatenate([(shift - mean) / unit, (expected - deviation) / unit])
    return Observed(np.where(np.tile(on, 2), off, 0.0), on)
