"""The naming of ``segmentation_models_pytorch`` with its encoders ``efficientnet-b0`` and so on.

Their code is that of ``efficientnet_pytorch``: SAME padding counted for the variant's own size, whatever the
images' is. The feature of stride 16 is read behind the first block of its last stage, not the last.
"""

from __future__ import annotations

from dataclasses import replace

from edgeeff.zoo.architecture import Architecture
from edgeeff.zoo.conventions import TENSORFLOW
from edgeeff.zoo.namings import _smp, efficientnet_pytorch
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.segmentation.origin import SegmenterOrigin
from edgeeff.zoo.segmentation.spec import SegmenterSpec
from edgeeff.zoo.spec import PLUS_MINUS_ONE

SEGMENTER = True
#: Blocks that have run where features are read (smp's encoders/efficientnet.py, out_indexes + 1).
_TAPS = {
    "b0": (0, 3, 5, 9, 16),
    "b1": (0, 5, 8, 16, 23),
    "b2": (0, 5, 8, 16, 23),
    "b3": (0, 5, 8, 18, 26),
    "b4": (0, 6, 10, 22, 32),
    "b5": (0, 8, 13, 27, 39),
    "b6": (0, 9, 15, 31, 45),
    "b7": (0, 11, 18, 38, 55),
}


def translate(key: str, architecture: Architecture) -> str | None:
    """Our name of ``encoder._blocks.3._bn1.weight``, ``decoder.blocks.0.conv1.0.weight`` and the like."""
    tail = key.removeprefix(_smp.ENCODER)
    return _smp.translated(key, efficientnet_pytorch.translate(tail, architecture) if tail != key else None)


def origin(spec: SegmenterSpec, said: str | None) -> SegmenterOrigin:
    """Zeros for the variant's own size; ImageNet's mean and std, −1…1 where the file says AdvProp."""
    own = spec.backbone
    taps, warnings = _TAPS.get(own.name), _smp.warnings(spec, "ImageNet's")
    preprocess = spec.preprocess()
    if said is not None and "advprop" in said.lower():
        preprocess = replace(preprocess, mean=PLUS_MINUS_ONE[0], std=PLUS_MINUS_ONE[1])
        warnings = _smp.warnings(spec, "AdvProp's")
    return SegmenterOrigin(
        source=f"segmentation_models_pytorch efficientnet-{own.name}",
        conventions=SegmenterConventions(
            backbone=replace(TENSORFLOW, static=(own.size, own.size)),
            taps=taps,
            coarsest=spec.facts.coarsest,
            whole=True,
            epsilon=1e-5,
        ),
        preprocess=preprocess,
        warnings=warnings
        if taps
        else (*warnings, f"the library has no encoder efficientnet-{own.name}: where it reads is a guess"),
    )
