"""What an artifact that takes a camera's frames is held against: the same frames, prepared by Pillow.

Two things are kept apart: what quantisation costs (the hub graph against the float graph), and what the
artifact's own way from a frame to pixels costs (:meth:`Framed.cost`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from edgeeff.calibration.selection import batch_size, pixels
from edgeeff.framing import shown
from edgeeff.harness import verify
from edgeeff.pipeline import held_out
from edgeeff.pipeline.kept import Kept
from edgeeff.pipeline.stages import reference
from edgeeff.pipeline.stages.calibration import Calibration
from edgeeff.pipeline.stages.reference import Reference
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.quantization.budget import Budget
from edgeeff.tasks import Meaning

#: Frames that are held at a time.
_FRAMES = 4


@dataclass(frozen=True)
class Framed:
    """Held-out images as an artifact takes them.

    Args:
        calibration: The network and its images.
        budget: What had to be met; it decides which images verify.
        preprocess: From a photo to what the artifact takes.
        expected: The same images as pixels of the network's size, with the float graph's outputs. Of an
            artifact that resizes frames they are its frames, resized by Pillow.
    """

    calibration: Calibration
    budget: Budget | None
    preprocess: Preprocess
    expected: Reference

    @classmethod
    def of(cls, calibration: Calibration, budget: Budget | None, preprocess: Preprocess) -> Framed:
        """Of a target's artifact, with the float graph's outputs of what it is shown."""
        plain = reference.of(calibration, budget)
        made = cls(calibration, budget, preprocess, plain)
        if preprocess.taken == preprocess.size:
            return made
        resized = [_resized(frames, preprocess) for frames in made.frames()]
        parts = reference.inferred(calibration.network.graph(), preprocess.of_network, resized, raw=False)
        whole = not plain.outputs.large
        outputs = Kept(parts, sum(map(len, resized)), whole=whole)
        return cls(calibration, budget, preprocess, Reference(resized, outputs, plain.known))

    def frames(self) -> Iterable[Pixels]:
        """What the artifact is given, batch by batch; frames are made anew each time, none is kept."""
        if self.preprocess.taken == self.preprocess.size:
            return self.expected.batches
        network, images = self.calibration.network, self.calibration.images
        most = held_out.affordable(network.source.identity, self.preprocess.size)
        few = held_out.halves(images.validation, self.budget, most)[1]
        size = min(_FRAMES, batch_size(self.preprocess))
        return pixels(few, self.preprocess, size, rest=images.rest(images.calibration))

    def first(self, count: int) -> Pixels:
        """The first so many of them, or all there are."""
        found: list[Pixels] = []
        for batch in self.frames():
            found.append(batch[: count - sum(map(len, found))])
            if sum(map(len, found)) == count:
                break
        return np.concatenate(found)

    def cost(self, meaning: Meaning) -> tuple[dict[str, Any], verify.Verification]:
        """What the artifact's way from a frame to pixels changes, before anything is quantised.

        Returns:
            For ``measured/verification.json``; and the float graph on pixels made so against the same on
            pixels that Pillow made of the same frames.
        """
        differences: list[tuple[float, float]] = []

        def made() -> Iterator[Any]:
            pillow = (image for batch in self.expected.batches for image in batch)
            for frames in self.frames():
                seen = shown(frames, self.preprocess)
                for one in seen:
                    apart = np.abs(one - next(pillow))
                    differences.append((float(apart.mean()), float(apart.max())))
                yield seen

        network, plain = self.calibration.network, self.preprocess.of_network
        parts = reference.inferred(network.graph(), plain, made(), raw=False)
        found = verify.judge_parts(self.expected.outputs.pairs(parts), meaning)
        means, most = zip(*differences, strict=True)
        report = {"pixels": {"mean": round(float(np.mean(means)), 4), "max": round(max(most), 2)}}
        return {**report, **found.to_json()}, found


def _resized(frames: Pixels, preprocess: Preprocess) -> Pixels:
    plain = preprocess.of_network
    return np.stack([plain.fit(Image.fromarray(frame)) for frame in frames])
