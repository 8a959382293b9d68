"""Every network of the zoo as a torch module: what an :class:`Architecture` describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from edgeeff.zoo.architecture import STEM_KERNEL, STEM_STRIDE, Architecture
from edgeeff.zoo.blocks import (
    ActivationFunction,
    ConvNorm,
    EfficientBlock,
    PaddedConv2d,
    Size,
    relu,
    relu6,
    strided,
    swish,
)
from edgeeff.zoo.conventions import TENSORFLOW, Conventions
from edgeeff.zoo.heads import HiddenActivation
from edgeeff.zoo.spec import ModelSpec

_ACTIVATIONS: dict[HiddenActivation, ActivationFunction] = {
    "swish": swish,
    "relu6": relu6,
    "relu": relu,
    "sigmoid": torch.sigmoid,
}


class EfficientNet(nn.Module):
    """A classifier for inputs of one fixed ``size`` (height, width).

    Args:
        architecture: Its blocks.
        activation: After every convolution but the projections.
        classes: Outputs.
        size: Height and width of the images: SAME padding depends on it, unless the conventions fix it.
        conventions: Padding and batch normalisation's epsilon.
        hidden: Of each layer between pooling and classifier its features and its activation; none by default.
    """

    def __init__(
        self,
        architecture: Architecture,
        activation: ActivationFunction,
        classes: int,
        size: Size,
        conventions: Conventions = TENSORFLOW,
        hidden: Sequence[tuple[int, HiddenActivation]] = (),
    ) -> None:
        super().__init__()
        self._taps = {index: stride for stride, index in architecture.taps().items()}
        size = conventions.static or size  # that SAME's zeros are counted for
        stem = PaddedConv2d(
            architecture.inputs, architecture.stem, STEM_KERNEL, STEM_STRIDE, size, conventions.padding
        )
        self.stem = ConvNorm(stem, conventions.epsilon, activation)
        size = strided(size, STEM_STRIDE)
        self.blocks = nn.Sequential()
        for block in architecture.blocks:
            self.blocks.append(EfficientBlock(block, activation, size, conventions))
            size = strided(size, block.stride)
        head = nn.Conv2d(architecture.blocks[-1].outputs, architecture.head, 1, bias=False)
        self.head = ConvNorm(head, conventions.epsilon, activation)
        self.pool = nn.AdaptiveAvgPool2d(1)
        widths = [architecture.head, *(features for features, _ in hidden)]
        self.hidden = nn.Sequential(*(nn.Linear(*pair) for pair in pairwise(widths)))
        self._between = [_ACTIVATIONS[activation] for _, activation in hidden]
        self.classifier = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images [N, C, H, W] to logits [N, classes]."""
        y = torch.flatten(self.pool(self.head(self.blocks(self.stem(x)))), 1)
        for layer, activation in zip(self.hidden, self._between, strict=True):
            y = activation(layer(y))
        logits: Tensor = self.classifier(y)
        return logits

    def features(self, x: Tensor) -> dict[int, Tensor]:
        """Normalised images [N, C, H, W] to the features that detectors and segmenters read.

        Returns:
            Stride (4, 8, 16, 32) → the output of the last block of that stride,
            [N, C, ⌈H ÷ stride⌉, ⌈W ÷ stride⌉], where the padding is that of the images' own size.
        """
        y: Tensor = self.stem(x)
        found = {}
        for index, block in enumerate(self.blocks):
            y = block(y)
            if index in self._taps:
                found[self._taps[index]] = y
        return found


def build(
    spec: ModelSpec,
    classes: int,
    size: Size,
    conventions: Conventions = TENSORFLOW,
    hidden: Sequence[tuple[int, HiddenActivation]] = (),
    channels: int = 3,
) -> EfficientNet:
    """The untrained network of ``spec``, in eval mode, for images of ``size`` (height, width)."""
    activation = _ACTIVATIONS[spec.activation]
    architecture = replace(spec.architecture, inputs=channels)
    return EfficientNet(architecture, activation, classes, size, conventions, hidden).eval()


def trained(
    spec: ModelSpec,
    tensors: Mapping[str, Tensor],
    size: Size,
    conventions: Conventions = TENSORFLOW,
    activations: Sequence[HiddenActivation] = (),
) -> EfficientNet:
    """The network of ``spec`` that holds ``tensors`` (those of :meth:`Architecture.tensors`, float32).

    The tensors are taken, not copied; the number of classes is that of the classifier. Tensors named
    ``hidden.<i>.weight`` and ``hidden.<i>.bias`` make layers between pooling and classifier, each followed by
    its one of ``activations``.
    """
    hidden = [(tensors[f"hidden.{i}.weight"].shape[0], kind) for i, kind in enumerate(activations)]
    with torch.device("meta"):  # no time spent on initial values that are replaced at once
        classes, channels = tensors["classifier.weight"].shape[0], tensors["stem.conv.weight"].shape[1]
        network = build(spec, classes, size, conventions, hidden, channels)
    counters = {
        name: torch.zeros((), dtype=torch.int64)
        for name, _ in network.named_buffers()
        if name.endswith("num_batches_tracked")
    }
    network.load_state_dict({**tensors, **counters}, assign=True)
    return network
