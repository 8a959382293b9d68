"""Which layers of a build stay float: those the user names, and those that a budget takes.

The validation images are parted: the search judges by one half, the finished bundle is verified on the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgeeff.batch import ONE, Batch
from edgeeff.errors import VerificationError
from edgeeff.pipeline import held_out
from edgeeff.pipeline.stages import floating as stages
from edgeeff.pipeline.stages.drafting import Drafting
from edgeeff.pipeline.stages.stage import run
from edgeeff.pipeline.trial import Trial
from edgeeff.quantization.budget import Budget, Choice, Judged, asked, curve_line, meets
from edgeeff.target import Target


@dataclass(frozen=True)
class Floating:
    """The layers that stay float, and how those that a budget took were found."""

    layers: frozenset[str] = frozenset()
    choice: Choice | None = None


def floating(
    drafting: Drafting,
    target: Target,
    keep_float: Sequence[str],
    budget: Budget | None,
    batch: Batch = ONE,
) -> Floating:
    """The layers of a target that stay float; none of a float target.

    Args:
        drafting: How the network is quantised.
        target: As a variant has it.
        keep_float: Those that the user names.
        budget: What must be met with the fewest more.
        batch: Images in a run, where the budget bounds latency.

    Raises:
        OptionError: A layer is not in the network, or the images are too few to judge by.
        VerificationError: The budget cannot be met.
    """
    if target.scheme is None or (not keep_float and budget is None):
        return Floating()
    from edgeeff.quantization import precision

    calibration, context = drafting.calibration, drafting.context
    named = precision.matching(keep_float, precision.layer_names(calibration.network.model()))
    if budget is None:
        return Floating(named)
    most = held_out.affordable(calibration.network.source.identity, calibration.preprocess.size)
    search = held_out.halves(calibration.images.validation, budget, most)[0]
    trial = Trial(drafting, target, named, budget, search, batch)
    found = run(stages.stage(drafting.facts(target), named, budget, search, batch, trial.choose), context)
    held_out.warn_skipped(calibration.images.validation, found.skipped, context)
    context.progress.tell(f"{target.name}: {found.choice.line}")
    bounded, swish = calibration.network.activation == "bounded", target.scheme.swish
    if found.choice.layers and drafting.recipe.does("correct_bias_sequentially", bounded, swish):
        context.progress.tell(
            f"{target.name}: the search left bias corrections as they were, and the bundle has them made "
            "anew: fewer float layers may do, which --keep-float would name"
        )
    return Floating(named | frozenset(found.choice.layers), found.choice)


def hold(budget: Budget, choice: Choice, found: Judged, name: str) -> list[str]:
    """Hold a finished bundle against its budget, on images that the search did not see.

    Returns:
        A warning where it is under the budget by less than these images can tell.

    Raises:
        VerificationError: It is not within the budget.
    """
    if meets(budget, _exact(found), confident=True):
        return []
    if meets(budget, found, confident=False):
        return [
            f"on the {found.images} images that verify: {found.line}; {asked(budget)} was met on those of "
            "the search, and the difference is within their interval"
        ]
    raise VerificationError(
        f"{name}: {asked(budget)} was met on the images of the search, but not on the {found.images} others: "
        f"{found.line}; {curve_line(choice.curve)}",
        mend="pass more images with --validation; nothing was written",
    )


def _exact(found: Judged) -> Judged:
    return replace(found, sqnr_error=0.0)
