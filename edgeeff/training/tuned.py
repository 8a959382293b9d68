"""Blocks of a network that learn together with its classifier, batch normalisation frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgeeff.images import Picture
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.training import trunk
from edgeeff.training.heads import Aim, Pace, dropped
from edgeeff.training.loop import Group, Part, Score
from edgeeff.training.photos.decoding import Vary, generator, seen
from edgeeff.training.photos.labelled import Labelled
from edgeeff.zoo.efficientnet import EfficientNet

#: Parts of a batch that are computed side by side.
PARTS = 4
_LAYOUT = torch.channels_last  # 30 % less time on a CPU


@dataclass(frozen=True)
class Shown:
    """How photos are shown to what learns.

    Args:
        preprocess: From a photo to the network's input.
        vary: What changes a photo before; None: nothing.
    """

    preprocess: Preprocess
    vary: Vary | None


@dataclass
class Tuned:
    """The learner: the last blocks of a network, its head convolution and its classifier.

    Args:
        network: In eval mode.
        count: How many blocks learn, counted from the last; as many as there are: the stem too.
        aim: What is to come of the logits.
        photos: To learn from, and to judge by.
        shown: How photos are shown.
        pace: Of the classifier.
        rate: Of the blocks.
        pool: Threads that judge.
    """

    network: EfficientNet
    count: int
    aim: Aim
    photos: tuple[Labelled, Labelled]
    shown: Shown
    pace: Pace
    rate: float
    pool: ThreadPoolExecutor
    _first: int = field(init=False)

    def __post_init__(self) -> None:
        self._first = max(0, len(self.network.blocks) - self.count)
        self.network.to(memory_format=_LAYOUT)  # type: ignore[call-overload]

    def groups(self) -> Sequence[Group]:
        """The classifier's weights and biases, the blocks' convolutions; no batch normalisation."""
        layer, pace = self.network.classifier, self.pace
        body = self._body()
        for parameter in (*body.values(), *layer.parameters()):
            parameter.requires_grad_(True)
        weights = {name: value for name, value in body.items() if value.dim() > 1}
        biases = {name: value for name, value in body.items() if value.dim() == 1}
        return [
            Group({"classifier.weight": layer.weight}, pace.rate, pace.decay),
            Group({"classifier.bias": layer.bias}, pace.rate),
            Group(weights, self.rate, pace.decay),
            *([Group(biases, self.rate)] if biases else []),
        ]

    def _body(self) -> dict[str, Tensor]:
        """What learns beside the classifier, by name."""
        chosen: list[tuple[str, nn.Module]] = [("head", self.network.head)]
        chosen += [(f"blocks.{i}", b) for i, b in enumerate(self.network.blocks) if i >= self._first]
        if not self._first:
            chosen.append(("stem", self.network.stem))
        return {
            f"{place}.{name}": value
            for place, module in chosen
            for name, value in module.named_parameters()
            if ".norm." not in f".{name}"
        }

    def buffers(self) -> Mapping[str, Tensor]:
        """None: batch normalisation is frozen."""
        return {}

    def steps(self) -> int:
        """Batches of an epoch; a last one that is not full counts."""
        return -(-len(self.photos[0]) // self.pace.batch)

    def batches(self, epoch: int, begin: int) -> Iterator[tuple[Pixels, npt.NDArray[np.int64]]]:
        """Pixels of the photos of each batch, and their numbers."""
        count, size = len(self.photos[0]), self.pace.batch
        order = generator(self.pace.seed, 0xB10C, epoch).permutation(count)
        chosen = [order[start : start + size].tolist() for start in range(begin * size, count, size)]
        seed = (self.pace.seed, 0xB10C, epoch)
        for one in seen(self.photos[0].pictures, chosen, self.shown.preprocess, self.shown.vary, seed):
            if one.numbers:
                yield one.pixels, np.array(one.numbers, np.int64)

    def parts(self, batch: tuple[Pixels, npt.NDArray[np.int64]], epoch: int) -> Sequence[Part]:
        """Every :data:`PARTS`-th photo, from the first, from the second, and so on."""
        del epoch
        pixels, numbers = batch

        def part(which: int) -> Part:
            own = slice(which, None, PARTS)

            def loss(random: torch.Generator) -> Tensor:
                x = dropped(self._features(pixels[own]), self.pace.dropout, random)
                truth = self.photos[0].truth[numbers[own]]
                return self.aim.loss(self.network.classifier(x), truth) / len(numbers)

            return loss

        return [part(which) for which in range(min(PARTS, len(numbers)))]

    def _features(self, pixels: Pixels) -> Tensor:
        network = self.network
        x = trunk.inputs(self.shown.preprocess, pixels).contiguous(memory_format=_LAYOUT)
        blocks = list(network.blocks)
        with torch.set_grad_enabled(not self._first and torch.is_grad_enabled()):
            x = network.stem(x)
            for block in blocks[: self._first]:
                x = block(x)
        for block in blocks[self._first :]:
            x = block(x)
        return torch.flatten(network.pool(network.head(x)), 1)

    def logits(self, pictures: Sequence[Picture]) -> npt.NDArray[np.float32]:
        """Of photos as the deployment shows them, [N, outputs]."""
        size = trunk.TOGETHER
        batches = [range(i, min(i + size, len(pictures))) for i in range(0, len(pictures), size)]

        def run(pixels: Pixels) -> npt.NDArray[np.float32]:
            with torch.inference_mode():
                return self.network.classifier(self._features(pixels)).numpy()  # type: ignore[no-any-return]

        shown = (one.pixels for one in seen(pictures, batches, self.shown.preprocess))
        return np.concatenate(list(self.pool.map(run, shown)))

    def score(self) -> Score:
        """On the photos that judge."""
        return self.aim.judge(self.logits(self.photos[1].pictures), self.photos[1].truth)
