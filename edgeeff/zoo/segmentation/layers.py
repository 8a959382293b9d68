"""What decoders are made of, beside :mod:`edgeeff.zoo.blocks`."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from edgeeff.zoo.blocks import ConvNorm, Size, relu
from edgeeff.zoo.segmentation.conventions import Interpolation


def size_of(x: Tensor) -> Size:
    """Height and width of features [N, C, H, W], as numbers in a trace too."""
    return int(x.shape[-2]), int(x.shape[-1])


def resized(x: Tensor, size: Size, mode: Interpolation, *, align_corners: bool = False) -> Tensor:
    """Features [N, C, h, w] as [N, C, H, W] of this size.

    A whole multiple is written as a scale, which every runtime has exactly.
    """
    own = size_of(x)
    if own == size:
        return x
    exact = all(large % small == 0 for large, small in zip(size, own, strict=True))
    wanted: dict[str, Any] = (
        {"scale_factor": (size[0] / own[0], size[1] / own[1])} if exact else {"size": size}
    )
    if mode != "nearest":
        wanted["align_corners"] = align_corners
    return F.interpolate(x, mode=mode, **wanted)


def conv_norm_relu(inputs: int, outputs: int, kernel: int, epsilon: float, *, dilation: int = 1) -> ConvNorm:
    """A convolution of stride 1, batch normalisation and ReLU."""
    reach = dilation * (kernel - 1) // 2
    conv = nn.Conv2d(inputs, outputs, kernel, padding=reach, dilation=dilation, bias=False)
    return ConvNorm(conv, epsilon, relu)


class SeparableNormRelu(nn.Module):
    """A depthwise 3×3 convolution, a pointwise one, batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int, epsilon: float, *, dilation: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            inputs, inputs, 3, padding=dilation, dilation=dilation, groups=inputs, bias=False
        )
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, H, W]."""
        return relu(self.norm(self.conv(self.depthwise(x))))
