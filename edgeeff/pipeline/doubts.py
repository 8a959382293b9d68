"""What neither a checkpoint nor its name tells, asked of the images before anything is built.

The likelier reading of the tensors is built in any case. The images may confirm it, and then nothing needs to
be said; they may speak for another one, and then the warning says so with both figures; where they do not
tell, or there are none, the doubt itself is the warning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from edgeeff.cache import Cache, key_of, versions
from edgeeff.images import ImageSet
from edgeeff.pipeline import steps
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Progress, Silent
from edgeeff.zoo import sources
from edgeeff.zoo.origin import Alternative
from edgeeff.zoo.sources import Asked, Identity

if TYPE_CHECKING:
    from torch import Tensor

    from edgeeff.calibration.readings import Comparison


def settle(
    asked: Asked,
    identity: Identity,
    preprocess: Preprocess,
    images: ImageSet | None,
    cache: Cache,
    progress: Progress,
) -> None:
    """Ask the images about the network's doubt, if it has one; tell what they say, or warn.

    Args:
        asked: What the user says of the network.
        identity: What is known of it.
        preprocess: As images are prepared for it.
        images: Those of the calibration; None: there are none to ask.
        cache: Where the answer is kept.
        progress: Told the answer.
    """
    doubt = identity.doubt
    if doubt is None:
        return
    found = _compared(asked, identity, preprocess, images, cache, progress) if images is not None else {}
    verdicts = {other: found[other.option].verdict for other in doubt.alternatives if other.option in found}
    against = [other for other, verdict in verdicts.items() if verdict == "second"]
    if against:
        best = min(against, key=lambda other: found[other.option].second)
        progress.warn(
            f"{doubt.text}, but the images say otherwise: its activations lie "
            f"{found[best.option].first:.2f} standard deviations from what its batch normalisation expects, "
            f"and {found[best.option].second:.2f} with {best.option}: pass {best.option}, "
            f"or {doubt.present.option} if what was taken is right"
        )
    elif len(verdicts) == len(doubt.alternatives) and "open" not in verdicts.values():
        for other, verdict in verdicts.items():
            if verdict == "first":
                one = found[other.option]
                progress.tell(
                    f"reading  {doubt.present.option}, by the images: {one.first:.2f} standard deviations "
                    f"from what batch normalisation expects, {one.second:.2f} with {other.option}"
                )
    else:
        progress.warn(doubt.warning)


def _compared(
    asked: Asked,
    identity: Identity,
    preprocess: Preprocess,
    images: ImageSet,
    cache: Cache,
    progress: Progress,
) -> dict[str, Comparison]:
    """The present reading against each alternative, by the alternative's option; none if no image is left."""
    from edgeeff.calibration.readings import IMAGES, Comparison, compare, observe

    doubt = identity.doubt
    assert doubt is not None
    spread = np.unique(np.linspace(0, len(images) - 1, min(IMAGES, len(images))).astype(int))
    few = ImageSet(tuple(images.pictures[i] for i in spread))
    readings = {
        other.option: _reading(asked, identity, preprocess, other, cache) for other in doubt.alternatives
    }
    _, digest = steps.identify(asked, cache, Silent())
    key = key_of(
        source=digest,
        model=identity.model,
        images=few.digest(),
        preprocess=preprocess.to_json(),
        readings=[
            (option, vars(one.conventions) if one.conventions else None, prepared.to_json())
            for option, (_, one, prepared) in {"": (asked, identity, preprocess), **readings}.items()
        ],
        tools=versions("edgeeff", "torch", "numpy", "pillow"),
        version=steps.VERSION,
    )
    entry = cache.get("doubts", key)
    if entry is not None:
        kept = json.loads(entry["doubts.json"])
        return {option: Comparison(**values) for option, values in kept.items()}
    progress.stage("asking the images which reading of the checkpoint fits")
    batches = [batch for batch, _ in few.batches(preprocess)]
    found: dict[str, Comparison] = {}
    if batches:
        network = sources.room(identity.kind).network

        def inputs(prepared: Preprocess) -> Iterator[Tensor]:
            import torch

            for batch in batches:
                images = torch.from_numpy(prepared.normalise(batch))
                yield images.flip(1) if asked.channels == "bgr" else images

        present = observe(network(asked, identity, preprocess.size), inputs(preprocess))
        for option, (other, one, prepared) in readings.items():
            found[option] = compare(present, observe(network(other, one, preprocess.size), inputs(prepared)))
    kept = {option: asdict(one) for option, one in found.items()}
    cache.put("doubts", key, {"doubts.json": json.dumps(kept).encode()})
    return found


def _reading(
    asked: Asked, identity: Identity, preprocess: Preprocess, other: Alternative, cache: Cache
) -> tuple[Asked, Identity, Preprocess]:
    """What it would be with an alternative's options; a normalisation that is the user's word stays his."""
    changed = replace(
        asked, model=other.model or asked.model, padding=other.padding or asked.padding, size=preprocess.size
    )
    one, _ = steps.identify(changed, cache, Silent())
    own = identity.preprocess
    if (preprocess.mean, preprocess.std) == (own.mean, own.std):
        preprocess = replace(preprocess, mean=one.preprocess.mean, std=one.preprocess.std)
    return changed, one, preprocess
