"""The naming of ``segmentation_models_pytorch`` with its encoders ``timm-efficientnet-b0`` and so on.

Their weights are TensorFlow's, and what they compute is not: symmetric padding and torch's epsilon. The last
block of each stride is read.
"""

from __future__ import annotations

from dataclasses import replace

from edgeeff.zoo.architecture import Architecture
from edgeeff.zoo.conventions import TORCH
from edgeeff.zoo.namings import _smp, timm
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.segmentation.origin import SegmenterOrigin
from edgeeff.zoo.segmentation.spec import SegmenterSpec
from edgeeff.zoo.spec import IMAGENET, PLUS_MINUS_ONE

SEGMENTER = True


def translate(key: str, architecture: Architecture) -> str | None:
    """Our name of ``encoder.blocks.1.0.conv_pw.weight``, ``decoder.blocks.0.conv1.0.weight`` and the like."""
    tail = key.removeprefix(_smp.ENCODER)
    return _smp.translated(key, timm.translate(tail, architecture) if tail != key else None)


def origin(spec: SegmenterSpec, said: str | None) -> SegmenterOrigin:
    """ImageNet's mean and std; −1…1 of Lite, and where the file says AdvProp."""
    own, lite = spec.backbone, spec.activation == "relu6"
    advprop = said is not None and "advprop" in said.lower()
    mean, std = PLUS_MINUS_ONE if lite or advprop else IMAGENET
    stem = (0,)  # of stride 2
    later = (last + 1 for stride, last in sorted(own.architecture.taps().items()))
    return SegmenterOrigin(
        source=f"segmentation_models_pytorch timm-efficientnet-{own.name}",
        conventions=SegmenterConventions(
            backbone=TORCH,
            taps=(*stem, *later),
            coarsest=spec.facts.coarsest,
            whole=True,
            epsilon=1e-5,
        ),
        preprocess=replace(spec.preprocess(), mean=mean, std=std),
        warnings=_smp.warnings(spec, "its own" if lite else "AdvProp's" if advprop else "ImageNet's"),
    )
