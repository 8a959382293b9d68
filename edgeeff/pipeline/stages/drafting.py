"""float graph, statistics and images ─▶ all decisions about a target ─▶ a Q/DQ graph and its plan."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from edgeeff import backends
from edgeeff.calibration.statistics import Statistics
from edgeeff.memory import give_back
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.options import GivenPlan
from edgeeff.pipeline.stages import given
from edgeeff.pipeline.stages.calibration import Calibration
from edgeeff.pipeline.stages.learned import Learned
from edgeeff.pipeline.train_images import TrainImages
from edgeeff.progress import Recorder
from edgeeff.quantization.recipe import Recipe
from edgeeff.target import Scheme, Target
from edgeeff.tasks import Meaning

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgeeff.quantization.draft import Draft


def is_raw(target: Target) -> bool:
    """Whether a target's hub graph takes pixels of 0…255, as its runtime normalises no integer input."""
    return backends.runtime(target.runtime).holds_pixels(target.input)


def _whole(target: Target) -> bool:
    """Whether the mean of raw pixels is to be a zero point: where every tensor has one."""
    return target.scheme is not None and target.scheme.every_tensor


@dataclass(frozen=True)
class Drafting:
    """How one network is quantised, whatever the target.

    Args:
        calibration: The network, its images, and what is known of both.
        recipe: The steps that decide.
        cpu_class: What is planned for.
        meaning: What the outputs mean.
        plan: Ranges that another tool chose.
        training: The images that it is trained on, if it is.
        learned: Of one target, what training made of its plan.
    """

    calibration: Calibration
    recipe: Recipe
    cpu_class: str
    meaning: Meaning
    plan: GivenPlan | None = None
    training: TrainImages | None = None
    learned: Learned | None = None

    @property
    def context(self) -> Context:
        """The build's."""
        return self.calibration.context

    def heard_by(self, progress: Recorder) -> Drafting:
        """The same, whose further work tells another recorder."""
        return replace(self, calibration=self.calibration.heard_by(progress))

    def facts(self, target: Target) -> dict[str, Any]:
        """What a target's hub graph depends on beside the layers that stay float, as plain data."""
        quantised = target.scheme is not None
        return {
            "graph": self.calibration.network.digest,
            "preprocess": self.calibration.preprocess.to_json(),
            "raw": self._raw(target),
            "scheme": vars(target.scheme) if target.scheme else None,
            "statistics": self.calibration.key if quantised else None,
            "recipe": self.recipe.to_json() if quantised else None,
            "plan": self.plan.digest if quantised and self.plan else None,
            "cpu_class": self.cpu_class,
            "exclusive": self.meaning.exclusive,
            **({"learned": self.learned.key} if quantised and self.learned else {}),
        }

    def _raw(self, target: Target) -> bool | str:
        """Whether the hub graph takes pixels, and whether a part of their mean has to go into the bias."""
        preprocess = self.calibration.preprocess
        split = _whole(target) and preprocess.with_whole_mean() != preprocess
        return "with a whole mean" if is_raw(target) and split else is_raw(target)

    def draft(self, target: Target, floating: frozenset[str] = frozenset()) -> Draft:
        """float graph, statistics and images ─▶ all decisions, with the graph that they are about.

        Args:
            target: An int8 one.
            floating: Layers that stay float.
        """
        from edgeeff.quantization.draft import Evidence
        from edgeeff.quantization.quantize import begin

        scheme, calibration, raw = target.scheme, self.calibration, is_raw(target)
        assert scheme is not None
        learned = self.learned
        calibration.judgement()  # refuses images that are no photos, before anything is made of them
        if self.recipe.asks_gain(calibration.network.activation == "bounded", scheme.swish):
            calibration.gain()  # before anything large is held: a V2-XL's statistics are 0.8 GB
        model, statistics = self._base(target, calibration.observed().statistics)
        draft = begin(
            model,
            Evidence(
                statistics,
                partial(calibration.inputs, raw),
                calibration.gain,
                len(calibration.images.calibration),
                self.meaning,
                partial(calibration.spread, raw),
                calibration.original,
            ),
            calibration.preprocess,
            scheme,
            seven_bit_weights=self.cpu_class in scheme.saturating_cpus,
            floating=floating if learned is None else learned.named,
            given=self._given(scheme),
            progress=self.context.progress,
            cache=self.context.cache,
        )
        made = self.recipe(draft)
        return made if learned is None else learned.put(made, floating)

    def quantised(self, target: Target, floating: frozenset[str] = frozenset()) -> tuple[bytes, str]:
        """A target's Q/DQ graph and its plan; for a float target the float graph and no plan."""
        from edgeeff.graph.model import expand_functions
        from edgeeff.quantization.quantize import write

        if target.scheme is None:
            model, _ = self._base(target, {})
            return expand_functions(model).SerializeToString(deterministic=True), ""
        draft = self.draft(target, floating)
        hub, plan = write(draft), draft.plan().to_json()
        del draft
        give_back()
        return hub.SerializeToString(deterministic=True), plan

    def _base(self, target: Target, statistics: Statistics) -> tuple[ir.Model, Statistics]:
        """The base graph as a target's input wants it, with its statistics."""
        from edgeeff.graph import expectations
        from edgeeff.quantization.rewrites import fold_preprocessing

        model = self.calibration.network.model()
        expectations.strip(model)
        if not is_raw(target):
            return model, statistics
        preprocess = self.calibration.preprocess
        return fold_preprocessing.rewrite(model, statistics, preprocess, whole=_whole(target))

    def _given(self, scheme: Scheme) -> dict[str, tuple[float, float]]:
        if self.plan is None:
            return {}
        calibration = self.calibration
        return dict(
            given.ranges(
                *(self.plan, calibration.network, calibration.preprocess),
                *(calibration.images.calibration, scheme),
            )
        )
