"""What keeps blocks from learning photos by heart, as a user asks for it, and what comes of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeeff.errors import OptionError
from edgeeff.pipeline.request.declaring import Part, option
from edgeeff.pipeline.request.kinds import NUMBER, WHOLE
from edgeeff.training import stages
from edgeeff.training.augment.operators import LARGEST
from edgeeff.training.stages import Size, Stage, Strength

_VERBS = ("finetune",)
#: With stages, where nobody says otherwise: of the authors' smallest networks, and of all.
MAGNITUDE, SURVIVAL = 10.0, 0.8
ELSEWHERE = "leave it out: it is for classifiers"


@dataclass(frozen=True)
class Regularisation(Part):
    """Regularisation: what keeps blocks from learning photos by heart, growing from stage to stage."""

    stages: int | None = option(
        WHOLE,
        "Stages in which photos, --magnitude, --mixup, --cutmix and --dropout grow while blocks learn. "
        "Default: 4 from 10000 photos on, else 1, which is none.",
        least=1,
        verbs=_VERBS,
    )
    magnitude: float | None = option(
        NUMBER,
        "RandAugment's magnitude in the last stage, 0 to 30. Default: 10 with stages, else 0.",
        verbs=_VERBS,
    )
    mixup: float = option(
        NUMBER, "Mixup's alpha in the last stage: two photos blended in one.", default=0.0, verbs=_VERBS
    )
    cutmix: float = option(
        NUMBER, "CutMix's alpha in the last stage: a part of another photo in one.", default=0.0, verbs=_VERBS
    )
    survival: float | None = option(
        NUMBER,
        "Probability that a photo goes through the last residual block (stochastic depth). Default: 0.8 with "
        "stages, else 1.",
        verbs=_VERBS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, beyond, usual in (
            ("magnitude", LARGEST, "5 to 15"),
            ("mixup", 10, "0.2"),
            ("cutmix", 10, "1"),
        ):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= beyond:
                raise OptionError(f"--{name} {value:g}", mend=f"give 0 to {beyond:g}; {usual} is usual")
        if self.survival is not None and not 0 < self.survival <= 1:
            raise OptionError(f"--survival {self.survival:g}", mend="give a probability, such as 0.8")

    @property
    def asked(self) -> list[str]:
        """The options that were given, and do something."""
        values: dict[str, Any] = {
            "stages": self.stages not in (None, 1),
            "magnitude": self.magnitude,
            "mixup": self.mixup,
            "cutmix": self.cutmix,
            "survival": self.survival not in (None, 1),
        }
        return [f"--{name}" for name, value in values.items() if value]


@dataclass(frozen=True)
class Plan:
    """How a course is regularised.

    Args:
        stages: One at least.
        survival: Of the last residual block, 0…1.
        lines: What is said of it.
    """

    stages: tuple[Stage, ...]
    survival: float
    lines: tuple[str, ...]


def plan(asked: Regularisation, photos: int, epochs: int | None, size: Size, dropout: float) -> Plan:
    """What comes of what was asked.

    Args:
        asked: By the user.
        photos: To learn from.
        epochs: Of the course; None: as many as time allows.
        size: Of the deployment: height and width.
        dropout: In the last stage.

    Raises:
        OptionError: There are more stages than epochs, or nobody knows how many epochs there will be.
    """
    count, said = stages.chosen(asked.stages, photos)
    if count > 1 and epochs is None:
        if asked.stages is not None:
            raise OptionError(
                f"--stages {count} with --minutes: stages are shares of a known number of epochs",
                mend="give --epochs instead of --minutes",
            )
        count, said = 1, "none: with --minutes nobody knows how many epochs there will be"
    elif asked.stages is None and epochs is not None and epochs < count:
        count, said = 1, f"none: {epochs} epochs are too few for {count}"
    staged = count > 1
    magnitude = (MAGNITUDE if staged else 0.0) if asked.magnitude is None else asked.magnitude
    survival = (SURVIVAL if staged else 1.0) if asked.survival is None else asked.survival
    end = Strength(magnitude, asked.mixup, asked.cutmix, dropout)
    found = stages.planned(count, epochs or 1, size, end)
    lines = [f"stages   {said}"] if said else []
    if staged:
        ends = [stage.begin for stage in found[1:]] + [epochs or 1]
        lines += [
            f"epoch    {_range(stage.begin + 1, last)}: {stages.described(stage)}"
            for stage, last in zip(found, ends, strict=True)
        ]
    return Plan(found, survival, tuple(lines))


def _range(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first} to {last}"


def refuse(asked: Regularisation, why: str, mend: str, augment: str = "") -> None:
    """Refuse options that would do nothing.

    Args:
        asked: By the user.
        why: They do nothing: ``in a training of detection``.
        mend: What to do about it.
        augment: How photos are varied; ``wide`` is refused too.

    Raises:
        OptionError: There are some.
    """
    given = [*asked.asked, *(["--augment wide"] if augment == "wide" else [])]
    if given:
        raise OptionError(f"{', '.join(given)} {why}", mend=mend)
