"""EfficientNetV2: B0–B3 by compound scaling; S, M, L and XL searched and given whole; rw-t, rw-s and rw-m.

Sources: Tan & Le 2021, arXiv:2104.00298 (Table 4: the stages of S; Table 7: accuracies); the tables of M, L,
XL and of the base of B0–B3 are those of google/automl, efficientnetv2. rw-t, rw-s and rw-m are timm's own
variants of S, from before the authors' weights were out.
"""

from __future__ import annotations

from dataclasses import replace

from edgeeff.zoo.scaling import Family, Stage
from edgeeff.zoo.spec import IMAGENET, PLUS_MINUS_ONE, Channels, ModelSpec

STEM, HEAD = 24, 1280

# Rows of (kind, expansion, stride, channels, repeats); every kernel is 3, every MBConv squeezes to a quarter.
_Row = tuple[str, int, int, int, int]


def _stages(*rows: _Row) -> tuple[Stage, ...]:
    """A table's rows as stages."""
    return tuple(
        Stage("mbconv", expansion, 3, stride, channels, repeats, squeeze=0.25)
        if kind == "mbconv"
        else Stage("conv" if expansion == 1 else "fused", expansion, 3, stride, channels, repeats)
        for kind, expansion, stride, channels, repeats in rows
    )


BASE = Family(
    _stages(
        ("fused", 1, 1, 16, 1),
        ("fused", 4, 2, 32, 2),
        ("fused", 4, 2, 48, 2),
        ("mbconv", 4, 2, 96, 3),
        ("mbconv", 6, 1, 112, 5),
        ("mbconv", 6, 2, 192, 8),
    ),
    stem=32,
    head=HEAD,
    keeps=0.0,
)
S = Family(
    _stages(
        ("fused", 1, 1, 24, 2),
        ("fused", 4, 2, 48, 4),
        ("fused", 4, 2, 64, 4),
        ("mbconv", 4, 2, 128, 6),
        ("mbconv", 6, 1, 160, 9),
        ("mbconv", 6, 2, 256, 15),
    ),
    STEM,
    HEAD,
)
M = Family(
    _stages(
        ("fused", 1, 1, 24, 3),
        ("fused", 4, 2, 48, 5),
        ("fused", 4, 2, 80, 5),
        ("mbconv", 4, 2, 160, 7),
        ("mbconv", 6, 1, 176, 14),
        ("mbconv", 6, 2, 304, 18),
        ("mbconv", 6, 1, 512, 5),
    ),
    STEM,
    HEAD,
)
L = Family(
    _stages(
        ("fused", 1, 1, 32, 4),
        ("fused", 4, 2, 64, 7),
        ("fused", 4, 2, 96, 7),
        ("mbconv", 4, 2, 192, 10),
        ("mbconv", 6, 1, 224, 19),
        ("mbconv", 6, 2, 384, 25),
        ("mbconv", 6, 1, 640, 7),
    ),
    32,
    HEAD,
)
XL = Family(
    _stages(
        ("fused", 1, 1, 32, 4),
        ("fused", 4, 2, 64, 8),
        ("fused", 4, 2, 96, 8),
        ("mbconv", 4, 2, 192, 16),
        ("mbconv", 6, 1, 256, 24),
        ("mbconv", 6, 2, 512, 32),
        ("mbconv", 6, 1, 640, 8),
    ),
    32,
    HEAD,
)
# timm's: the first stage is a Fused-MBConv of two convolutions though it expands nothing.
RW = Family(
    (
        replace(S.stages[0], kind="fused"),
        *S.stages[1:-1],
        replace(S.stages[-1], channels=272),
    ),
    STEM,
    1792,
)


def _member(
    name: str,
    family: Family,
    size: int,
    top1: float | None,
    hub: str,
    width: float = 1.0,
    depth: float | tuple[float, ...] = 1.0,
    normalisation: tuple[Channels, Channels] = IMAGENET,
    crop: float | None = 1.0,
) -> ModelSpec:
    return ModelSpec(
        name=name,
        family=family,
        width=width,
        depth=depth,
        size=size,
        normalisation=normalisation,
        published_top1=top1,
        crop=crop,
        hub=f"timm/{hub}",
    )


MEMBERS = (
    _member("v2-b0", BASE, 224, 78.7, "tf_efficientnetv2_b0.in1k", crop=None),
    _member("v2-b1", BASE, 240, 79.8, "tf_efficientnetv2_b1.in1k", 1.0, 1.1, crop=None),
    _member("v2-b2", BASE, 260, 80.5, "tf_efficientnetv2_b2.in1k", 1.1, 1.2, crop=None),
    _member("v2-b3", BASE, 300, 82.1, "tf_efficientnetv2_b3.in1k", 1.2, 1.4, crop=None),
    _member("v2-s", S, 384, 83.9, "tf_efficientnetv2_s.in1k", normalisation=PLUS_MINUS_ONE),
    _member("v2-m", M, 480, 85.1, "tf_efficientnetv2_m.in1k", normalisation=PLUS_MINUS_ONE),
    _member("v2-l", L, 480, 85.7, "tf_efficientnetv2_l.in1k", normalisation=PLUS_MINUS_ONE),
    _member("v2-xl", XL, 512, 87.3, "tf_efficientnetv2_xl.in21k_ft_in1k", normalisation=PLUS_MINUS_ONE),
    _member("v2-rw-t", S, 288, None, "efficientnetv2_rw_t.ra2_in1k", 0.8, 0.9),
    _member("v2-rw-s", RW, 384, None, "efficientnetv2_rw_s.ra2_in1k"),
    _member("v2-rw-m", RW, 416, None, "efficientnetv2_rw_m.agc_in1k", 1.2, (1.2,) * 4 + (1.6,) * 2),
)
