"""Blocks of a network that learn together with its classifier, batch normalisation frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgeeff.images import Picture
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.training import fitting, trunk
from edgeeff.training.augment.mixing import Mixed, Mixing
from edgeeff.training.augment.randaugment import RandAugment
from edgeeff.training.heads import Aim, Pace, dropped
from edgeeff.training.loop import Group, Part, Score
from edgeeff.training.photos.decoding import Vary, generator, seen
from edgeeff.training.photos.labelled import Labelled
from edgeeff.training.stages import Stage, at
from edgeeff.zoo import chance
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
        stages: What else is done to them, and at which size they are shown, epoch by epoch; one at least.
        survival: The probability that a photo goes through the last residual block, 0…1.
    """

    preprocess: Preprocess
    vary: Vary | None
    stages: tuple[Stage, ...]
    survival: float = 1.0


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
        self.network.at_any_size()
        self.network.regularise(dropout=0.0, survival=self.shown.survival)
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
        seed, stage = (self.pace.seed, 0xB10C, epoch), at(self.shown.stages, epoch)
        preprocess = replace(self.shown.preprocess, size=stage.size)
        alter = RandAugment(stage.strength.magnitude) if stage.strength.magnitude else None
        for one in seen(self.photos[0].pictures, chosen, preprocess, self.shown.vary, seed, alter):
            if one.numbers:
                yield one.pixels, np.array(one.numbers, np.int64)

    def parts(self, batch: tuple[Pixels, npt.NDArray[np.int64]], epoch: int) -> Sequence[Part]:
        """Every :data:`PARTS`-th photo, from the first, from the second, and so on."""
        pixels, numbers = batch
        strength, truth = at(self.shown.stages, epoch).strength, self.photos[0].truth
        mixed = self._mixed(batch, epoch)
        self._leave_out(True)

        def part(which: int) -> Part:
            own = slice(which, None, PARTS)

            def loss(random: torch.Generator) -> Tensor:
                x = self._inputs(pixels[own]) if mixed is None else mixed.x[own]
                with chance.drawn_from(random):
                    features = self._features(x)
                logits = self.network.classifier(dropped(features, strength.dropout, random))
                found = self.aim.loss(logits, truth[numbers[own]])
                if mixed is not None:
                    other = self.aim.loss(logits, truth[numbers[mixed.partner[own]]])
                    found = mixed.own[own] * found + (1 - mixed.own[own]) * other
                return found.sum() / len(numbers)

            return loss

        return [part(which) for which in range(min(PARTS, len(numbers)))]

    def _mixed(self, batch: tuple[Pixels, npt.NDArray[np.int64]], epoch: int) -> Mixed | None:
        """The photos of a batch, two in one; None where they are not mixed. Random numbers hang on the epoch
        and the first photo, of which there is one in an epoch."""
        strength = at(self.shown.stages, epoch).strength
        mixing, (pixels, numbers) = Mixing(strength.mixup, strength.cutmix), batch
        if not mixing:
            return None
        random = generator(self.pace.seed, 0x313C, epoch, int(numbers[0]))
        return mixing(self._inputs(pixels), random)

    def _leave_out(self, on: bool) -> None:
        """Let blocks that learn be left out at random, or not: batch normalisation stays as it is."""
        for block in list(self.network.blocks)[self._first :]:
            block.training = on

    def _inputs(self, pixels: Pixels) -> Tensor:
        return trunk.inputs(self.shown.preprocess, pixels).contiguous(memory_format=_LAYOUT)

    def _features(self, x: Tensor) -> Tensor:
        return self.through(self.network, x)

    def through(self, network: EfficientNet, x: Tensor) -> Tensor:
        """What the classifier reads, [N, features]; of what does not learn nothing is kept for gradients."""
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
        self._leave_out(False)
        batches = [range(i, min(i + size, len(pictures))) for i in range(0, len(pictures), size)]

        def run(pixels: Pixels) -> npt.NDArray[np.float32]:
            with torch.inference_mode():
                features = self._features(self._inputs(pixels))
                return self.network.classifier(features).numpy()  # type: ignore[no-any-return]

        shown = (one.pixels for one in seen(pictures, batches, self.shown.preprocess))
        return np.concatenate(list(self.pool.map(run, shown)))

    def refuse_large(self) -> None:
        """Refuse a batch that does not fit into memory.

        Raises:
            OutOfMemoryError: It does not; the message says which one does.
        """
        self.groups()  # what learns is marked
        (height, width), channels = self.shown.preprocess.size, self.shown.preprocess.channels
        shape = (channels, height, width)
        need = fitting.Need(
            fitting.image_bytes(self.network, shape, self.through),
            fitting.learning_bytes(self.network),
            PARTS,
            min(PARTS, self.pool._max_workers),
        )
        fitting.refuse_large(need, min(self.pace.batch, len(self.photos[0])), shape, torch.device("cpu"))

    def score(self) -> Score:
        """On the photos that judge."""
        return self.aim.judge(self.logits(self.photos[1].pictures), self.photos[1].truth)
