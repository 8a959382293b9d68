"""A training as data: :class:`FinetuneRequest`, made of keywords or of the command line.

To add an option: one field with its ``option``. The network's and the preprocessing's options are those of a
build (:mod:`edgeeff.pipeline.request.parts`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeeff.errors import OptionError
from edgeeff.pipeline.request.declaring import Option, Part, changed, declared, option
from edgeeff.pipeline.request.kinds import (
    FLAG,
    NAMES,
    NUMBER,
    PATH,
    TARGETS,
    WHOLE,
    WORD,
    Kind,
    refuse,
)
from edgeeff.pipeline.request.parts import Preprocessing, Source
from edgeeff.training.regularising import Regularisation

if TYPE_CHECKING:
    from edgeeff.target import Target

_VERBS = ("finetune",)
#: Photos in a step, where nothing else is said.
BATCH = 32
#: What ``class_weights`` and ``augment`` may be.
CLASS_WEIGHTS = ("balanced", "none")
AUGMENT = ("slight", "unmirrored", "wide", "none")
#: More blocks than any network has.
ALL = 1 << 16


def _blocks(value: Any, flag: str) -> int:
    """How many blocks; all of them are :data:`ALL`."""
    if value == "all":
        return ALL
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) < 5):
        raise refuse(value, flag, "a number of blocks, or all")
    return int(text)


BLOCKS = Kind("int | str", str, Any, "a number of blocks, or all", _blocks)


@dataclass(frozen=True)
class Photos(Part):
    """Photos: what is learnt from, and what is judged by."""

    photos: Path | None = None
    validation: Path | None = option(
        PATH,
        "Photos with labels to judge by. Default: what the photos' folder or YAML says itself, else a fifth "
        "is held out, with a warning.",
        verbs=_VERBS,
    )
    task: str | None = option(
        WORD,
        "What is learnt: classification (a class for each photo), multilabel (any number of labels), "
        "detection (boxes), segmentation (masks). Default: what the photos' labels are.",
        verbs=_VERBS,
    )
    class_weights: str = option(
        WORD,
        "balanced: photos of a rare class count for more, so that all classes count alike; or none.",
        default="balanced",
        verbs=_VERBS,
    )
    augment: str = option(
        WORD,
        "How photos are varied: slight (mirrored, cropped a little), unmirrored (cropped alone, where left "
        "and right mean something), wide (mirrored, cropped to 5 to 100 %), or none.",
        default="slight",
        verbs=_VERBS,
    )
    views: int | None = option(
        WHOLE,
        "With a frozen trunk: how often each photo is seen, once as it is and else varied. Default: 1 to 6, "
        "the fewer photos the more.",
        least=1,
        verbs=_VERBS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in (("class_weights", CLASS_WEIGHTS), ("augment", AUGMENT)):
            if getattr(self, name) not in choices:
                flag = f"--{name.replace('_', '-')}"
                raise OptionError(
                    f"{flag} {getattr(self, name)!r:.40}", mend=f"choose one of {', '.join(choices)}"
                )
        if self.photos is not None:
            object.__setattr__(self, "photos", Path(self.photos))


@dataclass(frozen=True)
class Learning(Part):
    """Learning: what of the network learns, how long and how fast."""

    epochs: int | None = option(
        WHOLE,
        "Passes over the photos. Default: 40 for the head (15 of boxes), 15 for blocks.",
        least=1,
        verbs=_VERBS,
    )
    minutes: float | None = option(
        NUMBER,
        "Instead of --epochs: how long; how many epochs fit is settled after the first.",
        verbs=_VERBS,
    )
    blocks: int | None = option(
        BLOCKS,
        "Blocks that learn after the head, counted from the last; or all. Default: none, a frozen trunk.",
        verbs=_VERBS,
    )
    block_rate: float = option(
        NUMBER, "Largest rate of AdamW while blocks learn.", default=5e-4, verbs=_VERBS
    )
    rate: float = option(NUMBER, "Largest rate of AdamW, for the head.", default=3e-3, verbs=_VERBS)
    decay: float = option(NUMBER, "Weight decay.", default=0.01, verbs=_VERBS)
    batch: int | None = option(
        WHOLE, f"Photos in a step. Default: {BATCH}, with masks 16.", least=1, verbs=_VERBS
    )
    dropout: float = option(
        NUMBER, "Share of the head's inputs that are left out in a step.", default=0.2, verbs=_VERBS
    )
    smoothing: float | None = option(
        NUMBER,
        "Label smoothing: share of a label that all classes get alike. Default: 0.1, of boxes and masks 0.",
        verbs=_VERBS,
    )
    average: float = option(
        NUMBER,
        "Decay of the moving average of the weights, which is judged and kept; 0 for none.",
        default=0.98,
        flag="--ema",
        verbs=_VERBS,
    )
    warmup: float = option(NUMBER, "Epochs in which the rate grows.", default=1.0, verbs=_VERBS)
    patience: int | None = option(
        WHOLE,
        "Stop after so many epochs without a better state. Default: never. The best state is kept anyway.",
        least=1,
        verbs=_VERBS,
    )
    seed: int = option(WHOLE, "Seed of all that is random.", default=0, least=0, verbs=_VERBS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs is not None and self.minutes is not None:
            raise OptionError("both --epochs and --minutes", mend="pass one of them")
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            raise OptionError(f"--minutes {self.minutes:g}", mend="give a number of minutes, such as 10")
        for name in ("rate", "block_rate", "decay"):
            if not 0 <= getattr(self, name) <= 10:
                flag = f"--{name.replace('_', '-')}"
                raise OptionError(f"{flag} {getattr(self, name):g}", mend="3e-3, 5e-4 and 0.01 are usual")
        for name, flag in (("dropout", "--dropout"), ("smoothing", "--smoothing"), ("average", "--ema")):
            if not 0 <= (getattr(self, name) or 0) < 1:
                raise OptionError(f"{flag} {getattr(self, name):g}", mend="give a share, 0 to 0.99")
        if self.minutes is not None and self.warmup < 1:
            raise OptionError(
                f"--warmup {self.warmup:g} with --minutes: how many epochs there are, and so how the rate "
                "falls, is not known before the first one's end, until which it can only grow",
                mend="leave --warmup out, or pass --epochs",
            )
        if self.warmup < 0:
            raise OptionError(f"--warmup {self.warmup:g}", mend="give a number of epochs, 0 or more")


@dataclass(frozen=True)
class Swap(Part):
    """Activation swap (experimental): the network learns a cheaper activation from unlabelled photos."""

    activation: str | None = option(
        WORD,
        "hardswish or relu6: distil the network into itself with this activation; nothing else is learnt, "
        "and photos need no labels.",
        verbs=_VERBS,
    )
    compare: tuple[str, ...] = option(
        NAMES,
        "With --activation: targets that both networks are built for, judged and timed on, side by side: "
        "names, comma-separated; or none.",
        default=("cpu-int8", "mobile-int8"),
        verbs=_VERBS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        from edgeeff.target import load_target  # late: the verb's help needs neither
        from edgeeff.zoo.spec import SWAPPED

        if self.activation is not None and self.activation not in SWAPPED:
            raise OptionError(f"--activation {self.activation:.40}", mend=f"choose {' or '.join(SWAPPED)}")
        wanted = () if self.compare == ("none",) else self.compare
        for name in wanted:
            load_target(name)
        object.__setattr__(self, "compare", wanted)


@dataclass(frozen=True)
class Masks(Part):
    """Masks: a class for each pixel of the photos, and the network that learns them."""

    masks: Path | None = option(
        PATH,
        "Folder of the photos' masks, called as the photos are. Default: masks that a list names, or that "
        "lie beside (images/train/1.jpg, masks/train/1.png).",
        verbs=_VERBS,
    )
    validation_masks: Path | None = option(
        PATH, "Folder of the masks of the photos that judge. Default: likewise.", verbs=_VERBS
    )
    ignore: str | None = option(
        WORD, "Numbers of masks that are not learnt, such as 255,11. Default: 255.", verbs=_VERBS
    )
    palette: Path | None = option(
        PATH,
        "Which class each colour of RGB masks is: R G B name on each line, the first class 0.",
        verbs=_VERBS,
    )
    mask_labels: Path | None = option(
        PATH, "Names of the masks' classes: a line for each number, from 0.", verbs=_VERBS
    )
    decoder: str | None = option(
        WORD,
        "What gives each pixel a class: lraspp (light), deeplabv3plus, unet. Default: lraspp.",
        verbs=_VERBS,
    )

    @property
    def given(self) -> bool:
        """Whether one of them was."""
        return any(getattr(self, one.name) is not None for one in fields(self))


@dataclass(frozen=True)
class Outcome(Part):
    """Outcome: what is written."""

    output: Path = option(
        PATH,
        "The checkpoint, which `edgeeff build --checkpoint` takes as it is.",
        default=Path("best.pt"),
        short="-o",
        verbs=_VERBS,
    )
    build: tuple[str | Target, ...] = option(
        TARGETS,
        "Also build for this target, repeatable: the photos calibrate, those to judge by judge the bundle.",
        default=(),
        flag="--build",
        shown="<str>",
        verbs=_VERBS,
    )
    bundles: Path = option(PATH, "Folder of these bundles.", default=Path("dist"), verbs=_VERBS)
    force: bool = option(FLAG, "Replace the checkpoint, where one is there.", default=False, verbs=_VERBS)


@dataclass(frozen=True)
class FinetuneRequest:
    """All that a user says of a training: plain data that can be compared and pickled.

    Args:
        photos: What is learnt from.
        source: The trained network that it begins with.
        preprocess: How photos are prepared, where the network's origin is not right.
        learning: What learns, how long and how fast.
        swap: The activation that is learnt instead.
        masks: Where masks of the photos lie, and what learns them.
        regularisation: What keeps blocks from learning photos by heart.
        outcome: What is written.
    """

    photos: Photos = field(default_factory=Photos)
    source: Source = field(default_factory=Source)
    preprocess: Preprocessing = field(default_factory=Preprocessing)
    learning: Learning = field(default_factory=Learning)
    swap: Swap = field(default_factory=Swap)
    masks: Masks = field(default_factory=Masks)
    regularisation: Regularisation = field(default_factory=Regularisation)
    outcome: Outcome = field(default_factory=Outcome)

    @classmethod
    def of(cls, **keywords: Any) -> FinetuneRequest:
        """A request of these keywords; None stands for a keyword's default.

        Raises:
            OptionError: A value that its option cannot have.
            TypeError: No option of that name.
        """
        if keywords.get("activation") is not None and keywords.get("blocks") is not None:
            raise OptionError(
                "--blocks with --activation, with which the whole network learns", mend="leave --blocks out"
            )
        return changed(cls(), keywords, options(), "finetune")


#: In the order in which help shows them.
PARTS = (Photos, Source, Preprocessing, Learning, Regularisation, Swap, Masks, Outcome)


def options() -> list[Option]:
    """All options that a request holds."""
    return [one for part in PARTS for one in declared(part)]
