"""LR-ASPP, the light decoder of MobileNetV3: Howard et al. 2019, arXiv:1905.02244, section 6.4.

Features of stride 16, gated by what the whole image has, and of stride 8 are each classified by a 1×1
convolution; the sum of both is resized to the image. The authors resize the gated features and classify them
then. Both are linear and one acts on channels alone, so that the order changes nothing but the work: a
twelfth of the values are resized.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgeeff.zoo.architecture import Shape
from edgeeff.zoo.blocks import Size
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.segmentation.layers import conv_norm_relu, resized, size_of

_FINE, _COARSE = 8, 16  # strides
CLASSES_AT = "coarse.weight"


@dataclass(frozen=True)
class Widths:
    """Channels between the encoder's features and the classifier."""

    between: int = 128

    @property
    def wanted(self) -> tuple[int, ...]:
        """Strides that are read."""
        return _FINE, _COARSE


def widths(shapes: Mapping[str, Shape]) -> Widths:
    """Those that a checkpoint has."""
    return Widths(shapes["project.conv.weight"][0])


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
        self.fine = nn.Conv2d(channels[_FINE], classes, 1)

    def forward(self, features: Mapping[int, Tensor], size: Size) -> Tensor:
        """Stride → features to logits [N, classes, H, W] of the image's size."""
        fine, coarse = features[_FINE], features[_COARSE]
        gated = self.project(coarse) * torch.sigmoid(self.gate(self.pool(coarse)))
        logits: Tensor = self.fine(fine) + resized(self.coarse(gated), size_of(fine), "bilinear")
        return resized(logits, size, "bilinear")
