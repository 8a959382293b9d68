"""Where a segmenter's weights come from, and what that decides. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgeeff.preprocess import Preprocess
from edgeeff.zoo import namings, origin
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.segmentation.spec import SegmenterSpec


@dataclass(frozen=True)
class SegmenterOrigin:
    """As :class:`edgeeff.zoo.origin.Origin`, of a segmenter."""

    source: str
    conventions: SegmenterConventions
    preprocess: Preprocess
    assumed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def of(
    naming: str, spec: SegmenterSpec, said: str | None, preprocess: Mapping[str, Any], channels: int = 3
) -> SegmenterOrigin:
    """The origin of a checkpoint.

    Args:
        naming: Whose names its tensors have.
        spec: The segmenter that they are of.
        said: The encoder's name as the user, the file, its folder or its own name gives it.
        preprocess: What the file says of preprocessing; it goes before the library's habits.
        channels: Of the network's input.
    """
    found: SegmenterOrigin = namings.naming(naming).origin(spec, said)
    changed, taken, warnings = origin.taken(found.preprocess, preprocess, channels)
    settled = {option for option in ("mean", "size") if option in taken}
    kept = tuple(text for text in found.warnings if not any(f"--{option}" in text for option in settled))
    return replace(found, preprocess=changed, said=taken, warnings=(*kept, *warnings))
