"""What the search for float layers looks at: one target of a build, on the images that search."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgeeff.batch import ONE, Batch
from edgeeff.calibration.selection import pixels
from edgeeff.images import ImageSet
from edgeeff.pipeline import artifact, held_out, timings
from edgeeff.pipeline.held_out import Known
from edgeeff.pipeline.kept import Kept
from edgeeff.pipeline.stages.drafting import Drafting, is_raw
from edgeeff.preprocess import Pixels
from edgeeff.quantization.boxed import BoxJudge, Levels
from edgeeff.quantization.budget import Budget, Choice, Cost, Judged, judge_outputs
from edgeeff.target import Target
from edgeeff.tasks import Outputs, joined

if TYPE_CHECKING:
    from torch import Tensor

    from edgeeff.quantization.draft import Draft

#: Outputs of images, batch by batch; and those of a plan but that some layers stay float.
Batches = Iterator[Outputs]
OfPlan = Callable[[tuple[str, ...]], Batches]
#: Processes that time a bundle, and for how many seconds each.
LAUNCHES, SECONDS = 8, 0.6


@dataclass(frozen=True)
class Trial:
    """The search's view of one target of a build.

    Args:
        drafting: How the network is quantised.
        target: An int8 one.
        named: Layers that the user keeps float.
        budget: What must be met.
        images: Those that the search judges by.
        batch: Images in a run, where latency is measured.
        quiet: Whether nobody hears of the images that are done.
    """

    drafting: Drafting
    target: Target
    named: frozenset[str]
    budget: Budget
    images: ImageSet
    batch: Batch = ONE
    quiet: bool = False
    _doubts: list[str] = field(default_factory=list, repr=False)

    def choose(self) -> Choice:
        """Search.

        Raises:
            OptionError: The images are too few to judge by.
            VerificationError: The budget cannot be met.
        """
        from edgeeff.quantization import precision
        from edgeeff.quantization.search import Search

        progress = self.drafting.context.progress
        draft = self.drafting.draft(self.target, self.named)
        shares = precision.multiply_adds(draft.model)
        progress.stage("searching the layers that must stay float", total=len(self.images))
        of_float, of_plan = self._graphs(draft) if self._is_large else self._simulations(draft)
        judge = self._judge(of_float)

        def look(layers: tuple[str, ...]) -> Judged:
            progress.stage(f"searching: {len(layers)} layers in float", total=len(self.images))
            return judge(of_plan(layers))

        def confirm(layers: tuple[str, ...]) -> Judged:
            progress.stage(f"confirming: {len(layers)} layers in float", total=len(self.images))
            return judge(self._computed(layers))

        def cost(layers: tuple[str, ...]) -> Cost:
            proxy = Cost(
                sum(shares[name] for name in layers),
                "by share of multiply-adds, as this runtime cannot be timed here",
            )
            return (self._measured(layers) or proxy) if layers else Cost(0.0, "with no layer in float")

        try:
            return Search(partial(precision.candidates, draft), self.budget, look, confirm, cost).run()
        finally:
            self._warn_of_doubts()

    def judging(self, draft: Draft) -> Callable[[Draft], Judged]:
        """What holds changed decisions about a draft's graph against the float graph, without a word.

        Args:
            draft: Finished.
        """
        from edgeeff.graph.execute import outputs_of, prepare
        from edgeeff.quantization import precision
        from edgeeff.quantization.quantize import write

        quiet = replace(self, quiet=True)
        raw = is_raw(self.target)
        if self._is_large:
            judge = quiet._judge(quiet._graphs(draft)[0])
            return lambda changed: judge(
                quiet._inferred(write(changed).SerializeToString(deterministic=True), raw=raw)
            )
        program = prepare(draft.model)
        judge = quiet._judge(lambda: (_arrays(outputs_of(program, x)) for x in quiet._inputs()))
        return lambda changed: judge(
            _arrays(precision.simulated(program, changed.plan(), x)) for x in quiet._inputs()
        )

    @property
    def _is_large(self) -> bool:
        """Whether outputs are those of a detector, or of pixels: none are held in memory."""
        return self.drafting.meaning.detection is not None or self.drafting.meaning.by_pixel

    def _simulations(self, draft: Draft) -> tuple[Callable[[], Batches], OfPlan]:
        """Outputs of the float graph, and of a plan with some more layers in float, by the simulator."""
        from edgeeff.graph.execute import outputs_of, prepare
        from edgeeff.quantization import precision

        program = prepare(draft.model)

        def of_plan(layers: tuple[str, ...]) -> Batches:
            plan = precision.kept(draft, layers)
            return (_arrays(precision.simulated(program, plan, x)) for x in self._inputs())

        return lambda: (_arrays(outputs_of(program, x)) for x in self._inputs()), of_plan

    def _graphs(self, draft: Draft) -> tuple[Callable[[], Batches], OfPlan]:
        """The same by graphs in onnxruntime: others than classifiers take more images, and this is faster."""
        from edgeeff.quantization import precision
        from edgeeff.quantization.quantize import write

        def of_plan(layers: tuple[str, ...]) -> Batches:
            graph = write(precision.drafted(draft, layers)).SerializeToString(deterministic=True)
            return self._inferred(graph, raw=is_raw(self.target))

        return lambda: self._inferred(self.drafting.calibration.network.graph(), raw=False), of_plan

    def _judge(self, of_float: Callable[[], Batches]) -> Callable[[Batches], Judged]:
        """What holds batches of outputs against the float graph's.

        Args:
            of_float: The float graph's, batch by batch.
        """
        truths, photos = self._known
        meaning, classes = self.drafting.meaning, self.drafting.calibration.network.source.identity.classes
        if not self._is_large:
            whole = joined(of_float())
            return lambda found: judge_outputs(whole, joined(found), truths, photos)

        reference = Kept(of_float(), len(photos))

        def judged(found: Batches) -> Judged:
            if truths is None:
                levels = Levels()
                for one, other in reference.pairs(found):
                    levels.update(one, other)
                return levels.judged(photos)
            judge, start = BoxJudge(meaning, classes), 0
            for one, other in reference.pairs(found):
                count = len(next(iter(one.values())))
                judge.update(one, other, truths[start : start + count])
                start += count
            return judge.judged()

        return judged

    def _warn_of_doubts(self) -> None:
        """Once: the search times several sets of layers, perhaps."""
        if self._doubts:
            more = f" (and {len(self._doubts) - 1} more)" if len(self._doubts) > 1 else ""
            self.drafting.context.warn(
                f"--max-latency-cost was held against doubtful timings: {self._doubts[0]}{more}"
            )

    @cached_property
    def _known(self) -> Known:
        """Of those of the images that can be decoded."""
        numbers: list[int] = []
        for _ in self._batches(lambda _, found: numbers.extend(found.tolist())):
            pass
        return held_out.known(self.images, numbers, self.budget)

    def _batches(
        self, watch: Callable[[Pixels, npt.NDArray[np.int64]], None] | None = None
    ) -> Iterator[Pixels]:
        calibration = self.drafting.calibration
        return pixels(self.images, calibration.preprocess, rest=calibration.images.calibration, watch=watch)

    def _inputs(self) -> Iterator[Tensor]:
        import torch

        preprocess = self.drafting.calibration.preprocess
        prepare = preprocess.raw if is_raw(self.target) else preprocess.normalise
        for batch in self._batches():
            yield torch.from_numpy(prepare(batch))
            self._advance(len(batch))

    def _computed(self, layers: tuple[str, ...]) -> Iterator[Outputs]:
        """The outputs of the Q/DQ graph with these layers in float, by onnxruntime, batch by batch."""
        graph, _ = self.drafting.quantised(self.target, self.named | frozenset(layers))
        return self._inferred(graph, raw=is_raw(self.target))

    def _inferred(self, graph: bytes, *, raw: bool) -> Iterator[Outputs]:
        """The outputs of a graph by onnxruntime, batch by batch."""
        from edgeeff.backends.onnxruntime.run import session_of
        from edgeeff.graph.side_by_side import side_by_side

        preprocess = self.drafting.calibration.preprocess
        session = session_of(graph, preprocess, "uint8" if raw else "float32")
        for outputs in side_by_side(session.infer, self._batches()):
            yield outputs
            self._advance(len(next(iter(outputs.values()))))

    def _advance(self, count: int) -> None:
        if not self.quiet:
            self.drafting.context.progress.advance(count)

    def _measured(self, layers: tuple[str, ...]) -> Cost | None:
        """Latency against the build with none of them in float, interleaved; None where it cannot run."""
        self.drafting.context.progress.stage(f"timing {len(layers)} layers in float")
        with tempfile.TemporaryDirectory() as folder:
            kept = {"plain": self.named, "mixed": self.named | frozenset(layers)}
            bundles = [
                artifact.scratch(self.drafting, self.target, Path(folder) / name, floating, self.batch)
                for name, floating in kept.items()
            ]
            progress = self.drafting.context.progress
            report = timings.timed(bundles, progress, launches=LAUNCHES, seconds=SECONDS)
        ratio = report.ratio("mixed", "plain")
        self._doubts.extend(timings.doubts(report))
        if ratio is None:
            return None
        between = (ratio.interval.low - 1, ratio.interval.high - 1) if ratio.interval else None
        return Cost(ratio.value - 1, "measured here", between)


def _arrays(outputs: Mapping[str, Tensor]) -> Outputs:
    return {name: value.numpy() for name, value in outputs.items()}
