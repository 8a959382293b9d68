"""Whether a network's head knows the images, although its batch normalisation remembers others.

With a frozen backbone only the head is trained: batch normalisation keeps the statistics of what the backbone
was trained on before, and the user's own photos lie outside its domain (:mod:`edgeeff.calibration.domain`)
though nothing is wrong. The head tells these two apart. About images of its training it is decided, and it
decides differently for different images; about others it is undecided, or gives all the same class. Both are
in one number: the mutual information of image and class, H(mean p) - mean H(p), as a share of H(mean p), what
there is to be told apart.

Measured with Lite0 on 40 images each, a logistic regression on its frozen features as the head:

- photos of the head's training: 0.97 (26 kinds of groceries) and 0.98 (cats and dogs), held-out ones 0.80 and
  0.94;
- photos of other things: 0.20 and less; noise 0.01 and less;
- ImageNet's own head: 0.84 on ImageNet's photos, 0.68 on cats and dogs alone, 0.55 on groceries, 0.17 on
  street scenes, 0.02 on noise.

Wrong preprocessing leaves many a head decided (0.65 to 0.91 with another mean and deviation). So the head is
asked only where :mod:`edgeeff.calibration.trial` found no preprocessing nearer than the present one: right
photos of all four sets were the nearest there or within 9 %, and a wrong mean or deviation at least 1.5 times
as far as the right one. And the first third of the layers, which see the edges and colours that all photos
share, has to lie near its domain: right photos lay there at 0.12 to 0.26, groceries at 0.41 before a B0 that
had been trained on pasted cut-outs alone; noise at 0.55.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgeeff.images import ImageSet
from edgeeff.metrics import softmax
from edgeeff.preprocess import Preprocess
from edgeeff.tasks import LOGITS

if TYPE_CHECKING:
    import onnx_ir as ir

#: Images that are run at most.
IMAGES = 64
#: The information from which a head knows the images.
KNOWN = 0.7
#: How far the first third of the layers may lie from what they expect.
EARLY = 0.45
#: Entropy of the classes over all images under which they are as good as one: that of 5 % of another, nats.
LEAST = 0.2
#: Fewer images than this say nothing.
FEWEST = 8


def told_apart(model: ir.Model, preprocess: Preprocess, images: ImageSet) -> float | None:
    """How well the network's head tells some images, spread over the set, apart: 0…1.

    None where there are too few images, or no head.
    """
    if [value.name for value in model.graph.outputs] != [LOGITS]:
        return None
    import torch

    from edgeeff.graph.execute import execute, prepare

    spread = np.unique(np.linspace(0, len(images) - 1, min(IMAGES, len(images))).astype(int))
    few = ImageSet(tuple(images.pictures[i] for i in spread))
    program = prepare(model)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in collect: torch's own threads wait for each other by spinning
    try:
        found = [
            execute(program, torch.from_numpy(preprocess.normalise(batch))).numpy()
            for batch, _ in few.batches(preprocess)
        ]
    finally:
        torch.set_num_threads(threads)
    return information(np.concatenate(found)) if found else None


def information(logits: npt.NDArray[np.float32]) -> float | None:
    """The mutual information of image and class, of logits [N, classes], as a share of the classes' entropy.

    A single logit is that of a sigmoid. Zero where all images get as good as one class, which tells nothing
    apart; None where there are too few images.
    """
    if len(logits) < FEWEST:
        return None
    wide = logits.astype(np.float64)
    if wide.shape[1] == 1:
        wide = np.concatenate([np.zeros_like(wide), wide], 1)
    likely = softmax(wide)
    whole = _entropy(likely.mean(0))
    if whole < LEAST:
        return 0.0
    return float((whole - np.mean([_entropy(row) for row in likely])) / whole)


def knows(information: float | None, layers: Mapping[str, float]) -> bool:
    """Whether a head of so much information knows images whose layers, in order, lie so far off."""
    if information is None or information < KNOWN:
        return False
    return early(layers) <= EARLY


def early(layers: Mapping[str, float]) -> float:
    """The median distance of the first third of the layers."""
    distances = list(layers.values())
    return float(np.median(distances[: max(1, len(distances) // 3)]))


def _entropy(likely: npt.NDArray[np.float64]) -> float:
    return float(-(likely * np.log(np.maximum(likely, 1e-300))).sum())
