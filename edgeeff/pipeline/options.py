"""What the user changes about every target of a build, once it was found to make sense."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeeff import digests
from edgeeff.batch import ONE, Batch
from edgeeff.harness.golden import GOLDEN_IMAGES
from edgeeff.pipeline.variants import Tuning
from edgeeff.quantization import recipe
from edgeeff.quantization.budget import Budget
from edgeeff.quantization.recipe import Recipe


@dataclass(frozen=True)
class GivenPlan:
    """Ranges that another tool chose: their file, and its SHA-256 with that of the files of its weights."""

    path: Path
    digest: str

    @classmethod
    def of(cls, path: Path) -> GivenPlan:
        """A file as it is now.

        Raises:
            OSError: It cannot be read.
        """
        from edgeeff.graph.importing import source

        return cls(path, digests.of_files(source.files(path) if path.suffix.lower() == ".onnx" else [path]))


@dataclass(frozen=True)
class TrainOptions:
    """How the quantised network is trained.

    Args:
        steps: So many; None: as many as the others allow.
        minutes: By the clock.
        loss: ``mse`` or ``kl``.
        temperature: Of ``kl``.
        labels: How much cross-entropy counts beside it.
        device: ``cpu`` or ``cuda``.
    """

    steps: int | None = None
    minutes: float | None = None
    loss: Literal["mse", "kl"] = "mse"
    temperature: float = 2.0
    labels: float = 0.0
    device: str = "cpu"


@dataclass(frozen=True)
class Options:
    """What the user changes about every target of a build.

    With ``carry`` a bundle whose device chooses among variants of its graph holds them.
    """

    task: str | None = None
    threshold: float | None = None
    softmax: bool = False
    probabilities: bool = False
    effort: str = "balanced"
    ranges: str | None = None
    plan: GivenPlan | None = None
    golden: int = GOLDEN_IMAGES
    cpu_class: str = "vnni"
    keep_float: tuple[str, ...] = ()
    budget: Budget | None = None
    tuning: Tuning | None = None
    batch: Batch = ONE
    nms: str | None = None
    training: TrainOptions | None = None
    carry: bool = False

    @property
    def asks_top_1(self) -> bool:
        """Whether a budget asks for top-1, so that the images' classes matter."""
        return self.budget is not None and self.budget.max_drop is not None

    @property
    def float_asked(self) -> tuple[str, ...]:
        """The options that would leave layers in float, as the command line has them."""
        budget = self.budget
        given = {
            "--keep-float": bool(self.keep_float),
            "--min-sqnr": budget is not None and budget.min_sqnr is not None,
            "--max-drop": budget is not None and budget.max_drop is not None,
            "--max-latency-cost": budget is not None and budget.max_cost is not None,
        }
        return tuple(flag for flag, asked in given.items() if asked)

    def recipe(self) -> Recipe:
        """How the network is quantised."""
        found = recipe.load(self.effort)
        if self.training is not None:
            found = found.without("learn")  # training is the same, with more images and time
        return found if self.ranges is None else found.with_ranges(self.ranges)
