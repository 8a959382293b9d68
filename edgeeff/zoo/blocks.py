"""The parts that EfficientNets are made of, as torch modules.

A part's attributes are named as its tensors are in :meth:`Architecture.tensors`, and appear under the
same names in an exported graph.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeeff.graph.padding import same_padding
from edgeeff.zoo import chance
from edgeeff.zoo.architecture import Block
from edgeeff.zoo.conventions import Conventions, Padding

Size = tuple[int, int]
ActivationFunction = Callable[[Tensor], Tensor]


def swish(x: Tensor) -> Tensor:
    """x · σ(x), written out so that it exports as Sigmoid and Mul at every opset."""
    return x * torch.sigmoid(x)


def relu6(x: Tensor) -> Tensor:
    """x clamped to 0…6."""
    return torch.clamp(x, 0.0, 6.0)


def hardswish(x: Tensor) -> Tensor:
    """x · max(0, min(1, x / 6 + 1/2)), one operator of ONNX (Howard et al. 2019, arXiv:1905.02244)."""
    return F.hardswish(x)


def relu(x: Tensor) -> Tensor:
    """x where it is positive, else 0."""
    return torch.relu(x)


def strided(size: Size, stride: int) -> Size:
    """The size after a convolution of that stride, padded for that very size by either convention."""
    return ceil(size[0] / stride), ceil(size[1] / stride)


class PaddedConv2d(nn.Conv2d):
    """A convolution of an odd kernel, padded by convention.

    Symmetric padding is the convolution's own; only asymmetric padding is a separate step. SAME's zeros are
    those of inputs of ``size`` (height, width), which then are the only ones that it is SAME for, unless
    ``any_size`` is set: then they are counted for each input as it comes.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int,
        size: Size,
        convention: Padding,
        groups: int = 1,
    ) -> None:
        if convention == "same":
            (top, bottom), (left, right) = (same_padding(side, kernel, stride) for side in size)
        else:
            top = bottom = left = right = (kernel - 1) // 2
        symmetric = top == bottom and left == right
        padding = (top, left) if symmetric else (0, 0)
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.border = None if symmetric else (left, right, top, bottom)
        self.same, self.any_size = convention == "same", False

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, ⌈H ÷ stride⌉, ⌈W ÷ stride⌉], or ⌊…⌋ with another size's zeros."""
        if self.any_size and self.same:
            return self._padded_for_itself(x)
        return super().forward(x if self.border is None else F.pad(x, self.border))

    def _padded_for_itself(self, x: Tensor) -> Tensor:
        """The same where ``size`` is that of ``x``, bit by bit: zeros in the same way."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        (top, bottom), (left, right) = (same_padding(side, kernel, stride) for side in x.shape[2:])
        if top == bottom and left == right:
            return F.conv2d(x, self.weight, self.bias, self.stride, (top, left), 1, self.groups)
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)


class ConvNorm(nn.Module):
    """Convolution, batch normalisation and, if any, an activation."""

    def __init__(self, conv: nn.Conv2d, epsilon: float, activation: ActivationFunction | None) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels, eps=epsilon)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, H', W']."""
        y: Tensor = self.norm(self.conv(x))
        return y if self.activation is None else self.activation(y)


class SqueezeExcite(nn.Module):
    """A gate for each channel, computed from the channels' means (Hu et al. 2017, arXiv:1709.01507)."""

    def __init__(self, channels: int, squeezed: int, activation: ActivationFunction) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same, each channel times its gate of 0…1."""
        gate = self.expand(self.activation(self.reduce(self.pool(x))))
        return x * torch.sigmoid(gate)


def surviving(x: Tensor, probability: float) -> Tensor:
    """Stochastic depth: each of N images kept with a probability and divided by it, or made zero.

    Huang et al. 2016, arXiv:1603.09382. The random numbers are those of :mod:`edgeeff.zoo.chance`.

    Args:
        x: [N, C, H, W].
        probability: 0…1, without 0.
    """
    return x * (chance.happens(probability, (len(x), 1, 1, 1), x) / probability)


class EfficientBlock(nn.Module):
    """Any :class:`Block`, padded for inputs of ``size`` (height, width); parts it has not are None.

    ``survival`` is the probability that an image goes through it in train mode, where it is residual.
    """

    def __init__(
        self, block: Block, activation: ActivationFunction, size: Size, conventions: Conventions
    ) -> None:
        super().__init__()
        self.residual = block.residual
        self.survival = 1.0
        self.expand: ConvNorm | None = None
        self.depthwise: ConvNorm | None = None
        self.squeeze: SqueezeExcite | None = None
        wide, epsilon = block.expanded, conventions.epsilon

        def spatial(inputs: int, outputs: int, groups: int = 1) -> PaddedConv2d:
            own = conventions.fused if block.kind == "fused" else None
            padding = own or conventions.padding
            return PaddedConv2d(inputs, outputs, block.kernel, block.stride, size, padding, groups)

        if block.kind == "conv":
            self.project = ConvNorm(spatial(block.inputs, block.outputs), epsilon, activation)
            return
        if block.kind == "fused":
            self.expand = ConvNorm(spatial(block.inputs, wide), epsilon, activation)
        else:
            if block.expands:
                self.expand = ConvNorm(nn.Conv2d(block.inputs, wide, 1, bias=False), epsilon, activation)
            self.depthwise = ConvNorm(spatial(wide, wide, groups=wide), epsilon, activation)
        if block.squeezed:
            self.squeeze = SqueezeExcite(wide, block.squeezed, activation)
        self.project = ConvNorm(nn.Conv2d(wide, block.outputs, 1, bias=False), epsilon, None)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, ⌈H ÷ stride⌉, ⌈W ÷ stride⌉]."""
        y = x
        for part in (self.expand, self.depthwise, self.squeeze, self.project):
            if part is not None:
                y = part(y)
        if not self.residual:
            return y
        if self.training and self.survival < 1:
            y = surviving(y, self.survival)
        return x + y
