"""The naming of torchvision: everything by number, the blocks of a stage and the layers of a block too."""

from __future__ import annotations

import re
from dataclasses import replace

from edgeeff.preprocess import Interpolation
from edgeeff.zoo.architecture import Architecture
from edgeeff.zoo.conventions import Conventions
from edgeeff.zoo.namings._places import HEAD, UNNEEDED, block_at, in_head, layers, nowhere
from edgeeff.zoo.origin import Origin
from edgeeff.zoo.spec import IMAGENET, PLUS_MINUS_ONE, ModelSpec

CLASSIFIER_AT = "1"  # behind a Dropout
_CONV_NORM = ("conv", "norm")
_SQUEEZE = {"fc1": "reduce", "fc2": "expand"}

_KEY = re.compile(
    r"features\.(?P<row>\d+)"
    r"(?:\.(?P<place>\d+)\.block\.(?P<layer>\d+))?\.(?P<sub>[01]|fc[12])\.(?P<part>\w+)"
    rf"|classifier{HEAD}"
)


def translate(key: str, architecture: Architecture) -> str | None:
    """Our name of ``features.2.0.block.1.0.weight`` and the like; ``features.0`` is the stem."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    if match["head_part"]:
        return in_head(match["head"], match["head_part"])
    row, sub, part = int(match["row"]), match["sub"], match["part"]
    if part == UNNEEDED:
        return ""
    if match["place"] is None:
        end = {0: "stem", len(architecture.stages) + 1: "head"}.get(row)
        return f"{end}.{_CONV_NORM[int(sub)]}.{part}" if end and sub in "01" else nowhere(key)
    found = block_at(architecture, row - 1, int(match["place"]))
    if found is None:
        return nowhere(key)
    index, block = found
    number = int(match["layer"])
    layer = layers(block)[number] if number < len(layers(block)) else None
    if layer is None or (layer == "squeeze") != (sub in _SQUEEZE):
        return nowhere(key)
    return f"blocks.{index}.{layer}.{_SQUEEZE[sub] if sub in _SQUEEZE else _CONV_NORM[int(sub)]}.{part}"


# torchvision/models/efficientnet.py: the shorter side that photos are resized to, and the crop's; of b1
# those of its default weights, IMAGENET1K_V2.
_EVALUATED: dict[str, tuple[int, int, Interpolation]] = {
    "b0": (256, 224, "bicubic"),
    "b1": (255, 240, "bilinear"),
    "b2": (288, 288, "bicubic"),
    "b3": (320, 300, "bicubic"),
    "b4": (384, 380, "bicubic"),
    "b5": (456, 456, "bicubic"),
    "b6": (528, 528, "bicubic"),
    "b7": (600, 600, "bicubic"),
    "v2-s": (384, 384, "bilinear"),
    "v2-m": (480, 480, "bilinear"),
    "v2-l": (480, 480, "bicubic"),
}
_TORCH_EPSILON = ("b0", "b1", "b2", "b3", "b4")  # trained by torch; the larger ones came from TensorFlow


def origin(spec: ModelSpec, said: str | None) -> Origin:
    """Symmetric padding everywhere; epsilon and preprocessing by network."""
    conventions = Conventions("symmetric", 1e-5 if spec.name in _TORCH_EPSILON else 1e-3)
    resized, side, interpolation = _EVALUATED.get(spec.name, (spec.size, spec.size, "bicubic"))
    if spec.name == "b1" and said is not None and ("V1" in said or "rwightman" in said):
        resized, interpolation = 256, "bicubic"
    mean, std = PLUS_MINUS_ONE if spec.name == "v2-l" else IMAGENET
    preprocess = replace(
        spec.preprocess((side, side)), mean=mean, std=std, crop=side / resized, interpolation=interpolation
    )
    return Origin("torchvision", conventions, preprocess)
