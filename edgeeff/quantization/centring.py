"""What of a network's outputs decides, as one vector for each image: what errors are measured in.

Where an image has exactly one class, the differences of the logits alone; where each pixel has, those of its
logits, at pixels as far apart as keeps the vector small. Of several outputs each one's error
counts relative to its power: they are divided by the root of their mean energy on the calibration images, so
that each adds 1 to the energy of an image, however large its values and however many they are. Of a
detector's two outputs what can become boxes decides (:mod:`detecting`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import onnx_ir as ir
import torch
from torch import Tensor

from edgeeff.calibration.statistics import Statistics
from edgeeff.quantization import detecting

#: Pixels of an image whose logits are looked at.
PIXELS = 4800


@dataclass(frozen=True)
class Deciding:
    """From outputs to what decides.

    Args:
        exclusive: Whether classes exclude each other. Then a number added to all logits of an image changes
            nothing, and their mean is taken off. Else each logit is compared with its threshold, and stays as
            it is: of a single logit nothing would be left.
        energies: Of several outputs each one's mean energy Σ x² for one image; empty for a single output, and
            for a detector.
        codes: Of a detector, how much an error of each box code counts; None: by the outputs that are given.
    """

    exclusive: bool = True
    energies: Mapping[str, float] = field(default_factory=dict)
    codes: Tensor | None = None

    def by(self, outputs: Mapping[str, Tensor]) -> Deciding:
        """The same for images of which the float network gives these outputs: what others give is weighed
        as these are."""
        if not detecting.is_detector(outputs):
            return self
        return replace(self, codes=detecting.weights(outputs))

    def __call__(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """The vectors of a batch, [N, D], of outputs [N, …] each."""
        if detecting.is_detector(outputs):
            return detecting.vectors(outputs, self.codes)
        if not self.energies:
            (output,) = outputs.values()
            if output.dim() == 4 and self.exclusive:
                output = sampled(output)
                return (output - output.mean(1, keepdim=True)).flatten(1)
            return centred(output.flatten(1), self.exclusive)
        return torch.cat(
            [outputs[name].flatten(1) / math.sqrt(energy) for name, energy in self.energies.items()], 1
        )


def centred(logits: Tensor, exclusive: bool) -> Tensor:
    """Logits [N, classes] less what changes no decision; see :class:`Deciding`."""
    return logits - logits.mean(1, keepdim=True) if exclusive else logits


def sampled(logits: Tensor) -> Tensor:
    """Logits of pixels [N, classes, H, W] at every k-th row and column: at most :data:`PIXELS` of them, but
    for rounding up. They were resized from coarser ones, so that what is between is known."""
    step = max(1, math.isqrt(logits.shape[2] * logits.shape[3] // PIXELS))
    first = step // 2
    return logits[:, :, first::step, first::step]


def deciding(model: ir.Model, statistics: Statistics, exclusive: bool) -> Deciding:
    """What decides in the outputs of a graph.

    Args:
        model: The float graph.
        statistics: Of its tensors; needed where it has several outputs.
        exclusive: Whether classes exclude each other, where the outputs are logits.
    """
    values = model.graph.outputs
    if len(values) < 2:
        return Deciding(exclusive)
    if detecting.is_detector([str(value.name) for value in values]):
        return Deciding(False)
    return Deciding(False, {str(value.name): _energy(value, statistics) for value in values})


def _energy(value: ir.Value, statistics: Statistics) -> float:
    """Mean energy of a tensor for one image; of a flattened one that of what was flattened."""
    producer = value.producer()
    if producer is not None and producer.op_type == "Flatten" and producer.inputs[0] is not None:
        value = producer.inputs[0]
    assert value.shape is not None
    positions = math.prod(side for side in list(value.shape)[2:] if isinstance(side, int))
    return max(float(statistics[str(value.name)].second_moment.sum()) * positions, 1e-30)
