"""The naming of ``segmentation_models_pytorch`` with timm's networks as encoders: ``tu-efficientnet_b0``."""

from __future__ import annotations

from dataclasses import replace

from edgeeff.zoo.architecture import Architecture
from edgeeff.zoo.namings import _smp, timm
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.segmentation.origin import SegmenterOrigin
from edgeeff.zoo.segmentation.spec import SegmenterSpec

SEGMENTER = True
_DOUBT = (
    "timm's efficientnet_… and tf_efficientnet_… have the same tensors and do not compute the same, and the "
    "file does not say which its encoder is: pass --padding same --bn-epsilon 1e-3 if it is "
    "tu-tf_efficientnet_…, --padding symmetric --bn-epsilon 1e-5 if not"
)
_MODEL = f"{_smp.ENCODER}model."


def translate(key: str, architecture: Architecture) -> str | None:
    """Our name of ``encoder.model.blocks.1.0.conv_pw.weight`` and the like."""
    if key.startswith(_MODEL):
        return _smp.translated(key, timm.translate(key[len(_MODEL) :], architecture))
    return None if key.startswith(_smp.ENCODER) else _smp.translated(key, None)


def origin(spec: SegmenterSpec, said: str | None) -> SegmenterOrigin:
    """timm's: ``tu-tf_…`` are TensorFlow's conventions, the others torch's; the last block of each stride."""
    own = timm.origin(spec.backbone, said and said.removeprefix("tu-"))
    found = spec.preprocess()
    return SegmenterOrigin(
        source=own.source.replace("timm ", "segmentation_models_pytorch tu-", 1),
        conventions=SegmenterConventions(
            backbone=own.conventions, coarsest=spec.facts.coarsest, epsilon=1e-5
        ),
        preprocess=replace(found, mean=own.preprocess.mean, std=own.preprocess.std),
        warnings=(*_smp.warnings(spec, "timm's"), *([] if own.doubt is None else [_DOUBT])),
    )
