"""Every network of the zoo as a torch module: what an :class:`Architecture` describes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from edgeeff.zoo import chance
from edgeeff.zoo.architecture import STEM_KERNEL, STEM_STRIDE, Architecture
from edgeeff.zoo.blocks import (
    ActivationFunction,
    ConvNorm,
    EfficientBlock,
    PaddedConv2d,
    Size,
    hardswish,
    relu,
    relu6,
    strided,
    swish,
)
from edgeeff.zoo.conventions import TENSORFLOW, Conventions
from edgeeff.zoo.heads import HiddenActivation
from edgeeff.zoo.spec import Activation, ModelSpec

ACTIVATIONS: dict[HiddenActivation | Activation, ActivationFunction] = {
    "swish": swish,
    "hardswish": hardswish,
    "relu6": relu6,
    "relu": relu,
    "sigmoid": torch.sigmoid,
}


class EfficientNet(nn.Module):
    """A network for inputs of one fixed ``size`` (height, width): a classifier, or what gives features.

    Args:
        architecture: Its blocks.
        activation: After every convolution but the projections.
        classes: Outputs.
        size: Height and width of the images: SAME padding depends on it, unless the conventions fix it.
        conventions: Padding and batch normalisation's epsilon.
        hidden: Of each layer between pooling and classifier its features and its activation; none by default.
        taps: The features that are put out instead of logits (:mod:`edgeeff.zoo.taps`); what comes behind
            the last of them is not made.
    """

    def __init__(
        self,
        architecture: Architecture,
        activation: ActivationFunction,
        classes: int,
        size: Size,
        conventions: Conventions = TENSORFLOW,
        hidden: Sequence[tuple[int, HiddenActivation]] = (),
        taps: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self._strides = {index: stride for stride, index in architecture.taps().items()}
        self._taps = tuple(taps)
        self._fixed = conventions.static is not None
        self.dropout = 0.0
        count, headed = architecture.reach(taps) if taps else (len(architecture.blocks), True)
        size = conventions.static or size  # that SAME's zeros are counted for
        stem = PaddedConv2d(
            architecture.inputs, architecture.stem, STEM_KERNEL, STEM_STRIDE, size, conventions.padding
        )
        self.stem = ConvNorm(stem, conventions.epsilon, activation)
        size = strided(size, STEM_STRIDE)
        self.blocks = nn.Sequential()
        for block in architecture.blocks[:count]:
            self.blocks.append(EfficientBlock(block, activation, size, conventions))
            size = strided(size, block.stride)
        if not headed:
            return
        head = nn.Conv2d(architecture.blocks[-1].outputs, architecture.head, 1, bias=False)
        self.head = ConvNorm(head, conventions.epsilon, activation)
        self.pool = nn.AdaptiveAvgPool2d(1)
        if taps:
            return
        widths = [architecture.head, *(features for features, _ in hidden)]
        self.hidden = nn.Sequential(*(nn.Linear(*pair) for pair in pairwise(widths)))
        self._between = [ACTIVATIONS[activation] for _, activation in hidden]
        self.classifier = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Normalised images [N, C, H, W] to logits [N, classes]; with taps to the features of each."""
        if self._taps:
            return tuple(self._tapped(x))
        y = torch.flatten(self.pool(self.head(self.blocks(self.stem(x)))), 1)
        for layer, activation in zip(self.hidden, self._between, strict=True):
            y = activation(layer(y))
        if self.training and self.dropout:
            y = y * (chance.happens(1 - self.dropout, y.shape, y) / (1 - self.dropout))
        logits: Tensor = self.classifier(y)
        return logits

    def at_any_size(self) -> None:
        """From now on SAME's zeros are those of the images that come: a change of their size needs no other
        network. Images of the network's own size are computed as before, bit by bit.

        Zeros that the conventions fix, and symmetric ones, are the same at every size anyway.
        """
        for module in self.modules():
            if isinstance(module, PaddedConv2d):
                module.any_size = not self._fixed

    def regularise(self, dropout: float, survival: float) -> None:
        """Have features and blocks left out at random, in train mode alone.

        Args:
            dropout: The probability that a feature before the classifier is zero, 0…1, without 1.
            survival: The probability that an image goes through the last block, 0…1, without 0. It falls to
                there from 1 in equal steps (survival 0.8 in Tan & Le 2021). A block that is not residual is
                never left out.
        """
        self.dropout = dropout
        for index, block in enumerate(self.blocks):
            assert isinstance(block, EfficientBlock)
            block.survival = 1 - (1 - survival) * index / len(self.blocks)

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
            if index in self._strides:
                found[self._strides[index]] = y
        return found

    def _tapped(self, x: Tensor) -> Iterator[Tensor]:
        """The features of each tap, in their order: [N, C, H', W'] of a stride, [N, C] of the embedding."""
        found: dict[str, Tensor] = {}
        y: Tensor = self.stem(x)
        for index, block in enumerate(self.blocks):
            y = block(y)
            found[str(self._strides.get(index, ""))] = y
        for tap in self._taps:
            yield found[tap] if tap in found else torch.flatten(self.pool(self.head(y)), 1)


def build(
    spec: ModelSpec,
    classes: int,
    size: Size,
    conventions: Conventions = TENSORFLOW,
    hidden: Sequence[tuple[int, HiddenActivation]] = (),
    channels: int = 3,
    taps: Sequence[str] = (),
) -> EfficientNet:
    """The untrained network of ``spec``, in eval mode, for images of ``size`` (height, width)."""
    activation = ACTIVATIONS[spec.activation]
    architecture = replace(spec.architecture, inputs=channels)
    return EfficientNet(architecture, activation, classes, size, conventions, hidden, taps).eval()


def trained(
    spec: ModelSpec,
    tensors: Mapping[str, Tensor],
    size: Size,
    conventions: Conventions = TENSORFLOW,
    activations: Sequence[HiddenActivation] = (),
    taps: Sequence[str] = (),
) -> EfficientNet:
    """The network of ``spec`` that holds ``tensors`` (those of :meth:`Architecture.tensors`, float32).

    The tensors are taken, not copied; the number of classes is that of the classifier. Tensors named
    ``hidden.<i>.weight`` and ``hidden.<i>.bias`` make layers between pooling and classifier, each followed by
    its one of ``activations``. With ``taps`` the tensors are those of :meth:`Architecture.tensors_until`.
    """
    hidden = [(tensors[f"hidden.{i}.weight"].shape[0], kind) for i, kind in enumerate(activations)]
    with torch.device("meta"):  # no time spent on initial values that are replaced at once
        classes = 0 if taps else tensors["classifier.weight"].shape[0]
        channels = tensors["stem.conv.weight"].shape[1]
        network = build(spec, classes, size, conventions, hidden, channels, taps)
    counters = {
        name: torch.zeros((), dtype=torch.int64)
        for name, _ in network.named_buffers()
        if name.endswith("num_batches_tracked")
    }
    network.load_state_dict({**tensors, **counters}, assign=True)
    return network
