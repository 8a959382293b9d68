"""How the network is quantised: recipe, ranges, CPU, tuning."""

from __future__ import annotations

from pathlib import Path

from edgeeff import regular
from edgeeff.batch import ONE, Batch
from edgeeff.errors import OptionError
from edgeeff.harness import machine
from edgeeff.pipeline import variants
from edgeeff.pipeline.options import GivenPlan, Options
from edgeeff.pipeline.request import BuildRequest
from edgeeff.pipeline.resolve.detection import resolve_detector
from edgeeff.pipeline.resolve.meaning import resolve_task
from edgeeff.pipeline.resolve.training import resolve_training
from edgeeff.pipeline.variants import Tuning
from edgeeff.quantization import budget, estimators, recipe
from edgeeff.tasks import checked_threshold


def resolve_options(request: BuildRequest) -> Options:
    """What the user changes about every target of a build.

    Raises:
        OptionError: A value makes no sense, alone or with the others.
    """
    said, meaning = request.quantise, request.meaning
    return Options(
        task=resolve_task(meaning.task),
        threshold=None if meaning.threshold is None else checked_threshold(meaning.threshold),
        softmax=meaning.softmax,
        probabilities=meaning.probabilities,
        effort=resolve_effort(said.effort),
        ranges=resolve_ranges(said.ranges),
        plan=resolve_plan(said.plan),
        golden=request.output.golden,
        cpu_class=resolve_cpu_class(said.cpu_class),
        keep_float=said.keep_float,
        budget=budget.read(said.min_sqnr, said.max_drop, said.max_latency_cost),
        tuning=resolve_tuning(said.tuning, said.autotune),
        batch=Batch.read(request.output.batch or ONE),
        nms=resolve_detector(request.detector).nms,
        training=resolve_training(request.training),
    )


def resolve_effort(effort: str) -> str:
    """A recipe's name, or the absolute path of its file."""
    recipe.load(effort)
    return str(regular.path_of(effort).resolve()) if effort.endswith(".toml") else effort


def resolve_ranges(method: str | None) -> str | None:
    """How activation ranges are chosen; None: as the recipe says."""
    if method is not None and method not in estimators.names():
        raise OptionError(f"--ranges {method!r}", mend=f"choose one of {', '.join(estimators.names())}")
    return method


def resolve_plan(plan: Path | str | None) -> GivenPlan | None:
    """The ranges that another tool chose, read once so that a bad file is refused now."""
    if plan is None:
        return None
    from edgeeff.quantization import foreign

    path = regular.path_of(plan)
    foreign.read(path)
    return GivenPlan.of(path)


def resolve_cpu_class(cpu_class: str) -> str:
    """The class of CPU to plan for; ``auto`` is this machine's."""
    known = ("auto", "avx2", "vnni", "bf16", "arm")
    if cpu_class not in known:
        raise OptionError(f"no CPU class {cpu_class!r}", mend=f"choose one of {', '.join(known)}")
    return machine.cpu_class() if cpu_class == "auto" else cpu_class


def resolve_tuning(path: Path | str | None, autotune: bool) -> Tuning | None:
    """What an earlier ``--autotune`` found."""
    if path is not None and autotune:
        raise OptionError(
            "--tuning takes an earlier answer, --autotune asks for a new one", mend="pass one of them"
        )
    return None if path is None else variants.read(Path(path))
