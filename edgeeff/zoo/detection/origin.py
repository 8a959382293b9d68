"""Where a detector's weights come from, and what that decides. Imports no torch.

As :mod:`edgeeff.zoo.origin`, with what detectors have beside: anchors, a letterbox, and how their library
counts classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgeeff.detection.geometry import Geometry
from edgeeff.preprocess import Preprocess
from edgeeff.zoo import namings, origin
from edgeeff.zoo.detection.conventions import DetectorConventions
from edgeeff.zoo.detection.spec import DetectorSpec


@dataclass(frozen=True)
class DetectorOrigin:
    """What a checkpoint's source decides.

    Args:
        source: The library and, where it is known, the variant: shown at every build.
        conventions: Padding and batch normalisation's epsilon.
        preprocess: As the source evaluates it, at its own size.
        geometry: Its anchors, at that size.
        offset: What the library adds to a class's place in the head where it reports classes itself: effdet
            and automl count from 1. Our class ids are places.
        assumed: What was assumed, since the file does not say; a sentence each.
        warnings: What of that may well be wrong: a sentence each, which the user must not miss.
        said: What of the preprocessing the checkpoint itself says: names of fields.
        notes: What was chosen, read or left out of it; a phrase each.
    """

    source: str
    conventions: DetectorConventions
    preprocess: Preprocess
    geometry: Geometry
    offset: int = 0
    assumed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def of(
    naming: str, spec: DetectorSpec, said: str | None, preprocess: Mapping[str, Any], channels: int = 3
) -> DetectorOrigin:
    """The origin of a checkpoint.

    Args:
        naming: Whose names its tensors have.
        spec: The detector that they are of; its ``biases`` are those that the checkpoint has.
        said: The variant's name as the user, the file, its folder or its own name gives it.
        preprocess: What the file says of preprocessing: ``size``, ``mean``, ``std`` and ``interpolation`` go
            before the library's habits. A letterbox in the mean colour stays in the mean colour.
        channels: Of the network's input.
    """
    found: DetectorOrigin = namings.naming(naming).origin(spec, said)
    known = {name: value for name, value in preprocess.items() if name not in ("crop", "squash")}
    own = found.preprocess
    told, taken, warnings = origin.taken(own, known, channels)
    if "letterbox" in taken:
        pass  # the file says it
    elif own.letterbox == own.mean:
        told = replace(told, letterbox=told.mean)
    elif own.letterbox is not None:
        told = replace(told, letterbox=origin.for_channels(replace(own, mean=own.letterbox), channels).mean)
    return replace(
        found,
        preprocess=told,
        geometry=replace(found.geometry, size=told.size),
        said=taken,
        warnings=(*found.warnings, *warnings),
    )
