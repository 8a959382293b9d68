"""A network as data: its blocks, its tensors, its parameters and multiply-adds. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod

Shape = tuple[int, ...]

BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
STEM_KERNEL, STEM_STRIDE = 3, 2


@dataclass(frozen=True)
class Block:
    """One MBConv: 1×1 expansion, k×k depthwise, squeeze-and-excite, 1×1 projection (Tan & Le 2019, 3).

    Args:
        stage: The row of the stage table that it comes from, counted from 0.
        kernel: Side of the depthwise kernel, pixels.
        stride: Of the depthwise convolution.
        inputs: Channels in.
        outputs: Channels out.
        expansion: Channels of the depthwise convolution ÷ channels in; 1 has no expansion.
        squeezed: Channels between the two convolutions of squeeze-and-excite; 0 has none.
    """

    stage: int
    kernel: int
    stride: int
    inputs: int
    outputs: int
    expansion: int
    squeezed: int

    @property
    def expanded(self) -> int:
        """Channels of the depthwise convolution."""
        return self.inputs * self.expansion

    @property
    def residual(self) -> bool:
        """Whether the block's input is added to its output: where both have the same shape."""
        return self.stride == 1 and self.inputs == self.outputs


@dataclass(frozen=True)
class Architecture:
    """A whole classifier: stem convolution, blocks, 1×1 head convolution, pooling, linear classifier."""

    stem: int
    blocks: tuple[Block, ...]
    head: int

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
        height, width = size
        total = classes * self.head
        for layer in self._layers():
            if layer.pooled:
                total += prod(layer.weight)
            else:
                height, width = ceil(height / layer.stride), ceil(width / layer.stride)
                total += prod(layer.weight) * height * width
        return total

    def _layers(self) -> Iterator[_Layer]:
        """The convolutions, in the order in which they run."""
        yield _Layer("stem.conv", (self.stem, 3, STEM_KERNEL, STEM_KERNEL), STEM_STRIDE)
        for index, block in enumerate(self.blocks):
            at, wide = f"blocks.{index}", block.expanded
            if block.expansion != 1:
                yield _Layer(f"{at}.expand.conv", (wide, block.inputs, 1, 1))
            yield _Layer(f"{at}.depthwise.conv", (wide, 1, block.kernel, block.kernel), block.stride)
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
