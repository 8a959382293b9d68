"""Networks that give each pixel a class: an EfficientNet as encoder, and a decoder.

``spec`` says which there are, ``conventions`` what two of the same tensors may still do differently (neither
needs torch); ``decoders`` holds one file for each decoder, ``segmenter`` puts both together.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeeff.zoo.conventions import Conventions
    from edgeeff.zoo.segmentation.segmenter import Segmenter
    from edgeeff.zoo.spec import ModelSpec


def build(
    spec: ModelSpec,
    decoder: str = "lraspp",
    classes: int = 2,
    size: tuple[int, int] | None = None,
    conventions: Conventions | None = None,
    channels: int = 3,
) -> Segmenter:
    """The untrained network of an encoder and a decoder, in eval mode.

    Args:
        spec: The encoder.
        decoder: A name of :data:`edgeeff.zoo.segmentation.spec.DECODERS`.
        classes: Of a pixel.
        size: Height and width of the images; None: the encoder's own.
        conventions: The encoder's, where its weights are another library's; None: TensorFlow's.
        channels: Of the images.

    Returns:
        A module of normalised images [N, C, H, W] → ``mask_logits`` [N, classes, H, W]. Its tensors are
        named ``backbone.…``, as the encoder's in :meth:`Architecture.tensors`, and ``decoder.…``.

    Raises:
        OptionError: No such decoder, or no such size is possible.
    """
    from edgeeff.zoo.segmentation import segmenter
    from edgeeff.zoo.segmentation.spec import SegmenterSpec, decoder_named

    own = SegmenterSpec(spec, decoder_named(decoder))
    said = replace(own.conventions, backbone=conventions or own.conventions.backbone)
    return segmenter.build(own, classes, size or (own.size, own.size), said, inputs=channels)
