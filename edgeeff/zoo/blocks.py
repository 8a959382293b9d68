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

from edgeeff.zoo.architecture import Block

Size = tuple[int, int]
ActivationFunction = Callable[[Tensor], Tensor]

BATCH_NORM_EPSILON = 1e-3  # of the published networks; torch's default is 1e-5


def swish(x: Tensor) -> Tensor:
    """x · σ(x), written out so that it exports as Sigmoid and Mul at every opset."""
    return x * torch.sigmoid(x)


def relu6(x: Tensor) -> Tensor:
    """x clamped to 0…6."""
    return torch.clamp(x, 0.0, 6.0)


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding of one axis of ``size`` pixels: zeros before and after it.

    The output has ``ceil(size / stride)`` pixels; an odd number of zeros puts the extra one after.
    """
    total = max((ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def strided(size: Size, stride: int) -> Size:
    """The size after a SAME convolution of that stride."""
    return ceil(size[0] / stride), ceil(size[1] / stride)


class SameConv2d(nn.Conv2d):
    """A convolution with SAME padding for inputs of one fixed ``size`` (height, width).

    Symmetric padding is the convolution's own; only asymmetric padding is a separate step.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, size: Size, groups: int = 1
    ) -> None:
        (top, bottom), (left, right) = (same_padding(side, kernel, stride) for side in size)
        symmetric = top == bottom and left == right
        padding = (top, left) if symmetric else (0, 0)
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.border = None if symmetric else (left, right, top, bottom)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, ⌈H ÷ stride⌉, ⌈W ÷ stride⌉]."""
        return super().forward(x if self.border is None else F.pad(x, self.border))


class ConvNorm(nn.Module):
    """Convolution, batch normalisation and, if any, an activation."""

    def __init__(self, conv: nn.Conv2d, activation: ActivationFunction | None) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels, eps=BATCH_NORM_EPSILON)
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


class MBConv(nn.Module):
    """Mobile inverted bottleneck (see :class:`Block`) for inputs of one fixed ``size`` (height, width)."""

    def __init__(self, block: Block, activation: ActivationFunction, size: Size) -> None:
        super().__init__()
        wide = block.expanded
        self.residual = block.residual
        self.expand: ConvNorm | None = None
        if block.expansion != 1:
            self.expand = ConvNorm(nn.Conv2d(block.inputs, wide, 1, bias=False), activation)
        depthwise = SameConv2d(wide, wide, block.kernel, block.stride, size, groups=wide)
        self.depthwise = ConvNorm(depthwise, activation)
        self.squeeze: SqueezeExcite | None = None
        if block.squeezed:
            self.squeeze = SqueezeExcite(wide, block.squeezed, activation)
        self.project = ConvNorm(nn.Conv2d(wide, block.outputs, 1, bias=False), None)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, ⌈H ÷ stride⌉, ⌈W ÷ stride⌉]."""
        y: Tensor = x if self.expand is None else self.expand(x)
        y = self.depthwise(y)
        if self.squeeze is not None:
            y = self.squeeze(y)
        y = self.project(y)
        return x + y if self.residual else y
