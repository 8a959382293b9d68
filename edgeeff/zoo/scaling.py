"""EfficientNet's stages and the compound scaling that makes the family from them.

Source: Tan & Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
arXiv:1905.11946: Table 1 for the stages, section 3.3 for the scaling. The rounding is not in the paper;
it is that of the authors' published networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from edgeeff.zoo.architecture import Architecture, Block

DIVISOR = 8  # channels are multiples of it: what vector units and the published checkpoints want


@dataclass(frozen=True)
class Stage:
    """A row of the paper's Table 1. The stride is that of its first block; the others have 1."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    repeats: int


# Table 1 of the paper, stages 2 to 8. The paper gives resolutions where we give strides.
STAGES = (
    Stage(expansion=1, kernel=3, stride=1, channels=16, repeats=1),
    Stage(expansion=6, kernel=3, stride=2, channels=24, repeats=2),
    Stage(expansion=6, kernel=5, stride=2, channels=40, repeats=2),
    Stage(expansion=6, kernel=3, stride=2, channels=80, repeats=3),
    Stage(expansion=6, kernel=5, stride=1, channels=112, repeats=3),
    Stage(expansion=6, kernel=5, stride=2, channels=192, repeats=4),
    Stage(expansion=6, kernel=3, stride=1, channels=320, repeats=1),
)
STEM, HEAD = 32, 1280  # stages 1 and 9
SQUEEZE_RATIO = 0.25  # of the block's input channels


def round_channels(channels: int, width: float) -> int:
    """Channels × width to the nearest multiple of 8, but never more than 10 % below."""
    scaled = channels * width
    rounded = max(DIVISOR, int(scaled + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded + DIVISOR if rounded < 0.9 * scaled else rounded


def round_repeats(repeats: int, depth: float) -> int:
    """Repeats × depth, rounded up."""
    return ceil(repeats * depth)


def scale(width: float, depth: float, *, lite: bool = False) -> Architecture:
    """The member of the family with these multipliers of channels and of repeats.

    With ``lite`` it is EfficientNet-Lite: no squeeze-and-excite; stem, head and the repeats of the first
    and the last stage keep their size (tensorflow/tpu, efficientnet/lite/README.md).
    """
    stem = STEM if lite else round_channels(STEM, width)
    blocks: list[Block] = []
    inputs = stem
    for row, stage in enumerate(STAGES):
        fixed = lite and row in (0, len(STAGES) - 1)
        outputs = round_channels(stage.channels, width)
        for repeat in range(stage.repeats if fixed else round_repeats(stage.repeats, depth)):
            blocks.append(
                Block(
                    stage=row,
                    kernel=stage.kernel,
                    stride=stage.stride if repeat == 0 else 1,
                    inputs=inputs,
                    outputs=outputs,
                    expansion=stage.expansion,
                    squeezed=0 if lite else max(1, int(inputs * SQUEEZE_RATIO)),
                )
            )
            inputs = outputs
    return Architecture(stem=stem, blocks=tuple(blocks), head=HEAD if lite else round_channels(HEAD, width))
