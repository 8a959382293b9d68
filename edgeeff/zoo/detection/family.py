"""EfficientDet D0–D7x, Lite0–4 and Lite3x, and effdet's own variants, as a table.

Sources: Tan et al. 2020, arXiv:1911.09070 (the scaling); google/automl, efficientdet/README.md (accuracies of
D0–D7x on COCO test-dev, of Lite on val2017) and hparams_config.py (the table, which deviates from the paper's
rule in D2 and D5 to D7x); rwightman/efficientdet-pytorch, effdet/config/model_config.py (Q0–Q2, V2).
"""

from __future__ import annotations

from math import sqrt

from edgeeff.detection.geometry import RATIOS
from edgeeff.zoo.detection.conventions import EFFDET, DetectorConventions
from edgeeff.zoo.detection.spec import DetectorSpec, Resizing
from edgeeff.zoo.families import b, lite, v2
from edgeeff.zoo.spec import IMAGENET, LITE, ModelSpec

_BACKBONES: dict[str, ModelSpec] = {spec.name: spec for spec in (*b.MEMBERS, *lite.MEMBERS, *v2.MEMBERS)}
#: A square, and of its area one twice as wide as high and one twice as high as wide.
_ROOTS = ((1.0, 1.0), (sqrt(2), sqrt(0.5)), (sqrt(0.5), sqrt(2)))


def _d(
    name: str,
    backbone: str,
    size: int,
    channels: int,
    cells: int,
    repeats: int,
    test: float,
    weighted: bool = True,
    scale: float = 4.0,
    last: int = 7,
) -> DetectorSpec:
    return DetectorSpec(
        name=f"efficientdet-{name}",
        backbone=_BACKBONES[backbone],
        size=size,
        channels=channels,
        cells=cells,
        repeats=repeats,
        normalisation=IMAGENET,
        weighted=weighted,
        levels=(3, last),
        scale=scale,
        published_map=test,
        published_on="COCO test-dev",
    )


def _lite(
    name: str, backbone: str, size: int, channels: int, cells: int, repeats: int, val: float, scale: float
) -> DetectorSpec:
    return DetectorSpec(
        name=f"efficientdet-{name}",
        backbone=_BACKBONES[backbone],
        size=size,
        channels=channels,
        cells=cells,
        repeats=repeats,
        normalisation=LITE,
        weighted=False,
        scale=scale,
        published_map=val,
        published_on="COCO val2017",
    )


def _effdet(
    name: str,
    backbone: str,
    size: int,
    channels: int,
    cells: int,
    repeats: int,
    quad: bool,
    resizing: Resizing,
    ratios: tuple[tuple[float, float], ...] = RATIOS,
    conventions: DetectorConventions = EFFDET,
) -> DetectorSpec:
    return DetectorSpec(
        name=name,
        backbone=_BACKBONES[backbone],
        size=size,
        channels=channels,
        cells=cells,
        repeats=repeats,
        normalisation=IMAGENET,
        ratios=ratios,
        quad=quad,
        resizing=resizing,
        biases=False,
        conventions=conventions,
    )


MEMBERS = (
    _d("d0", "b0", 512, 64, 3, 3, 34.6),
    _d("d1", "b1", 640, 88, 4, 3, 40.5),
    _d("d2", "b2", 768, 112, 5, 3, 43.9),
    _d("d3", "b3", 896, 160, 6, 4, 47.2),
    _d("d4", "b4", 1024, 224, 7, 4, 49.7),
    _d("d5", "b5", 1280, 288, 7, 4, 51.5),
    _d("d6", "b6", 1280, 384, 8, 5, 52.6, weighted=False),
    _d("d7", "b6", 1536, 384, 8, 5, 53.7, weighted=False, scale=5.0),
    _d("d7x", "b7", 1536, 384, 8, 5, 55.1, weighted=False, last=8),
    _lite("lite0", "lite0", 320, 64, 3, 3, 26.41, scale=3.0),
    _lite("lite1", "lite1", 384, 88, 4, 3, 31.50, scale=3.0),
    _lite("lite2", "lite2", 448, 112, 5, 3, 35.06, scale=3.0),
    _lite("lite3", "lite3", 512, 160, 6, 4, 38.77, scale=4.0),
    _lite("lite3x", "lite3", 640, 200, 6, 4, 42.64, scale=3.0),
    _lite("lite4", "lite4", 640, 224, 7, 4, 43.18, scale=4.0),
    _effdet("efficientdet-q0", "b0", 512, 64, 3, 3, True, "nearest"),
    _effdet("efficientdet-q1", "b1", 640, 88, 3, 3, True, "bilinear"),
    _effdet("efficientdet-q2", "b2", 768, 112, 4, 3, True, "nearest"),
    _effdet("efficientdetv2-dt", "v2-rw-t", 768, 128, 5, 3, False, "bilinear", _ROOTS),
    _effdet("efficientdetv2-ds", "v2-rw-s", 1024, 256, 7, 4, False, "bilinear", _ROOTS),
)
