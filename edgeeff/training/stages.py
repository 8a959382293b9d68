"""Progressive learning: photos grow, and what keeps a network from learning them by heart grows with them.

Tan & Le 2021 (EfficientNetV2, arXiv:2104.00298, algorithm 1 and table 6): small photos are cheap, and need
little regularisation; large ones need more. The paper's table and the authors' code (google/automl,
efficientnetv2) differ. Taken here:

- sizes of the table: from a share of the last size in equal steps up to it. The code's first stage is one
  step larger, which costs a sixth more time for four stages;
- dropout of the table, which grows; in the code it does not;
- magnitude from 5, mixup and CutMix from 0, as both have it.

The last size is the deployment's. The authors train on smaller photos than they evaluate on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeeff.errors import OptionError

Size = tuple[int, int]
#: Share of a side that the first stage has: 128 of 300 pixels in the table, from a half in the code.
SMALLEST = 0.5
#: Sizes are multiples of so many pixels, so that no feature of stride 16 reaches over the photo's end.
STEP = 16
#: Where magnitude and dropout begin.
MAGNITUDE, DROPOUT = 5.0, 0.1
#: Photos to learn from, below which the authors switch stages off: they fine-tune without (``ImagenetFt``).
ENOUGH = 10_000
#: Stages where nobody says how many.
USUAL = 4


@dataclass(frozen=True)
class Strength:
    """What keeps a network from learning photos by heart.

    Args:
        magnitude: Of RandAugment's operators, 0…30.
        mixup: α of its shares; 0: none.
        cutmix: The same.
        dropout: Share of the classifier's inputs that are left out, 0…1.
    """

    magnitude: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    dropout: float = 0.0


@dataclass(frozen=True)
class Stage:
    """Some epochs of a course.

    Args:
        begin: The first of them, counted from 0.
        size: Height and width of the photos.
        strength: What grows with them.
    """

    begin: int
    size: Size
    strength: Strength


def planned(count: int, epochs: int, size: Size, end: Strength) -> tuple[Stage, ...]:
    """The stages of a course.

    Args:
        count: How many; one is a course without them.
        epochs: Of the whole course.
        size: Height and width of the last stage: the deployment's.
        end: Of the last stage.

    Raises:
        OptionError: There are more stages than epochs.
    """
    if count > epochs:
        raise OptionError(
            f"--stages {count} with --epochs {epochs}: a stage takes an epoch at least",
            mend=f"give --epochs {count} or more, or fewer stages",
        )
    found = []
    for number in range(count):
        along = number / (count - 1) if count > 1 else 1.0
        begin = -(-number * epochs // count)  # rounded up: the last stage is never longer than the others
        found.append(Stage(begin, _size(size, along), _strength(end, along)))
    return tuple(found)


def at(stages: Sequence[Stage], epoch: int) -> Stage:
    """The stage of an epoch, counted from 0; epochs beyond the course are of the last."""
    return next(stage for stage in reversed(stages) if stage.begin <= epoch)


def chosen(asked: int | None, photos: int) -> tuple[int, str]:
    """How many stages there are, and what is to be said of it, empty for nothing.

    Args:
        asked: By the user; None: nothing was said.
        photos: To learn from.
    """
    if asked is None and photos < ENOUGH:
        return 1, f"none: fewer than {ENOUGH} photos to learn from ({photos}), as the authors fine-tune"
    if asked is None:
        return USUAL, f"{USUAL}, since there are {ENOUGH} photos or more to learn from (--stages 1: none)"
    if asked > 1 and photos < ENOUGH:
        return asked, f"{asked}, though {photos} photos are few for it: compare with --stages 1"
    return asked, ""


def described(stage: Stage) -> str:
    """One line: photos of 112×112, magnitude 7.5, dropout 0.15."""
    (height, width), strength = stage.size, stage.strength
    parts = [f"photos of {width}×{height}"]
    for name in ("magnitude", "mixup", "cutmix", "dropout"):
        if value := getattr(strength, name):
            parts.append(f"{name} {value:.3g}")
    return ", ".join(parts)


def _size(size: Size, along: float) -> Size:
    """Both sides, as far along as that; no side is larger than the last stage's."""
    share = SMALLEST + (1 - SMALLEST) * along
    height, width = (min(side, max(STEP, STEP * round(side * share / STEP))) for side in size)
    return size if along >= 1 else (height, width)


def _strength(end: Strength, along: float) -> Strength:
    def between(first: float, last: float) -> float:
        first = min(first, last)
        return first + (last - first) * along

    return Strength(
        between(MAGNITUDE, end.magnitude),
        between(0.0, end.mixup),
        between(0.0, end.cutmix),
        between(DROPOUT, end.dropout),
    )
