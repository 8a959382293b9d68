"""All that a plan is made from, of one network and its calibration images, each computed once and kept.

The images are run for statistics once, whatever the targets; what the outputs make of noise is one look at a
few of them; and the steps that look at activations stream them again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from edgeeff.calibration.content import ContentReport
from edgeeff.calibration.judgement import Judgement
from edgeeff.calibration.selection import Selection, pixels
from edgeeff.images import ImageSet
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.stages import judgement, sensitivity, statistics
from edgeeff.pipeline.stages.network import Network
from edgeeff.pipeline.stages.sensitivity import Gain
from edgeeff.pipeline.stages.stage import Stage, run
from edgeeff.pipeline.stages.statistics import Observed
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Recorder

if TYPE_CHECKING:
    from torch import Tensor

    from edgeeff.quantization.gptq_layers import Original


@dataclass(frozen=True)
class Calibration:
    """A network's calibration.

    Args:
        network: The float graph.
        preprocess: From a photo to its input.
        images: Those that calibrate, and those that judge.
        context: Where results are kept, and who hears of long work.
        force: Whether images that are blank or noise are taken too.
        exclusive: Whether the network's classes exclude each other.
    """

    network: Network
    preprocess: Preprocess
    images: Selection
    context: Context
    force: bool = False
    exclusive: bool = True

    def heard_by(self, progress: Recorder) -> Calibration:
        """The same, whose further work tells another recorder."""
        context = replace(self.context, progress=progress)
        return replace(self, network=replace(self.network, context=context), context=context)

    @property
    def key(self) -> str:
        """What the statistics are kept by."""
        return self._observed.key

    def observed(self) -> Observed:
        """float graph and images ─▶ statistics, and what was seen on the way.

        Raises:
            CalibrationError: The images are mostly blank or noise, or cannot be decoded.
        """
        found = run(self._observed, self.context)
        self.refuse_noise(found.content)
        self.images.calibration.bad.update(found.skipped)
        return found

    def judgement(self) -> Judgement:
        """What is said of the calibration images, which are run for it if they have not been.

        Raises:
            CalibrationError: As for :meth:`observed`.
        """
        stage = judgement.stage(
            self.network, self.preprocess, self.images.calibration, self.key, self.observed
        )
        found = run(stage, self.context)
        self.refuse_noise(found.content)
        return found

    def gain(self) -> Gain:
        """float graph and images ─▶ what the outputs make of noise, by tensor and channel."""
        stage = sensitivity.stage(
            *(self.network, self.key, self.observed, partial(self.inputs, False)),
            *(len(self.images.calibration), self.exclusive, self.context),
        )
        return run(stage, self.context).gain

    def inputs(self, raw: bool, count: int) -> Iterator[Tensor]:
        """The first calibration images as inputs of a graph, float32 [N, C, H, W].

        Args:
            raw: Whether the graph takes pixels of 0…255, and not normalised ones.
            count: How many.
        """
        yield from self._inputs(self.images.calibration, raw, count)

    def spread(self, raw: bool, count: int) -> Iterator[Tensor]:
        """As :meth:`inputs`, from all over the set: the first ones of a folder a class are of one class."""
        pictures = self.images.calibration.pictures
        every = max(1, math.ceil(len(pictures) / count))
        ordered = tuple(picture for first in range(every) for picture in pictures[first::every])
        yield from self._inputs(replace(self.images.calibration, pictures=ordered, bad={}), raw, count)

    def _inputs(self, images: ImageSet, raw: bool, count: int) -> Iterator[Tensor]:
        import torch

        left = count
        rest = self.images.rest(self.images.validation)
        for batch in pixels(images, self.preprocess, rest=rest):
            batch = batch[:left]
            left -= len(batch)
            values = self.preprocess.raw(batch) if raw else self.preprocess.normalise(batch)
            yield torch.from_numpy(values)
            if left == 0:
                return

    def tell(self, found: Judgement) -> None:
        """What is known of the calibration images, for each target that they calibrate.

        Raises:
            CalibrationError: Most are blank or noise, which an earlier build was forced to take.
        """
        self.refuse_noise(found.content)
        self.context.say_once(found.line)
        self.context.warn_all(found.warnings(self.images.calibration.pictures))

    def refuse_noise(self, content: ContentReport) -> None:
        """Refuse images that an earlier build was forced to take, unless this one is too.

        Raises:
            CalibrationError: More than half of them are blank or noise.
        """
        if not self.force:
            content.refuse(self.images.calibration.pictures)

    @cached_property
    def original(self) -> Original:
        """The network as every target begins with it, and the codes that they share."""
        from edgeeff.quantization.gptq_layers import Original

        return Original(
            lambda: (self.network.model(), self.observed().statistics), partial(self.inputs, False)
        )

    @cached_property
    def _observed(self) -> Stage[Observed]:
        return statistics.stage(self.network, self.preprocess, self.images, self.context, force=self.force)
