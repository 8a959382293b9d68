"""DeepLabV3's decoder as segmentation_models_pytorch has it: Chen et al. 2017, arXiv:1706.05587."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

from edgeeff.zoo.blocks import Size
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.segmentation.decoders import _pyramid
from edgeeff.zoo.segmentation.layers import conv_norm_relu, resized

MARK = "refine.conv.weight"
CLASSES_AT = "predict.weight"
_COARSE = 32  # stride; its blocks are dilated

Widths = partial(_pyramid.Widths, (_COARSE,), separable=False)
widths = partial(_pyramid.read, (_COARSE,))


class Decoder(nn.Module):
    """Pyramid pooling of the coarse features, and a convolution."""

    def __init__(
        self,
        channels: Mapping[int, int],
        classes: int,
        widths: _pyramid.Widths,
        conventions: SegmenterConventions,
    ) -> None:
        super().__init__()
        wide = widths.branch
        self.pyramid = _pyramid.Pyramid(channels[_COARSE], widths, conventions)
        self.refine = conv_norm_relu(wide, wide, 3, conventions.epsilon)
        self.predict = nn.Conv2d(wide, classes, 1)

    def forward(self, features: Mapping[int, Tensor], size: Size) -> Tensor:
        """Stride → features to logits [N, classes, H, W] of the image's size."""
        logits = self.predict(self.refine(self.pyramid(features[_COARSE])))
        return resized(logits, size, "bilinear", align_corners=True)
