"""Every segmenter of the zoo as a torch module: an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from edgeeff.zoo.blocks import Size
from edgeeff.zoo.segmentation import decoders, encoder
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.segmentation.encoder import Encoder
from edgeeff.zoo.segmentation.layers import size_of
from edgeeff.zoo.segmentation.spec import SegmenterSpec

BACKBONE, DECODER = "backbone.", "decoder."


class Segmenter(nn.Module):
    """A segmenter; its encoder's padding is that of images of one ``size`` (height, width).

    Args:
        spec: Which one.
        classes: Of a pixel.
        size: Height and width of the images.
        conventions: What its tensors do not say.
        widths: Of the decoder: its file's ``Widths``; None: its authors'.
        inputs: Channels of the images.
    """

    def __init__(
        self,
        spec: SegmenterSpec,
        classes: int,
        size: Size,
        conventions: SegmenterConventions,
        widths: Any = None,
        inputs: int = 3,
    ) -> None:
        super().__init__()
        spec.refuse_size(size)
        file = decoders.decoder(spec.decoder)
        widths = widths or file.Widths()
        self.backbone = Encoder(spec.backbone, inputs, size, conventions, widths.wanted)
        channels = encoder.channels(replace(spec.backbone.architecture, inputs=inputs), conventions)
        self.decoder = file.Decoder(channels, classes, widths, conventions)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images [N, C, H, W] to logits of each pixel [N, classes, H, W]."""
        logits: Tensor = self.decoder(self.backbone(x), size_of(x))
        return logits

    def at_any_size(self) -> None:
        """From now on images of any size that the decoder can have, see :meth:`EfficientNet.at_any_size`."""
        self.backbone.at_any_size()


def build(
    spec: SegmenterSpec,
    classes: int,
    size: Size,
    conventions: SegmenterConventions | None = None,
    widths: Any = None,
    inputs: int = 3,
) -> Segmenter:
    """The untrained network of ``spec``, in eval mode.

    Raises:
        OptionError: No such size is possible.
    """
    return Segmenter(spec, classes, size, conventions or spec.conventions, widths, inputs).eval()


def trained(
    spec: SegmenterSpec,
    tensors: Mapping[str, Tensor],
    size: Size,
    conventions: SegmenterConventions | None = None,
) -> Segmenter:
    """The network of ``spec`` that holds ``tensors``, float32, by our names; they are taken, not copied.

    Classes, widths and input channels are those that they have.

    Raises:
        OptionError: No such size is possible.
    """
    with torch.device("meta"):  # no time spent on initial values that are replaced at once
        network = fitted(spec, tensors, size, conventions)
    counters = {
        name: torch.zeros((), dtype=torch.int64)
        for name, _ in network.named_buffers()
        if name.endswith("num_batches_tracked")
    }
    network.load_state_dict({**tensors, **counters}, assign=True)
    return network


def fitted(
    spec: SegmenterSpec,
    tensors: Mapping[str, Tensor],
    size: Size,
    conventions: SegmenterConventions | None = None,
) -> Segmenter:
    """The untrained network with the classes, widths and input channels of these tensors.

    Raises:
        KeyError: A tensor that says them is not there.
        OptionError: No such size is possible.
    """
    file = decoders.decoder(spec.decoder)
    shapes = {
        name.removeprefix(DECODER): tuple(tensor.shape)
        for name, tensor in tensors.items()
        if name.startswith(DECODER)
    }
    inputs = int(tensors[f"{BACKBONE}stem.conv.weight"].shape[1])
    return build(spec, shapes[file.CLASSES_AT][0], size, conventions, file.widths(shapes), inputs)
