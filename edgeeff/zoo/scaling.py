"""Stages, and the compound scaling that makes a family of networks from them.

Sources: Tan & Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
arXiv:1905.11946 (section 3.3: the scaling and its coefficients); Tan & Le 2021, "EfficientNetV2: Smaller
Models and Faster Training", arXiv:2104.00298. The rounding is in neither; it is that of the authors'
published networks. The families' tables are in ``families/``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import ceil

from edgeeff.zoo.architecture import Architecture, Block, Kind

DIVISOR = 8  # channels are multiples of it: what vector units and the published checkpoints want


@dataclass(frozen=True)
class Stage:
    """A row of a paper's table of stages. The stride is that of its first block; the others have 1.

    Args:
        kind: Of its blocks, see :class:`Block`.
        expansion: Channels between expansion and projection ÷ channels in.
        kernel: Side of the spatial kernel.
        stride: Of the first block.
        channels: Out, before scaling.
        repeats: Blocks, before scaling.
        squeeze: Channels of squeeze-and-excite's bottleneck ÷ the block's channels in; 0 has none.
        skips: Whether blocks of equal shape in and out add their input.
        expands: Channels that are expanded, where it is not the channels in (EdgeTPU's first stage).
    """

    kind: Kind
    expansion: int
    kernel: int
    stride: int
    channels: int
    repeats: int
    squeeze: float = 0.0
    skips: bool = True
    expands: int | None = None


@dataclass(frozen=True)
class Family:
    """What networks are scaled from.

    Args:
        stages: The table.
        stem: Channels of the stem.
        head: Channels of the head.
        keeps: The share of its channels that rounding always leaves a layer; 0 rounds to the nearest.
        fixed_ends: Stem, head, and the repeats of the first and last stage are not scaled (Lite).
    """

    stages: tuple[Stage, ...]
    stem: int
    head: int
    keeps: float = 0.9
    fixed_ends: bool = False


def round_channels(channels: int, width: float, keeps: float = 0.9) -> int:
    """Channels × width to the nearest multiple of 8, but never less than ``keeps`` of it."""
    scaled = channels * width
    rounded = max(DIVISOR, int(scaled + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < keeps * scaled else rounded


def round_repeats(repeats: int, depth: float) -> int:
    """Repeats × depth, rounded up."""
    return ceil(repeats * depth)


def scale(family: Family, width: float, depth: float | tuple[float, ...]) -> Architecture:
    """The member of a family with these multipliers of channels and of repeats (one, or one a stage)."""
    depths = depth if isinstance(depth, tuple) else (depth,) * len(family.stages)
    stem = family.stem if family.fixed_ends else round_channels(family.stem, width, family.keeps)
    head = family.head if family.fixed_ends else round_channels(family.head, width, family.keeps)
    blocks: list[Block] = []
    inputs = stem
    for row, (stage, deeper) in enumerate(zip(family.stages, depths, strict=True)):
        fixed = family.fixed_ends and row in (0, len(family.stages) - 1)
        outputs = round_channels(stage.channels, width, family.keeps)
        for repeat in range(stage.repeats if fixed else round_repeats(stage.repeats, deeper)):
            expands = inputs if stage.expands is None else round_channels(stage.expands, width, family.keeps)
            blocks.append(
                Block(
                    kind=stage.kind,
                    stage=row,
                    kernel=stage.kernel,
                    stride=stage.stride if repeat == 0 else 1,
                    inputs=inputs,
                    expanded=expands * stage.expansion,
                    outputs=outputs,
                    squeezed=max(1, int(inputs * stage.squeeze)) if stage.squeeze else 0,
                    skips=stage.skips,
                )
            )
            inputs = outputs
    return Architecture(stem=stem, blocks=tuple(blocks), head=head)


@dataclass(frozen=True)
class Coefficients:
    """How depth, width and resolution grow together: α, β and γ, each to the power of φ."""

    depth: float
    width: float
    resolution: float

    @property
    def cost(self) -> float:
        """α·β²·γ²: how many times the multiply-adds one step of φ costs."""
        return float(self.depth * self.width**2 * self.resolution**2)

    def at(self, phi: float) -> tuple[float, float, float]:
        """The multipliers of depth, width and resolution at φ."""
        return self.depth**phi, self.width**phi, self.resolution**phi


#: What the authors' grid search found for B0 (Tan & Le 2019, section 4, step 1).
PAPER = Coefficients(depth=1.2, width=1.1, resolution=1.15)


def feasible(
    budget: float = 2.0, tolerance: float = 0.1, step: float = 0.05, largest: float = 2.0
) -> Iterator[Coefficients]:
    """The grid of the paper's step 1: α, β, γ ≥ 1 with α·β²·γ² within ``tolerance`` of ``budget``."""
    ticks = [round(1 + step * i, 6) for i in range(int((largest - 1) / step + 0.5) + 1)]
    for depth in ticks:
        for width in ticks:
            for resolution in ticks:
                found = Coefficients(depth, width, resolution)
                if abs(found.cost - budget) <= tolerance:
                    yield found


def search(
    score: Callable[[Coefficients], float], grid: Iterable[Coefficients] | None = None
) -> list[tuple[Coefficients, float]]:
    """The paper's grid search: each point with what ``score`` gives it, the best first.

    Args:
        score: Trains and evaluates B0 scaled by the coefficients at φ = 1 (say); higher is better.
        grid: Default: :func:`feasible`.
    """
    scored = [(point, score(point)) for point in (feasible() if grid is None else grid)]
    return sorted(scored, key=lambda pair: pair[1], reverse=True)
