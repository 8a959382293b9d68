"""A light decoder of the class of LR-ASPP: Howard et al. 2019, arXiv:1905.02244, section 6.4.

The coarse features are gated by what the whole image has, and classified by a 1×1 convolution; so are finer
ones, and the logits are added from the coarsest to the finest and resized to the image. It differs from the
authors' in two ways. They resize the gated features and classify them then: both are linear and one acts on
channels alone, so that the order changes nothing but the work, for a twelfth of the values is resized. And
their coarse features are those of stride 32, dilated to 16, with those of stride 8 beside them: without the
dilation the last blocks cost a quarter, and the classifier of stride 16 makes up for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgeeff.zoo.architecture import Shape
from edgeeff.zoo.blocks import Size
from edgeeff.zoo.segmentation.conventions import STRIDES, SegmenterConventions
from edgeeff.zoo.segmentation.layers import conv_norm_relu, resized, size_of

MARK = "gate.weight"
CLASSES_AT = "coarse.weight"
_COARSE = STRIDES[-1]


@dataclass(frozen=True)
class Widths:
    """Channels between the coarse features and their classifier, and the strides of the finer ones."""

    between: int = 128
    fine: tuple[int, ...] = (16, 8)

    @property
    def wanted(self) -> tuple[int, ...]:
        """Strides that are read."""
        return (*self.fine, _COARSE)


def widths(shapes: Mapping[str, Shape]) -> Widths:
    """Those that a checkpoint has."""
    fine = tuple(stride for stride in STRIDES[-2::-1] if f"fine.{stride}.weight" in shapes)
    return Widths(shapes["project.conv.weight"][0], fine)


class Decoder(nn.Module):
    """The decoder; see this file's head."""

    def __init__(
        self, channels: Mapping[int, int], classes: int, widths: Widths, conventions: SegmenterConventions
    ) -> None:
        super().__init__()
        self.project = conv_norm_relu(channels[_COARSE], widths.between, 1, conventions.epsilon)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Conv2d(channels[_COARSE], widths.between, 1, bias=False)
        self.coarse = nn.Conv2d(widths.between, classes, 1)
        self.fine = nn.ModuleDict(
            {str(stride): nn.Conv2d(channels[stride], classes, 1) for stride in widths.fine}
        )

    def forward(self, features: Mapping[int, Tensor], size: Size) -> Tensor:
        """Stride → features to logits [N, classes, H, W] of the image's size."""
        coarse = features[_COARSE]
        logits: Tensor = self.coarse(self.project(coarse) * torch.sigmoid(self.gate(self.pool(coarse))))
        for stride, classify in self.fine.items():
            fine = features[int(stride)]
            logits = classify(fine) + resized(logits, size_of(fine), "bilinear")
        return resized(logits, size, "bilinear")
