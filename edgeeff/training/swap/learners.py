"""What learns: each block by itself to give what the teacher's gives, then the whole network its logits.

Batch normalisation's statistics are frozen; its scale and shift learn as weights do. A block alone is a small
and well conditioned problem: what learns there does not hang on the blocks behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgeeff.metrics import sqnr
from edgeeff.preprocess import Pixels
from edgeeff.training import trunk
from edgeeff.training.loop import Group, Part, Score, workers
from edgeeff.training.swap.networks import logits, rows
from edgeeff.training.swap.photos import Stream, in_batches, shuffled
from edgeeff.zoo.efficientnet import EfficientNet

Logits = npt.NDArray[np.float32]
#: What the error of a variance is a share of, at least: a block that gives nothing has none.
_LEAST = 1e-12
#: What is said of two networks that are the same.
_MOST_DB = 200.0


@dataclass
class Distilling:
    """Both networks, and the photos.

    Args:
        teacher: The network as it is.
        student: The same with another activation.
        photos: To learn from.
        judging: To judge by.
        batch: Photos in a step.
        together: Photos whose gradients are computed together.
        centred: Whether the logits' differences alone decide: of exclusive classes.
        seed: Of the photos' order.
        wanted: What the teacher makes of the photos to judge by, [N, classes]; computed once.
    """

    teacher: EfficientNet
    student: EfficientNet
    photos: Stream
    judging: Stream
    batch: int
    together: int
    centred: bool
    seed: int
    wanted: Logits | None = field(default=None, repr=False)

    def inputs(self, pixels: Pixels) -> Tensor:
        """Raw pixels [N, H, W, C] to the networks' input, where they are."""
        weight = self.student.classifier.weight
        return trunk.inputs(self.photos.preprocess, pixels).to(weight.device)

    def of(self, network: EfficientNet, stream: Stream) -> Logits:
        """A network's logits of photos that can be decoded, float32 [N, classes]."""
        found: list[Logits] = []
        batches = in_batches(range(len(stream.pictures)), 8 * self.together)

        def run(part: Pixels) -> Logits:
            with torch.inference_mode():
                made: Logits = network(self.inputs(part)).cpu().numpy()
                return made

        with workers() as pool:
            for batch in stream.plain().batches(batches):
                starts = range(0, len(batch.pixels), self.together)
                found += pool.map(run, [batch.pixels[start : start + self.together] for start in starts])
        classes = self.student.classifier.out_features
        return np.concatenate(found) if found else np.zeros((0, classes), np.float32)

    def deciding(self, values: Tensor) -> Tensor:
        """What of logits [N, classes] decides."""
        return values - values.mean(1, keepdim=True) if self.centred else values

    def score(self) -> Score:
        """How near the student is to the teacher on the photos that judge, dB."""
        if self.wanted is None:
            self.wanted = self.of(self.teacher, self.judging)
        made = self.of(self.student, self.judging)
        level = min(sqnr(self.wanted, made, per_image_mean=self.centred), _MOST_DB)
        same = float((made.argmax(1) == self.wanted.argmax(1)).mean()) if self.centred else math.nan
        figures = {"sqnr_db": level, **({"agreement": same} if self.centred else {})}
        return Score(level, 10 ** (-level / 10), figures)


@dataclass
class _Learner:
    """What both learners share."""

    pair: Distilling
    rate: float

    def groups(self) -> Sequence[Group]:
        """All weights, without decay: the teacher's are where they should be."""
        return [Group(dict(self.pair.student.named_parameters()), self.rate)]

    def buffers(self) -> Mapping[str, Tensor]:
        """None: statistics are frozen."""
        return {}

    def steps(self) -> int:
        """Batches of an epoch; a last one that is not full counts."""
        return -(-len(self.pair.photos.pictures) // self.pair.batch)

    def batches(self, epoch: int, begin: int) -> Iterator[Pixels]:
        """The pixels of each batch."""
        order = shuffled(len(self.pair.photos.pictures), self.pair.seed, epoch)
        chosen = in_batches(order, self.pair.batch)[begin:]
        for batch in self.pair.photos.batches(chosen, epoch):
            yield batch.pixels

    def score(self) -> Score:
        """Of the whole network."""
        return self.pair.score()

    def _in_parts(self, batch: Pixels, loss: Callable[[Tensor], Tensor]) -> Sequence[Part]:
        """The mean of a loss over a batch, in parts of a fixed size."""
        pair = self.pair

        def part(pixels: Pixels) -> Part:
            return lambda _: loss(pair.inputs(pixels)) * (len(pixels) / len(batch))

        starts = range(0, len(batch), pair.together)
        return [part(batch[start : start + pair.together]) for start in starts]


@dataclass
class Blocks(_Learner):
    """Each row of the student gives what the teacher's gives of the same input."""

    def parts(self, batch: Pixels, epoch: int) -> Sequence[Part]:
        """The blocks' errors, each as a share of its output's variance."""
        del epoch
        return self._in_parts(batch, self._loss)

    def _loss(self, x: Tensor) -> Tensor:
        wanted, total = x, x.new_zeros(())
        pairs = zip(rows(self.pair.teacher), rows(self.pair.student), strict=True)
        for (_, known), (_, learning) in pairs:
            given = wanted
            with torch.no_grad():
                wanted = known(given).float()
            error = (learning(given).float() - wanted).square().mean()
            total = total + error / wanted.var().clamp(min=_LEAST)
        return total


@dataclass
class Whole(_Learner):
    """The student's logits are the teacher's, and its blocks' outputs stay near the teacher's.

    Args:
        near: Weight of the blocks' errors.
    """

    near: float = 0.1

    def parts(self, batch: Pixels, epoch: int) -> Sequence[Part]:
        """The error of what decides in the logits, as a share of its energy, and that of the blocks."""
        del epoch
        return self._in_parts(batch, self._loss)

    def _loss(self, x: Tensor) -> Tensor:
        pair, total = self.pair, x.new_zeros(())
        wanted, made = x, x
        for (_, known), (_, learning) in zip(rows(pair.teacher), rows(pair.student), strict=True):
            with torch.no_grad():
                wanted = known(wanted).float()
            made = learning(made)
            if self.near:
                total = total + (made.float() - wanted).square().mean() / wanted.var().clamp(min=_LEAST)
        with torch.no_grad():
            goal = pair.deciding(logits(pair.teacher, wanted).float())
        error = (pair.deciding(logits(pair.student, made).float()) - goal).square().mean()
        return error / goal.square().mean().clamp(min=_LEAST) + self.near * total
