"""Atrous spatial pyramid pooling: Chen et al. 2017, arXiv:1706.05587, section 3.3."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgeeff.zoo.architecture import Shape
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.segmentation.layers import SeparableNormRelu, conv_norm_relu, resized, size_of


@dataclass(frozen=True)
class Widths:
    """Channels of each branch, and whether its convolutions are separable.

    ``wanted`` are the strides of the features that are read.
    """

    wanted: tuple[int, ...]
    branch: int = 256
    separable: bool = True


def read(wanted: tuple[int, ...], shapes: Mapping[str, Shape]) -> Widths:
    """Those that a checkpoint has."""
    separable = "pyramid.convs.1.depthwise.weight" in shapes
    return Widths(wanted, shapes["pyramid.convs.0.conv.weight"][0], separable)


class Pyramid(nn.Module):
    """Features convolved at several dilations and averaged over the image, put together."""

    def __init__(self, inputs: int, widths: Widths, conventions: SegmenterConventions) -> None:
        super().__init__()
        wide, epsilon = widths.branch, conventions.epsilon
        self.convs = nn.ModuleList([conv_norm_relu(inputs, wide, 1, epsilon)])
        for rate in conventions.rates:
            self.convs.append(
                SeparableNormRelu(inputs, wide, epsilon, dilation=rate)
                if widths.separable
                else conv_norm_relu(inputs, wide, 3, epsilon, dilation=rate)
            )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.pooled = conv_norm_relu(inputs, wide, 1, epsilon)
        self.project = conv_norm_relu((len(conventions.rates) + 2) * wide, wide, 1, epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, branch, H, W]."""
        # One value a channel: bilinear, as the libraries write it, gives the same at every pixel.
        pooled = resized(self.pooled(self.pool(x)), size_of(x), "nearest")
        y: Tensor = self.project(torch.cat([*(conv(x) for conv in self.convs), pooled], 1))
        return y
