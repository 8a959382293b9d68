"""One detector of the zoo, with all that is known of it. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from edgeeff.detection.geometry import RATIOS, Geometry
from edgeeff.errors import OptionError
from edgeeff.preprocess import Preprocess
from edgeeff.zoo.detection.architecture import DetectorArchitecture
from edgeeff.zoo.detection.conventions import TENSORFLOW, DetectorConventions
from edgeeff.zoo.spec import Activation, Channels, ModelSpec

Resizing = Literal["nearest", "bilinear"]
#: Sides of an input are multiples of it: level 7's stride, and every level is half of the one before.
STEP = 128
_LARGEST = 4096


@dataclass(frozen=True)
class DetectorSpec:
    """One detector of the zoo.

    Args:
        name: As on the command line.
        backbone: The classifier that gives its features.
        size: Height and width that its authors evaluate it at, pixels.
        channels: Of the pyramid's features.
        cells: Of the pyramid.
        repeats: Convolutions of each head before its last one.
        normalisation: Mean and standard deviation that its authors' weights want.
        weighted: Whether features are fused by trained weights (fast normalised fusion); else added.
        levels: The pyramid's first and last.
        scale: Side of the smallest square anchor, in strides of its level.
        octaves: Sizes of anchors at each place.
        ratios: Width and height of each shape of anchor, relative to a square's side.
        quad: Whether the pyramid's cells are quad FPN, and not BiFPN.
        resizing: How features are resized between levels: to the nearest pixel up and by max-pooling down,
            or bilinear both ways.
        biases: Whether its authors' convolutions have a bias before batch normalisation.
        conventions: Its authors'.
        published_map: Mean average precision on COCO that its authors give, %.
        published_on: Of which images that is: COCO's test-dev or val2017.
    """

    name: str
    backbone: ModelSpec
    size: int
    channels: int
    cells: int
    repeats: int
    normalisation: tuple[Channels, Channels]
    weighted: bool = True
    levels: tuple[int, int] = (3, 7)
    scale: float = 4.0
    octaves: int = 3
    ratios: tuple[tuple[float, float], ...] = RATIOS
    quad: bool = False
    resizing: Resizing = "nearest"
    biases: bool = True
    conventions: DetectorConventions = TENSORFLOW
    published_map: float | None = None
    published_on: str | None = None

    @property
    def activation(self) -> Activation:
        """The backbone's, which pyramid and heads have too."""
        return self.backbone.activation

    @cached_property
    def architecture(self) -> DetectorArchitecture:
        """Its parts and tensors."""
        return DetectorArchitecture(
            backbone=self.backbone.architecture,
            channels=self.channels,
            cells=self.cells,
            repeats=self.repeats,
            levels=self.levels,
            weighted=self.weighted,
            quad=self.quad,
            anchors=self.octaves * len(self.ratios),
            biases=self.biases,
        )

    def parameters(self, classes: int = 90) -> int:
        """The number of trained values."""
        return self.architecture.parameters(classes)

    def multiply_adds(self, size: tuple[int, int] | int | None = None, classes: int = 90) -> int:
        """Multiply-adds of one image, at ``size`` (height, width; one number for a square) or its own."""
        height, width = size if isinstance(size, tuple) else (size or self.size,) * 2
        return self.architecture.multiply_adds((height, width), classes)

    def geometry(self, size: tuple[int, int] | None = None) -> Geometry:
        """Its anchors, at ``size`` (height, width) or its own."""
        return Geometry(size or (self.size, self.size), self.levels, self.octaves, self.ratios, self.scale)

    def preprocess(self, size: tuple[int, int] | None = None) -> Preprocess:
        """How its authors' weights want their images, at ``size`` (height, width) or its own.

        Photos are put into a letterbox that is filled with the mean colour, zeros once it is normalised.
        """
        mean, std = self.normalisation
        return Preprocess(
            size=size or (self.size, self.size),
            mean=mean,
            std=std,
            crop=1.0,
            interpolation="bilinear",
            letterbox=mean,
        )

    def refuse_size(self, size: tuple[int, int]) -> None:
        """Refuse an input whose levels are not halves of each other; the network's own size is taken.

        Raises:
            OptionError: A side is no multiple of 128.
        """
        wrong = [s for s in size if s != self.size and (s % STEP or not STEP <= s <= _LARGEST)]
        if not wrong:
            return
        below, above = (tuple(_near(side, self.size, up) for side in size) for up in (False, True))
        ways = " or ".join(dict.fromkeys(f"--size {_side(near)}" for near in (below, above)))
        raise OptionError(
            f"{self.name} cannot have an input of {_side(size)} pixels: a side must be a multiple of {STEP}"
            + ("" if self.size % STEP == 0 else f", or {self.size}, the network's own"),
            mend=f"pass {ways}",
        )


def _near(side: int, own: int, up: bool) -> int:
    """The nearest side that is possible, no smaller or no larger than this one."""
    possible: list[int] = sorted({*range(STEP, _LARGEST + 1, STEP), own})
    if up:
        return next((s for s in possible if s >= side), possible[-1])
    return next((s for s in reversed(possible) if s <= side), possible[0])


def _side(size: tuple[int, ...]) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"
