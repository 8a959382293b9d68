"""float graph and calibration images ─▶ all that a plan is made from, each asked once and kept.

The images are run for statistics once, whatever the targets; what the logits make of noise is one look at a
few of them; and the steps that look at activations stream them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgeeff.cache import Cache, key_of, versions
from edgeeff.calibration.judgement import Judgement
from edgeeff.calibration.selection import Selection, bad_from_json, bad_to_json, pixels
from edgeeff.calibration.statistics import Statistics, statistics_from_bytes, statistics_to_bytes
from edgeeff.memory import give_back
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Recorder

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Calibrated:
    """A network's calibration.

    Args:
        graph: Makes the base graph's bytes.
        digest: Makes their SHA-256.
        preprocess: From a photo to the input.
        images: Those that calibrate, and those that judge.
        cache: Where results are kept.
        progress: Told of long work.
        force: Whether noise is taken too.
        version: Of the steps, part of every key.
        exclusive: Whether the network's classes exclude each other.
    """

    graph: Callable[[], bytes]
    digest: Callable[[], str]
    preprocess: Preprocess
    images: Selection
    cache: Cache
    progress: Recorder
    force: bool
    version: int
    exclusive: bool = True

    @cached_property
    def key(self) -> str:
        """What the statistics are kept by."""
        return key_of(
            graph=self.digest(),
            images=self.images.calibration.digest(),
            preprocess=self.preprocess.to_json(),
            tools=versions("edgeeff", "torch", "numpy", "pillow"),
            version=self.version,
        )

    def statistics(self) -> Statistics:
        """float graph and images ─▶ statistics.

        Raises:
            CalibrationError: The images are mostly blank or noise, or cannot be read.
        """
        calibration = self.images.calibration
        entry = self.cache.get("statistics", self.key)
        if entry is not None and self._judged() is not None:
            calibration.bad.update(bad_from_json(calibration, entry["bad.json"].decode()))
            return statistics_from_bytes(entry["statistics.npz"])
        from edgeeff.calibration import judgement, transfer
        from edgeeff.calibration.collect import collect
        from edgeeff.calibration.content import Examination
        from edgeeff.graph.model import from_bytes

        self.progress.stage("looking at a few images")
        model, force = from_bytes(self.graph()), self.force
        tried = judgement.at_sight(model, self.preprocess, calibration, force=force)
        examination = Examination(calibration.pictures, force=force)
        rest = self.images.rest(self.images.validation)
        self.progress.stage("calibrating", total=len(calibration))
        found = collect(
            model,
            self.preprocess,
            pixels(calibration, self.preprocess, rest=rest, watch=examination.add),
            self.progress.advance,
        )
        judged = judgement.judge(
            *(model, found, examination, tried),
            partial(transfer.told_apart, model, self.preprocess, calibration),
        )
        self.cache.put("judgement", self.key, {"judgement.json": judged.to_bytes()})
        del model
        give_back()
        entry = {"statistics.npz": statistics_to_bytes(found), "bad.json": bad_to_json(calibration).encode()}
        self.cache.put("statistics", self.key, entry)
        return found

    def gain(self) -> Mapping[str, npt.NDArray[np.float64]]:
        """float graph and images ─▶ what the logits make of noise."""
        from edgeeff.quantization import sensitivity
        from edgeeff.quantization.centring import deciding

        key = key_of(
            statistics=self.key,
            images=sensitivity.IMAGES,
            exclusive=self.exclusive,
            version=self.version,
        )
        entry = self.cache.get("sensitivity", key)
        if entry is not None:
            return sensitivity.from_bytes(entry["sensitivity.npz"]).gain
        from edgeeff.graph.execute import prepare
        from edgeeff.graph.model import from_bytes

        model = from_bytes(self.graph())
        known = self.statistics() if len(model.graph.outputs) > 1 else {}
        count = min(sensitivity.IMAGES, len(self.images.calibration))
        self.progress.stage("asking what the logits make of noise", total=count)
        found = sensitivity.measure(
            *(prepare(model), self.inputs(False, count), self.progress.advance),
            deciding=deciding(model, known, self.exclusive),
        )
        give_back()
        self.cache.put("sensitivity", key, {"sensitivity.npz": sensitivity.to_bytes(found)})
        return found.gain

    def inputs(self, raw: bool, count: int) -> Iterator[Tensor]:
        """The first calibration images as inputs of a graph, float32 [N, 3, H, W]."""
        import torch

        left = count
        for batch in pixels(
            self.images.calibration, self.preprocess, rest=self.images.rest(self.images.validation)
        ):
            batch = batch[:left]
            left -= len(batch)
            values = self.preprocess.raw(batch) if raw else self.preprocess.normalise(batch)
            yield torch.from_numpy(values)
            if left == 0:
                return

    def judgement(self) -> Judgement:
        """What is known of the calibration images, which are run for it if they have not been.

        Raises:
            CalibrationError: As for :meth:`statistics`.
        """
        if self._judged() is None:
            self.statistics()
        judged = self._judged()
        assert judged is not None
        return judged

    def _judged(self) -> Judgement | None:
        entry = self.cache.get("judgement", self.key)
        return Judgement.from_bytes(entry["judgement.json"]) if entry is not None else None

    def refuse_noise(self) -> None:
        """A set that an earlier build was forced to take is not taken by one that is not."""
        judged = self._judged()
        if judged is not None and not self.force:
            judged.content.refuse(self.images.calibration.pictures)
