"""One network of the zoo, with all that is known of it. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from edgeeff.preprocess import Preprocess
from edgeeff.zoo.architecture import Architecture
from edgeeff.zoo.scaling import Family, scale

Activation = Literal["swish", "relu6", "relu", "hardswish"]
#: Those that a network can be given instead of its own (:meth:`ModelSpec.swapped`).
SWAPPED: tuple[Activation, ...] = ("hardswish", "relu6")
Channels = tuple[float, float, float]

# Normalisations, (mean, standard deviation) of R, G, B on pixels of 0…255.
IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
#: −1…1: AdvProp's, EdgeTPU's, and V2-S to XL's.
PLUS_MINUS_ONE = (127.5, 127.5, 127.5), (127.5, 127.5, 127.5)
LITE = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)

CROP_BORDER = 32  # pixels left of the resized photo's shorter side by the authors' centre crop


@dataclass(frozen=True)
class ModelSpec:
    """One network of the zoo.

    Args:
        name: As on the command line.
        family: What it is scaled from.
        width: Multiplier of the channels.
        depth: Multiplier of the repeats; one number, or one for each stage.
        size: Height and width that its authors evaluate it at, pixels.
        activation: After every convolution but the projections.
        normalisation: Mean and standard deviation that its authors' weights want.
        published_top1: ImageNet accuracy its authors give, %; None where there is none.
        crop: The share of the resized photo that the centre crop keeps; None leaves 32 pixels.
        weights_package: The module of a wheel that carries its ImageNet weights, where there is one.
        hub: The repository of the Hugging Face hub that holds its ImageNet weights, where there is one.
        of: The network that it is but for its activation; None: its activation is its authors'.
    """

    name: str
    family: Family
    width: float
    depth: float | tuple[float, ...]
    size: int
    activation: Activation = "swish"
    normalisation: tuple[Channels, Channels] = IMAGENET
    published_top1: float | None = None
    crop: float | None = None
    weights_package: str | None = None
    hub: str | None = None
    of: ModelSpec | None = None

    @cached_property
    def architecture(self) -> Architecture:
        """Its blocks and tensors."""
        return scale(self.family, self.width, self.depth)

    @property
    def plain(self) -> ModelSpec:
        """The same with its authors' activation."""
        return self.of or self

    def swapped(self, activation: Activation) -> ModelSpec:
        """The same with another activation, which its name says; published weights do not fit it."""
        plain = self.plain
        if activation == plain.activation:
            return plain
        return replace(
            plain,
            name=f"{plain.name}-{activation}",
            activation=activation,
            published_top1=None,
            weights_package=None,
            hub=None,
            of=plain,
        )

    def preprocess(self, size: tuple[int, int] | None = None) -> Preprocess:
        """How its authors' weights want their images, at ``size`` (height, width) or its own."""
        height, width = size or (self.size, self.size)
        shorter = min(height, width)
        mean, std = self.normalisation
        return Preprocess(
            size=(height, width),
            mean=mean,
            std=std,
            crop=self.crop or shorter / (shorter + CROP_BORDER),
            interpolation="bicubic",
        )

    def parameters(self, classes: int = 1000) -> int:
        """The number of trained values."""
        return self.architecture.parameters(classes)

    def multiply_adds(self, size: tuple[int, int] | int | None = None, classes: int = 1000) -> int:
        """Multiply-adds of one image, at ``size`` (height, width; one number for a square) or its own."""
        height, width = size if isinstance(size, tuple) else (size or self.size,) * 2
        return self.architecture.multiply_adds((height, width), classes)
