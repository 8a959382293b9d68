"""DeepLabV3+'s decoder as segmentation_models_pytorch has it: Chen et al. 2018, arXiv:1802.02611."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from edgeeff.zoo.blocks import Size
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.segmentation.decoders import _pyramid
from edgeeff.zoo.segmentation.layers import SeparableNormRelu, conv_norm_relu, resized, size_of

MARK = "fuse.conv.weight"
CLASSES_AT = "predict.weight"
_FINE, _COARSE = 4, 32  # strides; the coarse one's blocks are dilated
_REDUCED = 48  # channels that the fine features are brought to

Widths = partial(_pyramid.Widths, (_FINE, _COARSE))
widths = partial(_pyramid.read, (_FINE, _COARSE))


class Decoder(nn.Module):
    """Pyramid pooling of the coarse features, and the fine ones beside them."""

    def __init__(
        self,
        channels: Mapping[int, int],
        classes: int,
        widths: _pyramid.Widths,
        conventions: SegmenterConventions,
    ) -> None:
        super().__init__()
        wide, epsilon = widths.branch, conventions.epsilon
        self.pyramid = _pyramid.Pyramid(channels[_COARSE], widths, conventions)
        self.refine = SeparableNormRelu(wide, wide, epsilon)
        self.reduce = conv_norm_relu(channels[_FINE], _REDUCED, 1, epsilon)
        self.fuse = SeparableNormRelu(_REDUCED + wide, wide, epsilon)
        self.predict = nn.Conv2d(wide, classes, 1)

    def forward(self, features: Mapping[int, Tensor], size: Size) -> Tensor:
        """Stride → features to logits [N, classes, H, W] of the image's size."""
        coarse, fine = self.refine(self.pyramid(features[_COARSE])), self.reduce(features[_FINE])
        up = resized(coarse, size_of(fine), "bilinear", align_corners=True)
        logits = self.predict(self.fuse(torch.cat([up, fine], 1)))
        return resized(logits, size, "bilinear", align_corners=True)
