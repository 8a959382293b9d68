"""EfficientNet B0–B7 and Lite0–4 as a torch module (Tan & Le 2019, arXiv:1905.11946)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edgeeff.zoo.architecture import STEM_KERNEL, STEM_STRIDE, Architecture
from edgeeff.zoo.blocks import (
    ActivationFunction,
    ConvNorm,
    MBConv,
    SameConv2d,
    Size,
    relu6,
    strided,
    swish,
)
from edgeeff.zoo.catalog import Activation, ModelSpec

_ACTIVATIONS: dict[Activation, ActivationFunction] = {"swish": swish, "relu6": relu6}


class EfficientNet(nn.Module):
    """The classifier that an :class:`Architecture` describes, for inputs of one fixed ``size``."""

    def __init__(
        self, architecture: Architecture, activation: ActivationFunction, classes: int, size: Size
    ) -> None:
        super().__init__()
        self.stem = ConvNorm(SameConv2d(3, architecture.stem, STEM_KERNEL, STEM_STRIDE, size), activation)
        size = strided(size, STEM_STRIDE)
        self.blocks = nn.Sequential()
        for block in architecture.blocks:
            self.blocks.append(MBConv(block, activation, size))
            size = strided(size, block.stride)
        last = architecture.blocks[-1].outputs
        self.head = ConvNorm(nn.Conv2d(last, architecture.head, 1, bias=False), activation)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(architecture.head, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images [N, 3, H, W] to logits [N, classes]."""
        y = self.pool(self.head(self.blocks(self.stem(x))))
        logits: Tensor = self.classifier(torch.flatten(y, 1))
        return logits


def build(spec: ModelSpec, classes: int, size: tuple[int, int]) -> EfficientNet:
    """The untrained network of ``spec``, in eval mode, for images of ``size`` (height, width)."""
    return EfficientNet(spec.architecture, _ACTIVATIONS[spec.activation], classes, size).eval()


def trained(spec: ModelSpec, tensors: Mapping[str, Tensor], size: tuple[int, int]) -> EfficientNet:
    """The network of ``spec`` that holds ``tensors`` (those of :meth:`Architecture.tensors`, float32).

    The tensors are taken, not copied; the number of classes is that of the classifier.
    """
    with torch.device("meta"):  # no time spent on initial values that are replaced at once
        network = build(spec, tensors["classifier.weight"].shape[0], size)
    counters = {
        name: torch.zeros((), dtype=torch.int64)
        for name, _ in network.named_buffers()
        if name.endswith("num_batches_tracked")
    }
    network.load_state_dict({**tensors, **counters}, assign=True)
    return network
