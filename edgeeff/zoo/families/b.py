"""EfficientNet B0–B8 and L2.

Sources: Tan & Le 2019, arXiv:1905.11946 (Table 1: the stages; Table 2: accuracies of B0–B7); Xie et al. 2020,
arXiv:1911.09665 (B8, AdvProp); Xie et al. 2020, arXiv:1911.04252 (L2, Noisy Student).
"""

from __future__ import annotations

from edgeeff.zoo.scaling import Family, Stage
from edgeeff.zoo.spec import IMAGENET, PLUS_MINUS_ONE, ModelSpec

SQUEEZE = 0.25

# Table 1 of the paper, stages 2 to 8. The paper gives resolutions where we give strides.
STAGES = (
    Stage("mbconv", expansion=1, kernel=3, stride=1, channels=16, repeats=1, squeeze=SQUEEZE),
    Stage("mbconv", expansion=6, kernel=3, stride=2, channels=24, repeats=2, squeeze=SQUEEZE),
    Stage("mbconv", expansion=6, kernel=5, stride=2, channels=40, repeats=2, squeeze=SQUEEZE),
    Stage("mbconv", expansion=6, kernel=3, stride=2, channels=80, repeats=3, squeeze=SQUEEZE),
    Stage("mbconv", expansion=6, kernel=5, stride=1, channels=112, repeats=3, squeeze=SQUEEZE),
    Stage("mbconv", expansion=6, kernel=5, stride=2, channels=192, repeats=4, squeeze=SQUEEZE),
    Stage("mbconv", expansion=6, kernel=3, stride=1, channels=320, repeats=1, squeeze=SQUEEZE),
)
FAMILY = Family(STAGES, stem=32, head=1280)  # stages 1 and 9


def _member(
    name: str, width: float, depth: float, size: int, top1: float, weights: str, advprop: bool = False
) -> ModelSpec:
    return ModelSpec(
        name=name,
        family=FAMILY,
        width=width,
        depth=depth,
        size=size,
        normalisation=PLUS_MINUS_ONE if advprop else IMAGENET,
        published_top1=top1,
        hub=f"timm/tf_efficientnet_{name}.{weights}",
    )


MEMBERS = (
    _member("b0", 1.0, 1.0, 224, 77.1, "aa_in1k"),
    _member("b1", 1.0, 1.1, 240, 79.1, "aa_in1k"),
    _member("b2", 1.1, 1.2, 260, 80.1, "aa_in1k"),
    _member("b3", 1.2, 1.4, 300, 81.6, "aa_in1k"),
    _member("b4", 1.4, 1.8, 380, 82.9, "aa_in1k"),
    _member("b5", 1.6, 2.2, 456, 83.6, "aa_in1k"),
    _member("b6", 1.8, 2.6, 528, 84.0, "aa_in1k"),
    _member("b7", 2.0, 3.1, 600, 84.3, "aa_in1k"),
    _member("b8", 2.2, 3.6, 672, 85.5, "ap_in1k", advprop=True),
    _member("l2", 4.3, 5.3, 800, 88.4, "ns_jft_in1k"),
)
