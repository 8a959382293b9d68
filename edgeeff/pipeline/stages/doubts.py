"""What neither a checkpoint nor its name tells, asked of the images before anything is built.

The likelier reading of the tensors is built in any case. The images may confirm it, and then nothing needs to
be said; they may speak for another one, and then the warning says so with both figures; where they do not
tell, or there are none, the doubt itself is the warning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from edgeeff.images import ImageSet
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.stages.identity import Source, identify
from edgeeff.pipeline.stages.stage import Stage, run
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.progress import Recorder, Silent
from edgeeff.zoo import sources
from edgeeff.zoo.origin import Alternative, Doubt

if TYPE_CHECKING:
    from torch import Tensor

    from edgeeff.calibration.readings import Comparison, Observed

VERSION = 1
TOOLS = ("edgeeff", "torch", "numpy", "pillow")
_FILE = "doubts.json"


@dataclass(frozen=True)
class _Reading:
    """The network as one set of options has it, with how images are prepared for it."""

    source: Source
    preprocess: Preprocess

    def facts(self) -> list[object]:
        """As part of a key."""
        conventions = self.source.identity.conventions
        return [asdict(conventions) if conventions else None, self.preprocess.to_json()]

    def observe(self, batches: list[Pixels]) -> dict[str, Observed]:
        """What its batch normalisation sees of these images."""
        from edgeeff.calibration import readings

        asked, identity = self.source.asked, self.source.identity
        network = sources.room(identity.kind).network(asked, identity, self.preprocess.size)
        return readings.observe(network, self._inputs(batches))

    def _inputs(self, batches: list[Pixels]) -> Iterator[Tensor]:
        import torch

        for batch in batches:
            images = torch.from_numpy(self.preprocess.normalise(batch))
            yield images.flip(1) if self.source.asked.channels == "bgr" else images


def settle(source: Source, preprocess: Preprocess, images: ImageSet | None, context: Context) -> None:
    """Ask the images about the network's doubt, if it has one; tell what they say, or warn.

    Args:
        source: The network.
        preprocess: As images are prepared for it.
        images: Those of the calibration; None: there are none to ask.
        context: Keeps the answer, and hears it.
    """
    doubt = source.identity.doubt
    if doubt is None:
        return
    found = run(_stage(source, preprocess, doubt, images, context), context) if images is not None else {}
    verdicts = {other: found[other.option].verdict for other in doubt.alternatives if other.option in found}
    against = [other for other, verdict in verdicts.items() if verdict == "second"]
    if against:
        best = min(against, key=lambda other: found[other.option].second)
        context.warn(
            f"{doubt.text}, but the images say otherwise: its activations lie "
            f"{found[best.option].first:.2f} standard deviations from what its batch normalisation expects, "
            f"and {found[best.option].second:.2f} with {best.option}: pass {best.option}, "
            f"or {doubt.present.option} if what was taken is right"
        )
    elif len(verdicts) == len(doubt.alternatives) and "open" not in verdicts.values():
        for other, verdict in verdicts.items():
            if verdict == "first":
                one = found[other.option]
                context.progress.tell(
                    f"reading  {doubt.present.option}, by the images: {one.first:.2f} standard deviations "
                    f"from what batch normalisation expects, {one.second:.2f} with {other.option}"
                )
    else:
        context.warn(doubt.warning)


def _stage(
    source: Source, preprocess: Preprocess, doubt: Doubt, images: ImageSet, context: Context
) -> Stage[dict[str, Comparison]]:
    """The present reading against each alternative, by the alternative's option; none if no image is left."""
    from edgeeff.calibration.readings import IMAGES

    spread = np.unique(np.linspace(0, len(images) - 1, min(IMAGES, len(images))).astype(int))
    few = ImageSet(tuple(images.pictures[i] for i in spread))
    present = _Reading(source, preprocess)
    others = {other.option: _reading(present, other, context) for other in doubt.alternatives}
    return Stage(
        "doubts",
        VERSION,
        TOOLS,
        facts={
            "source": source.digest,
            "model": source.identity.model,
            "images": few.digest(),
            "readings": [[option, *one.facts()] for option, one in {"": present, **others}.items()],
        },
        make=partial(_compare, present, others, few, context),
        encode=_encode,
        decode=_decode,
    )


def _compare(
    present: _Reading, others: Mapping[str, _Reading], images: ImageSet, context: Context
) -> dict[str, Comparison]:
    from edgeeff.calibration import readings

    context.progress.stage("asking the images which reading of the checkpoint fits")
    batches = [batch for batch, _ in images.batches(present.preprocess)]
    if not batches:
        return {}
    seen = present.observe(batches)
    return {option: readings.compare(seen, other.observe(batches)) for option, other in others.items()}


def _encode(found: dict[str, Comparison]) -> dict[str, bytes]:
    return {_FILE: json.dumps({option: asdict(one) for option, one in found.items()}).encode()}


def _decode(parts: Mapping[str, bytes]) -> dict[str, Comparison]:
    from edgeeff.calibration.readings import Comparison

    return {option: Comparison(**values) for option, values in json.loads(parts[_FILE]).items()}


def _reading(present: _Reading, other: Alternative, context: Context) -> _Reading:
    """What it would be with an alternative's options; a normalisation that is the user's word stays his."""
    asked, preprocess = present.source.asked, present.preprocess
    changed = replace(
        asked, model=other.model or asked.model, padding=other.padding or asked.padding, size=preprocess.size
    )
    one = identify(changed, Context(context.cache, Recorder(Silent())))
    own = present.source.identity.preprocess
    if (preprocess.mean, preprocess.std) == (own.mean, own.std):
        preprocess = replace(preprocess, mean=one.identity.preprocess.mean, std=one.identity.preprocess.std)
    return _Reading(one, preprocess)
