"""float graph and held-out images ─▶ what the float graph makes of them: all else is compared with that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from edgeeff.calibration.selection import Selection, pixels
from edgeeff.framing import shown
from edgeeff.harness.verify import FEW
from edgeeff.pipeline import held_out
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.held_out import Known
from edgeeff.pipeline.kept import Kept
from edgeeff.pipeline.stages.calibration import Calibration
from edgeeff.pipeline.stages.network import Network
from edgeeff.pipeline.stages.stage import Stage, run
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.quantization.budget import Budget
from edgeeff.tasks import Outputs, joined

VERSION = 1


@dataclass(frozen=True)
class Reference:
    """Held-out images, and the float graph's outputs of them.

    Args:
        batches: Raw pixels, uint8 [n, H, W, C] each.
        outputs: By name, float32 [N, …] over all batches; in a file where they are large.
        known: The images' classes and photos, as far as a budget asks for them.
    """

    batches: Sequence[Pixels]
    outputs: Kept
    known: Known

    @property
    def images(self) -> int:
        """How many."""
        return sum(map(len, self.batches))

    def first(self, count: int) -> tuple[Pixels, Outputs]:
        """The first so many images and their outputs, or all there are."""
        inputs = np.concatenate(self.batches)[:count]
        return inputs, self.outputs.rows(0, len(inputs))


def _stage(
    network: Network, preprocess: Preprocess, images: Selection, budget: Budget | None, context: Context
) -> Stage[Reference]:
    """What the float graph makes of the images that verify; held for one build."""
    verifying = held_out.halves(images.validation, budget, _most(network, preprocess))[1]
    return Stage(
        "reference",
        VERSION,
        ("edgeeff", "onnxruntime"),
        facts={
            "graph": network.digest,
            "images": verifying.digest(),
            "classes": held_out.known_digest(verifying),
            "preprocess": preprocess.to_json(),
        },
        make=partial(_run, network, preprocess, images, budget, context),
    )


def of(calibration: Calibration, budget: Budget | None) -> Reference:
    """What the float graph makes of a network's held-out images: of those that verify, under a budget.

    Raises:
        CalibrationError: Too many of them cannot be decoded.
    """
    known = (calibration.network, calibration.preprocess, calibration.images)
    return run(_stage(*known, budget, calibration.context), calibration.context)


def infer(
    graph: bytes, preprocess: Preprocess, batches: Sequence[Pixels], *, raw: bool, literal: bool = False
) -> Outputs:
    """A graph's outputs in onnxruntime, float32 [N, …] each.

    Args:
        graph: An ONNX file.
        preprocess: From pixels to its input; with a ``camera`` frames go in, as an artifact is shown them.
        batches: Raw pixels, uint8 [n, H, W, C] each.
        raw: Whether the graph takes pixels of 0…255, and not normalised ones.
        literal: Compute a Q/DQ graph as it is written; onnxruntime's own fusions round elsewhere.
    """
    return joined(inferred(graph, preprocess, batches, raw=raw, literal=literal))


def inferred(
    graph: bytes, preprocess: Preprocess, batches: Iterable[Pixels], *, raw: bool, literal: bool = False
) -> Iterator[Outputs]:
    """The same batch by batch, nothing of which is held."""
    from edgeeff.backends.onnxruntime.run import session_of

    session = session_of(graph, preprocess.of_network, "uint8" if raw else "float32", literal=literal)
    seen: Iterable[Any] = batches
    if preprocess.camera is not None:
        seen = (shown(batch, preprocess) for batch in batches)
    return (session.infer(batch) for batch in seen)


def _most(network: Network, preprocess: Preprocess) -> int | None:
    return held_out.affordable(network.source.identity, preprocess.size)


def _run(
    network: Network, preprocess: Preprocess, images: Selection, budget: Budget | None, context: Context
) -> Reference:
    most = _most(network, preprocess)
    few = held_out.halves(images.validation, budget, most)[1]
    context.progress.stage("judging the float graph on held-out images")
    numbers: list[int] = []
    batches = list(
        pixels(
            few,
            preprocess,
            rest=images.rest(images.calibration),
            watch=lambda _, found: numbers.extend(found.tolist()),
        )
    )
    held_out.warn_skipped(images.validation, few.bad, context)
    known = held_out.known(few, numbers, budget)
    parts = inferred(network.graph(), preprocess, batches, raw=False)
    # What top-1 loses is found on all images at once.
    outputs = Kept(parts, sum(map(len, batches)), whole=known[0] is not None and known[0].dtype != object)
    found = Reference(batches, outputs, known)
    if found.images < min(FEW, most or FEW):
        context.warn(f"only {found.images} images to judge by: pass more with --validation")
    return found
