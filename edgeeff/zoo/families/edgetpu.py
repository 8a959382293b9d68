"""EfficientNet-EdgeTPU S, M and L: Fused-MBConv in the early stages, ReLU, no squeeze-and-excite.

Source: tensorflow/tpu, models/official/efficientnet/edgetpu/README.md (the networks and their accuracies).
"""

from __future__ import annotations

from edgeeff.zoo.scaling import Family, Stage
from edgeeff.zoo.spec import PLUS_MINUS_ONE, ModelSpec

STAGES = (
    # The authors' first stage expands 24 channels, though the stem gives it 32; and adds no input.
    Stage("fused", expansion=4, kernel=3, stride=1, channels=24, repeats=1, skips=False, expands=24),
    Stage("fused", expansion=8, kernel=3, stride=2, channels=32, repeats=2),
    Stage("fused", expansion=8, kernel=3, stride=2, channels=48, repeats=4),
    Stage("mbconv", expansion=8, kernel=5, stride=2, channels=96, repeats=5),
    Stage("mbconv", expansion=8, kernel=5, stride=1, channels=144, repeats=4),
    Stage("mbconv", expansion=8, kernel=5, stride=2, channels=192, repeats=2),
)
FAMILY = Family(STAGES, stem=32, head=1280)


def _member(name: str, letter: str, width: float, depth: float, size: int, top1: float) -> ModelSpec:
    return ModelSpec(
        name=name,
        family=FAMILY,
        width=width,
        depth=depth,
        size=size,
        activation="relu",
        normalisation=PLUS_MINUS_ONE,
        published_top1=top1,
        hub=f"timm/tf_efficientnet_e{letter}.in1k",
    )


MEMBERS = (
    _member("edgetpu-s", "s", 1.0, 1.0, 224, 77.23),
    _member("edgetpu-m", "m", 1.0, 1.1, 240, 78.69),
    _member("edgetpu-l", "l", 1.2, 1.4, 300, 80.62),
)
