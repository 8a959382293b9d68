"""A detector as data: its tensors, its parameters and multiply-adds. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

from edgeeff.zoo.architecture import BATCH_NORM, Architecture, Shape
from edgeeff.zoo.detection import pyramid
from edgeeff.zoo.detection.pyramid import Node

#: The backbone's features that the pyramid is made of: strides.
TAPS = ("8", "16", "32")
#: The heads, in our names.
CLASS_HEAD, BOX_HEAD = "class_head", "box_head"
CODES = 4  # of a box: ty, tx, th, tw
_KERNEL = 3


@dataclass(frozen=True)
class DetectorArchitecture:
    """A whole detector: backbone, coarser levels, pyramid of cells, and two heads that all levels share.

    Args:
        backbone: The classifier whose features of strides 8, 16 and 32 are read.
        channels: Of all features of the pyramid.
        cells: Of the pyramid, one behind the other.
        repeats: Convolutions of each head before its last one.
        levels: The pyramid's first and last; level n has 1/2ⁿ of the image's sides.
        weighted: Whether a node has a trained weight for each of its inputs; else it adds them.
        quad: Whether the cells are :func:`pyramid.quad`, and not :func:`pyramid.bifpn`.
        anchors: Boxes at each place.
        biases: Whether convolutions have a bias though batch normalisation follows, as TensorFlow's
            networks do.
    """

    backbone: Architecture
    channels: int
    cells: int
    repeats: int
    levels: tuple[int, int] = (3, 7)
    weighted: bool = True
    quad: bool = False
    anchors: int = 9
    biases: bool = True

    @property
    def count(self) -> int:
        """The pyramid's levels."""
        return self.levels[1] - self.levels[0] + 1

    @property
    def level_names(self) -> tuple[str, ...]:
        """p3, p4, …"""
        return tuple(f"p{self.levels[0] + level}" for level in range(self.count))

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Of each cell."""
        return (pyramid.quad if self.quad else pyramid.bifpn)(self.levels[0], self.count)

    @property
    def tapped(self) -> tuple[int, ...]:
        """Channels of the backbone's features, level by level."""
        last = self.backbone.taps()
        return tuple(self.backbone.blocks[last[int(tap)]].outputs for tap in TAPS)

    @property
    def given(self) -> tuple[int, ...]:
        """Channels of what the first cell reads, level by level; the others read :attr:`channels`."""
        return self.tapped + (self.channels,) * (self.count - len(TAPS))

    def features(self, size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """Height and width of each level, for images of ``size``: halved and rounded up each time."""
        found = []
        for level in range(1, self.levels[1] + 1):
            size = (size[0] + 1) // 2, (size[1] + 1) // 2
            if level >= self.levels[0]:
                found.append(size)
        return tuple(found)

    def tensors(self, classes: int) -> dict[str, Shape]:
        """Every tensor of a checkpoint of this network: its name in our naming, and its shape."""
        own = self.backbone.tensors_until(TAPS)
        shapes: dict[str, Shape] = {f"backbone.{name}": shape for name, shape in own.items()}
        for layer in self._layers(classes):
            shapes[f"{layer.name}.weight"] = layer.weight
            if layer.bias:
                shapes[f"{layer.name}.bias"] = layer.weight[:1]
            for norm in layer.norms:
                shapes |= {f"{norm}.{part}": layer.weight[:1] for part in BATCH_NORM}
        if self.weighted:
            for cell in range(self.cells):
                for node in self.nodes:
                    shapes[f"pyramid.cells.{cell}.{node.name}.weights"] = (len(node.inputs),)
        return shapes

    def parameters(self, classes: int) -> int:
        """The number of trained values: weights, biases, batch normalisation's scale and shift."""
        return sum(prod(shape) for name, shape in self.tensors(classes).items() if "running_" not in name)

    def multiply_adds(self, size: tuple[int, int], classes: int) -> int:
        """Multiply-adds of one image of ``size`` (height, width), in convolutions."""
        pixels = [height * width for height, width in self.features(size)]
        return self.backbone.multiply_adds_until(TAPS, size) + sum(
            prod(layer.weight) * sum(pixels[level] for level in layer.levels)
            for layer in self._layers(classes)
        )

    def _layers(self, classes: int) -> Iterator[_Layer]:
        """The convolutions behind the backbone."""
        wide, every = self.channels, tuple(range(self.count))
        if self.tapped[-1] != wide:
            name = f"pyramid.coarser.{self.level_names[len(TAPS)]}.project"
            yield self._project(name, self.tapped[-1], len(TAPS) - 1)
        for cell in range(self.cells):
            for node in self.nodes:
                at = f"pyramid.cells.{cell}.{node.name}"
                for place, source in enumerate(node.inputs):
                    if cell == 0 and source < self.count and self.given[source] != wide:
                        yield self._project(f"{at}.inputs.{place}.project", self.given[source], source)
                yield _Layer(f"{at}.depthwise", (wide, 1, _KERNEL, _KERNEL), False, (node.level,))
                yield _Layer(
                    f"{at}.pointwise", (wide, wide, 1, 1), self.biases, (node.level,), (f"{at}.norm",)
                )
        for head, outputs in ((CLASS_HEAD, classes), (BOX_HEAD, CODES)):
            for repeat in range(self.repeats):
                norms = tuple(f"{head}.norms.{repeat}.{level}" for level in self.level_names)
                at = f"{head}.convs.{repeat}"
                yield _Layer(f"{at}.depthwise", (wide, 1, _KERNEL, _KERNEL), False, every)
                yield _Layer(f"{at}.pointwise", (wide, wide, 1, 1), self.biases, every, norms)
            yield _Layer(f"{head}.predict.depthwise", (wide, 1, _KERNEL, _KERNEL), False, every)
            yield _Layer(f"{head}.predict.pointwise", (outputs * self.anchors, wide, 1, 1), True, every)

    def _project(self, name: str, channels: int, level: int) -> _Layer:
        weight = (self.channels, channels, 1, 1)
        return _Layer(f"{name}.conv", weight, self.biases, (level,), (f"{name}.norm",))


@dataclass(frozen=True)
class _Layer:
    """A convolution of stride 1: weight [out, in ÷ groups, k, k], the levels that it runs at, and the batch
    normalisations behind it."""

    name: str
    weight: Shape
    bias: bool
    levels: tuple[int, ...]
    norms: tuple[str, ...] = ()
