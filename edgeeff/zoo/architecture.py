"""A network as data: its blocks, its tensors, its parameters and multiply-adds. Needs no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod
from typing import Literal

from edgeeff.graph.padding import same_padding

Shape = tuple[int, ...]
Kind = Literal["mbconv", "fused", "conv"]

BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
STEM_KERNEL, STEM_STRIDE = 3, 2
#: Where detectors and segmenters read: a pyramid's strides, pixels of the image a pixel of the feature.
TAP_STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True)
class Block:
    """One block, of one of three kinds; k is ``kernel``.

    - ``mbconv``: 1×1 expansion, k×k depthwise, squeeze-and-excite, 1×1 projection (Tan & Le 2019, 3).
    - ``fused``: k×k expansion, squeeze-and-excite, 1×1 projection (Tan & Le 2021, 3.2, Fused-MBConv).
    - ``conv``: one k×k convolution with its activation; what Fused-MBConv is where nothing is expanded.

    Args:
        kind: Which of the three.
        stage: The row of the stage table that it comes from, counted from 0.
        kernel: Side of the spatial convolution's kernel, pixels.
        stride: Of the spatial convolution.
        inputs: Channels in.
        expanded: Channels between expansion and projection.
        outputs: Channels out.
        squeezed: Channels between the two convolutions of squeeze-and-excite; 0 has none.
        skips: Whether the block's input may be added to its output; it is where both have the same shape.
    """

    kind: Kind
    stage: int
    kernel: int
    stride: int
    inputs: int
    expanded: int
    outputs: int
    squeezed: int = 0
    skips: bool = True

    @property
    def residual(self) -> bool:
        """Whether the block's input is added to its output."""
        return self.skips and self.stride == 1 and self.inputs == self.outputs

    @property
    def expands(self) -> bool:
        """Whether it begins with an expansion: an MBConv that widens nothing has none."""
        return self.kind == "fused" or (self.kind == "mbconv" and self.expanded != self.inputs)


@dataclass(frozen=True)
class Architecture:
    """A whole classifier: stem convolution, blocks, 1×1 head convolution, pooling, linear classifier.

    ``inputs`` are the channels of its images.
    """

    stem: int
    blocks: tuple[Block, ...]
    head: int
    inputs: int = 3

    @cached_property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """The indices of each stage's blocks: for libraries that count blocks by stage."""
        rows: dict[int, list[int]] = {}
        for index, block in enumerate(self.blocks):
            rows.setdefault(block.stage, []).append(index)
        return tuple(tuple(indices) for indices in rows.values())

    def tensors(self, classes: int) -> dict[str, Shape]:
        """Every tensor of a checkpoint of this network: its name in our naming, and its shape."""
        shapes: dict[str, Shape] = {}
        for layer in self._layers():
            shapes[f"{layer.name}.weight"] = layer.weight
            if layer.batch_norm:
                norm = layer.name.removesuffix("conv") + "norm"
                shapes |= {f"{norm}.{part}": layer.weight[:1] for part in BATCH_NORM}
            else:
                shapes[f"{layer.name}.bias"] = layer.weight[:1]
        return shapes | {"classifier.weight": (classes, self.head), "classifier.bias": (classes,)}

    def parameters(self, classes: int) -> int:
        """The number of trained values: weights, biases, batch normalisation's scale and shift."""
        return sum(prod(shape) for name, shape in self.tensors(classes).items() if "running_" not in name)

    def multiply_adds(self, size: tuple[int, int], classes: int) -> int:
        """Multiply-adds of one image of ``size`` (height, width), in convolutions and classifier."""
        return classes * self.head + sum(cost for _, cost in self._costs(size))

    def multiply_adds_until(self, taps: Collection[str], size: tuple[int, int]) -> int:
        """The same, of the convolutions that some taps depend on."""
        needed = self.tensors_until(taps)
        return sum(cost for layer, cost in self._costs(size) if f"{layer.name}.weight" in needed)

    def _costs(self, size: tuple[int, int]) -> Iterator[tuple[_Layer, int]]:
        """Each convolution with its multiply-adds."""
        height, width = size
        for layer in self._layers():
            if layer.pooled:
                yield layer, prod(layer.weight)
            else:
                height, width = ceil(height / layer.stride), ceil(width / layer.stride)
                yield layer, prod(layer.weight) * height * width

    def same_pads(self, size: tuple[int, int]) -> dict[str, tuple[tuple[int, int], tuple[int, int]]]:
        """SAME's zeros of each k×k convolution, for images of ``size`` (height, width).

        Returns:
            The convolution's name → (above, below), (left, right).
        """
        found = {}
        for layer in self._layers():
            kernel = layer.weight[-1]
            if layer.pooled or kernel == 1:
                continue
            above, beside = (same_padding(side, kernel, layer.stride) for side in size)
            found[layer.name] = above, beside
            size = ceil(size[0] / layer.stride), ceil(size[1] / layer.stride)
        return found

    def taps(self) -> dict[int, int]:
        """Stride → the last block whose output has it, for the strides of :data:`TAP_STRIDES`."""
        stride, found = STEM_STRIDE, {}
        for index, block in enumerate(self.blocks):
            stride *= block.stride
            found[stride] = index
        return {stride: index for stride, index in found.items() if stride in TAP_STRIDES}

    def reach(self, taps: Collection[str]) -> tuple[int, bool]:
        """How far some taps (:mod:`edgeeff.zoo.taps`) reach: how many blocks, and whether to the head."""
        strides = self.taps()
        ends = [strides[int(tap)] + 1 for tap in taps if tap.isdecimal()]
        head = len(ends) < len(taps)
        return (len(self.blocks) if head else max(ends)), head

    def tensors_until(self, taps: Collection[str]) -> dict[str, Shape]:
        """Every tensor that some taps depend on: as :meth:`tensors`, without what comes behind the last."""
        count, head = self.reach(taps)
        later = [f"blocks.{index}." for index in range(count, len(self.blocks))]
        cut = ("classifier.", *later, *(() if head else ("head.",)))
        return {name: shape for name, shape in self.tensors(0).items() if not name.startswith(cut)}

    def _layers(self) -> Iterator[_Layer]:
        """The convolutions, in the order in which they run."""
        yield _Layer("stem.conv", (self.stem, self.inputs, STEM_KERNEL, STEM_KERNEL), STEM_STRIDE)
        for index, block in enumerate(self.blocks):
            at, wide, k = f"blocks.{index}", block.expanded, block.kernel
            if block.kind == "conv":
                yield _Layer(f"{at}.project.conv", (block.outputs, block.inputs, k, k), block.stride)
                continue
            if block.kind == "fused":
                yield _Layer(f"{at}.expand.conv", (wide, block.inputs, k, k), block.stride)
            else:
                if block.expands:
                    yield _Layer(f"{at}.expand.conv", (wide, block.inputs, 1, 1))
                yield _Layer(f"{at}.depthwise.conv", (wide, 1, k, k), block.stride)
            if block.squeezed:
                reduce, expand = f"{at}.squeeze.reduce", f"{at}.squeeze.expand"
                yield _Layer(reduce, (block.squeezed, wide, 1, 1), batch_norm=False, pooled=True)
                yield _Layer(expand, (wide, block.squeezed, 1, 1), batch_norm=False, pooled=True)
            yield _Layer(f"{at}.project.conv", (block.outputs, wide, 1, 1))
        yield _Layer("head.conv", (self.head, self.blocks[-1].outputs, 1, 1))


@dataclass(frozen=True)
class _Layer:
    """A convolution: weight [out, in ÷ groups, k, k]; with a bias where no batch normalisation follows."""

    name: str
    weight: Shape
    stride: int = 1
    batch_norm: bool = True
    pooled: bool = False
