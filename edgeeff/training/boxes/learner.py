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
from edgeeff.tasks import Meaning
from edgeeff.tasks.detection import DetectionScores
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
#: What judges: every box that average precision looks at.
_NMS = Nms(score=0.01, iou=0.5, max_boxes=100)


@dataclass(frozen=True)
class Rates:
    """How fast parts of the network learn; 0: a part is frozen.

    Args:
        heads: Class and box head.
        pyramid: The feature pyramid.
        backbone: What gives its features.
        decay: Weight decay of convolutions; biases and weights of fusion have none.
    """

    heads: float
    pyramid: float = 0.0
    backbone: float = 0.0
    decay: float = 0.0


class BoxLearner:
    """A detector, photos that it learns from and photos that judge it.

    Args:
        network: Learns, in its place.
        training: Makes batches.
        judging: Photos to judge by, as the deployment shows them.
        rates: How fast.
        batch: Photos of a step.
        smoothing: Of the classes' loss.
    """

    def __init__(
        self,
        network: EfficientDet,
        training: Reader,
        judging: Reader,
        rates: Rates,
        batch: int,
        smoothing: float = 0.0,
    ) -> None:
        self._network, self._training, self._judging = network, training, judging
        self._batch, self._smoothing = batch, smoothing
        network.train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        named = {"backbone": rates.backbone, "pyramid": rates.pyramid}
        self._groups: list[Group] = []
        kinds: dict[tuple[float, float], dict[str, Tensor]] = {}
        for name, parameter in network.named_parameters():
            rate = named.get(name.partition(".")[0], rates.heads)
            learns = rate > 0 and not _of_norm(network, name)
            parameter.requires_grad_(learns)
            if learns:
                decay = rates.decay if parameter.dim() > 1 else 0.0
                kinds.setdefault((rate, decay), {})[name] = parameter
        self._groups = [Group(tensors, rate, decay) for (rate, decay), tensors in kinds.items()]
        self._frozen = not rates.pyramid and not rates.backbone

    def groups(self) -> Sequence[Group]:
        """All that learns, at its rates."""
        return self._groups

    def buffers(self) -> Mapping[str, Tensor]:
        """Batch statistics are frozen."""
        return {}

    def steps(self) -> int:
        """Of an epoch; the last one may have fewer photos."""
        return -(-len(self._training.photos) // self._batch)

    def batches(self, epoch: int, begin: int) -> Iterator[Batch]:
        """The photos in an order that is the epoch's."""
        order = np.random.default_rng([self._training.seed, epoch]).permutation(len(self._training.photos))
        parts = [order[i : i + self._batch].tolist() for i in range(0, len(order), self._batch)]
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
        return losses.total(logits, codes, wanted, positives, self._smoothing)

    def _run(self, pixels: np.ndarray) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(self._training.preprocess.normalise(pixels))
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._frozen):
            features = self._network.pyramid(self._network.backbone(x))
        return self._network.class_head(features), self._network.box_head(features)

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
            loss += float(losses.total(logits, codes, wanted, count, self._smoothing)) * (count + 1)
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


def _of_norm(network: EfficientDet, name: str) -> bool:
    return isinstance(network.get_submodule(name.rpartition(".")[0]), nn.BatchNorm2d)
