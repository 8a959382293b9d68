"""An EfficientNet that gives features of several strides, dilated where they shall not become coarser."""

from __future__ import annotations

from itertools import accumulate
from operator import mul

from torch import Tensor, nn

from edgeeff.zoo import efficientnet
from edgeeff.zoo.architecture import STEM_STRIDE, Architecture
from edgeeff.zoo.blocks import PaddedConv2d, Size
from edgeeff.zoo.segmentation.conventions import STRIDES, SegmenterConventions
from edgeeff.zoo.spec import ModelSpec


def places(architecture: Architecture, conventions: SegmenterConventions) -> dict[int, int]:
    """How many blocks have run where each feature is read: stride → blocks; 0 is the stem's output."""
    if conventions.taps is not None:
        return dict(zip(STRIDES, conventions.taps, strict=True))
    strides = accumulate((block.stride for block in architecture.blocks), mul, initial=STEM_STRIDE)
    return {stride: count for count, stride in enumerate(strides)}


def channels(architecture: Architecture, conventions: SegmenterConventions) -> dict[int, int]:
    """Channels of each feature: stride → channels."""
    widths = [architecture.stem, *(block.outputs for block in architecture.blocks)]
    return {stride: widths[count] for stride, count in places(architecture, conventions).items()}


class Encoder(nn.Module):
    """The part of a classifier that gives the features of some strides; its tensors are the classifier's.

    Args:
        spec: The classifier.
        inputs: Channels of the images.
        size: Height and width of the images.
        conventions: Padding, where features are read, and what is dilated.
        wanted: Strides of the features; blocks behind the last of them are not made.
    """

    def __init__(
        self,
        spec: ModelSpec,
        inputs: int,
        size: Size,
        conventions: SegmenterConventions,
        wanted: tuple[int, ...],
    ) -> None:
        super().__init__()
        found = places(spec.architecture, conventions)
        self._places = {stride: found[stride] for stride in wanted}
        self._fixed = conventions.backbone.static is not None
        last = (str(STRIDES[-1]),)  # everything but head and classifier
        network = efficientnet.build(spec, 0, size, conventions.backbone, channels=inputs, taps=last)
        self.stem = network.stem
        self.blocks = nn.Sequential(*list(network.blocks)[: max(self._places.values())])
        if conventions.coarsest < STRIDES[-1]:
            _dilate(self.blocks, spec.architecture, conventions)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """Normalised images [N, C, H, W] to stride → features [N, channels, H ÷ stride, W ÷ stride]."""
        y: Tensor = self.stem(x)
        read = {0: y}
        for count, block in enumerate(self.blocks, 1):
            y = block(y)
            if count in self._places.values():
                read[count] = y
        return {stride: read[count] for stride, count in self._places.items()}

    def at_any_size(self) -> None:
        """From now on SAME's zeros are those of each image, as :meth:`EfficientNet.at_any_size` has it."""
        for module in self.modules():
            if isinstance(module, PaddedConv2d):
                module.any_size = not self._fixed


def _dilate(blocks: nn.Sequential, architecture: Architecture, conventions: SegmenterConventions) -> None:
    """Make strides beyond the coarsest dilations.

    smp's own encoders dilate every block behind their feature of the coarsest stride, timm's those behind the
    block whose stride is taken away.
    """
    read, coarsest = places(architecture, conventions), conventions.coarsest
    stride, dilation = STEM_STRIDE, 1
    for index, (part, block) in enumerate(zip(blocks, architecture.blocks, strict=False)):
        stride *= block.stride
        taken = block.stride if stride > coarsest else 1
        if conventions.whole:
            dilation = max(next(s for s in STRIDES if index < read[s]) // coarsest, 1)
        if taken > 1 or dilation > 1:
            _set(part, dilation)
        if not conventions.whole:
            dilation *= taken


def _set(part: nn.Module, dilation: int) -> None:
    """Give a block's k×k convolution stride 1 and this dilation; SAME and symmetric zeros are one then."""
    for conv in part.modules():
        if isinstance(conv, PaddedConv2d):
            reach = dilation * (conv.kernel_size[0] - 1) // 2
            conv.stride, conv.dilation, conv.padding = (1, 1), (dilation, dilation), (reach, reach)
            conv.border, conv.same = None, False
