"""A detector that learns boxes: what :func:`edgeeff.training.loop.descend` descends on.

Batch normalisation is frozen throughout, its statistics and its scales: a batch on one machine is too small
to know better than the images that the detector was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from edgeeff.detection import THRESHOLD, Detection, Nms
from edgeeff.images.ahead import threads
from edgeeff.tasks import Meaning
from edgeeff.tasks.detection import DetectionScores
from edgeeff.training import fitting
from edgeeff.training.boxes import losses
from edgeeff.training.boxes.losses import Wanted
from edgeeff.training.boxes.reading import Batch, Reader
from edgeeff.training.boxes.sets import BoxSet
from edgeeff.training.loop import Group, Part, Score, workers
from edgeeff.zoo.detection.efficientdet import EfficientDet

#: Photos that one thread computes at a time; a batch is cut into such parts on any machine.
_PART = 2
#: Photos that are judged at a time.
_JUDGED = 8
#: Threads that compute parts, at most (:func:`edgeeff.training.loop.workers`).
_WORKERS = 4
#: Tensors of the size of the logits that their loss needs.
_OF_LOSS = 6
_LAYOUT = torch.channels_last  # less time on a CPU
#: What judges: every box that average precision looks at.
_NMS = Nms(score=0.01, iou=0.5, max_boxes=100)


@dataclass(frozen=True)
class Pace:
    """What learns, and how steps are taken.

    Args:
        batch: Photos in a step.
        rate: Of AdamW.
        decay: Of convolutions' weights; biases and weights of fusion have none.
        blocks: 0: the heads alone learn. Else the pyramid too, and so many of the backbone's blocks, counted
            from the last; as many as there are: its stem too.
        smoothing: Of the classes' loss.
    """

    batch: int
    rate: float
    decay: float = 0.0
    blocks: int = 0
    smoothing: float = 0.0


class BoxLearner:
    """A detector, photos that it learns from and photos that judge it.

    Args:
        network: Learns, in its place.
        training: Makes batches.
        judging: Photos to judge by, as the deployment shows them.
        pace: What learns, and how.
    """

    def __init__(self, network: EfficientDet, training: Reader, judging: Reader, pace: Pace) -> None:
        self._network, self._training, self._judging = network, training, judging
        self.pace = pace
        network.train()
        network.to(memory_format=_LAYOUT)  # type: ignore[call-overload]
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        kinds: dict[float, dict[str, Tensor]] = {}
        for name, parameter in network.named_parameters():
            learns = self._learns(name)
            parameter.requires_grad_(learns)
            if learns:
                kinds.setdefault(pace.decay if parameter.dim() > 1 else 0.0, {})[name] = parameter
        self._groups = [Group(tensors, pace.rate, decay) for decay, tensors in kinds.items()]

    def _learns(self, name: str) -> bool:
        """Whether a parameter of that name does; those of batch normalisation never."""
        network, blocks = self._network, self.pace.blocks
        if isinstance(network.get_submodule(name.rpartition(".")[0]), nn.BatchNorm2d):
            return False
        part, _, rest = name.partition(".")
        if part != "backbone":
            return part != "pyramid" or blocks > 0
        first = len(network.backbone.blocks) - blocks
        kind, number = (*rest.split("."), "")[:2]
        return blocks > 0 and (first <= 0 if kind != "blocks" else int(number) >= first)

    def refuse_large(self) -> None:
        """Refuse batches that do not fit into memory.

        Raises:
            OutOfMemoryError: They do not; the message says which do.
        """
        size, channels = self._training.preprocess.size, self._training.preprocess.channels
        shape, batch = (channels, *size), min(self.pace.batch, len(self._training.photos))
        network = self._network
        image = fitting.image_bytes(network, shape, lambda copied, x: copied(x))
        logits = self._training.geometry.count * network.class_head.outputs * 4
        learning = fitting.learning_bytes(network)
        need = fitting.Need(image + _OF_LOSS * logits, learning, -(-batch // _PART), min(_WORKERS, threads()))
        fitting.refuse_large(need, batch, shape, torch.device("cpu"))

    def groups(self) -> Sequence[Group]:
        """All that learns, at its rates."""
        return self._groups

    def buffers(self) -> Mapping[str, Tensor]:
        """Batch statistics are frozen."""
        return {}

    def steps(self) -> int:
        """Of an epoch; the last one may have fewer photos."""
        return -(-len(self._training.photos) // self.pace.batch)

    def batches(self, epoch: int, begin: int) -> Iterator[Batch]:
        """The photos in an order that is the epoch's."""
        order = np.random.default_rng([self._training.seed, epoch]).permutation(len(self._training.photos))
        parts = [order[i : i + self.pace.batch].tolist() for i in range(0, len(order), self.pace.batch)]
        return self._training.read(parts[begin:], epoch)

    def parts(self, batch: Batch, epoch: int) -> Sequence[Part]:
        """The batch's loss in parts of two photos: what it is divided by is that of the whole batch."""
        del epoch
        positives = sum(len(each.anchors) for each in batch.targets)
        starts = range(0, len(batch.targets), _PART) or (0,)
        return [partial(self._loss, batch, start, positives) for start in starts]

    def _loss(self, batch: Batch, start: int, positives: int, random: torch.Generator) -> Tensor:
        del random
        part = slice(start, start + _PART)
        if not len(batch.pixels[part]):  # no photo of the batch could be decoded
            return next(iter(self._groups[0].tensors.values())).sum() * 0
        logits, codes = self._run(batch.pixels[part])
        wanted = Wanted.of(batch.targets[part])
        return losses.total(logits, codes, wanted, positives, self.pace.smoothing)

    def _run(self, pixels: np.ndarray) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(self._training.preprocess.normalise(pixels)).contiguous(memory_format=_LAYOUT)
        found: tuple[Tensor, Tensor] = self._network(x)
        return found

    def score(self) -> Score:
        """Mean average precision on the photos that judge, and their loss."""
        return self.judged()[0]

    def judged(self) -> tuple[Score, DetectionScores]:
        """The same, with everything that is known of the boxes."""
        photos, geometry = self._judging.photos, self._judging.geometry
        meaning = Meaning("detection", THRESHOLD, detection=Detection(geometry, _NMS))
        scorer = meaning.scorer(len(photos.classes), "the photos that judge")
        found = self._outputs(photos)
        loss, positives = 0.0, 0.0
        for batch, logits, codes in found:
            truth = np.empty(len(batch.numbers), object)
            truth[:] = [photos.truths[number] for number in batch.numbers]
            scorer.update({"class_logits": logits.numpy(), "box_codes": codes.numpy()}, truth)
            wanted = Wanted.of(batch.targets)
            count = len(wanted.positives)
            loss += float(losses.total(logits, codes, wanted, count, self.pace.smoothing)) * (count + 1)
            positives += count + 1
        scores = scorer.scores()
        assert isinstance(scores, DetectionScores)
        figures = {"map": scores.means["map"], "map_50": scores.means["map_50"]}
        return Score(scores.primary, loss / max(positives, 1.0), figures), scores

    def _outputs(self, photos: BoxSet) -> Iterator[tuple[Batch, Tensor, Tensor]]:
        """Photos with what the network says of them."""
        parts = [range(i, min(i + _JUDGED, len(photos))) for i in range(0, len(photos), _JUDGED)]

        def run(pixels: np.ndarray) -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                return self._run(pixels)

        with workers() as pool:
            for batch in self._judging.read(parts, 0):
                if not batch.numbers:
                    continue
                pieces = [batch.pixels[i : i + _PART] for i in range(0, len(batch.pixels), _PART)]
                found = list(pool.map(run, pieces))
                yield batch, torch.cat([one for one, _ in found]), torch.cat([codes for _, codes in found])
