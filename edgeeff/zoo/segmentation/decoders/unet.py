"""U-Net's decoder as segmentation_models_pytorch has it: Ronneberger et al. 2015, arXiv:1505.04597.

Each block doubles its features, puts them beside the encoder's of that stride, and convolves twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgeeff.zoo.architecture import Shape
from edgeeff.zoo.blocks import Size, relu
from edgeeff.zoo.segmentation.conventions import STRIDES, SegmenterConventions
from edgeeff.zoo.segmentation.layers import conv_norm_relu, resized, size_of

MARK = "blocks.0.first.conv.weight"
CLASSES_AT = "predict.weight"


@dataclass(frozen=True)
class Widths:
    """Channels of each block, from the coarsest on, and of its attention between two layers (0: none)."""

    blocks: tuple[int, ...] = (256, 128, 64, 32, 16)
    attention: tuple[int, ...] = ()

    @property
    def wanted(self) -> tuple[int, ...]:
        """Strides that are read."""
        return STRIDES[: len(self.blocks)]


def widths(shapes: Mapping[str, Shape]) -> Widths:
    """Those that a checkpoint has."""
    found: list[int] = []
    while (first := shapes.get(f"blocks.{len(found)}.first.conv.weight")) is not None:
        found.append(first[0])
    return Widths(tuple(found), _attention(shapes))


def _attention(shapes: Mapping[str, Shape]) -> tuple[int, ...]:
    squeezed = (f"blocks.{i}.after.reduce.weight" for i in range(len(STRIDES)))
    return tuple(shapes[name][0] for name in squeezed if name in shapes)


class Attention(nn.Module):
    """Gates of channels and of pixels, each on its own, added (Roy et al. 2018, arXiv:1808.08127)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = channels // 16
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.pixels = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same."""
        channels = torch.sigmoid(self.expand(relu(self.reduce(self.pool(x)))))
        return x * channels + x * torch.sigmoid(self.pixels(x))


class Block(nn.Module):
    """Features doubled, the encoder's beside them, and two convolutions."""

    def __init__(
        self, inputs: int, skip: int, outputs: int, attentive: bool, own: SegmenterConventions
    ) -> None:
        super().__init__()
        self.interpolation = own.interpolation
        self.before = Attention(inputs + skip) if attentive else None
        self.first = conv_norm_relu(inputs + skip, outputs, 3, own.epsilon)
        self.second = conv_norm_relu(outputs, outputs, 3, own.epsilon)
        self.after = Attention(outputs) if attentive else None

    def forward(self, x: Tensor, size: Size, skip: Tensor | None) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, …] of this size."""
        up = resized(x, size, self.interpolation)
        if skip is not None:
            up = torch.cat([up, skip], 1)
            up = up if self.before is None else self.before(up)
        y: Tensor = self.second(self.first(up))
        if self.after is not None:
            y = self.after(y)
        return y


class Decoder(nn.Module):
    """The decoder; see this file's head."""

    def __init__(
        self, channels: Mapping[int, int], classes: int, widths: Widths, conventions: SegmenterConventions
    ) -> None:
        super().__init__()
        self.strides = widths.wanted[::-1]
        inputs = [channels[self.strides[0]], *widths.blocks[:-1]]
        skips = [*(channels[stride] for stride in self.strides[1:]), 0]
        self.blocks = nn.ModuleList(
            Block(wide, skip, outputs, bool(widths.attention), conventions)
            for wide, skip, outputs in zip(inputs, skips, widths.blocks, strict=True)
        )
        self.predict = nn.Conv2d(widths.blocks[-1], classes, 3, padding=1)

    def forward(self, features: Mapping[int, Tensor], size: Size) -> Tensor:
        """Stride → features to logits [N, classes, H, W] of the image's size."""
        y = features[self.strides[0]]
        for block, stride in zip(self.blocks, (*self.strides[1:], 1), strict=True):
            skip = features.get(stride)
            y = block(y, size if skip is None else size_of(skip), skip)
        logits: Tensor = self.predict(y)
        return logits
