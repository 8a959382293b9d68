"""The naming of our own segmenters."""

from __future__ import annotations

import re

from edgeeff.zoo.architecture import Architecture
from edgeeff.zoo.namings import ours
from edgeeff.zoo.namings._places import UNNEEDED
from edgeeff.zoo.segmentation.origin import SegmenterOrigin
from edgeeff.zoo.segmentation.spec import SegmenterSpec

SEGMENTER = True
_BACKBONE = "backbone."
_NORMALISED = (
    r"project|refine|reduce|fuse|pyramid\.(?:convs\.\d+|pooled|project)|blocks\.\d+\.(?:first|second)"
)
_PLAIN = r"gate|coarse|fine\.\d+|predict|blocks\.\d+\.(?:before|after)\.(?:reduce|expand|pixels)"
_KEY = re.compile(rf"decoder\.(?:(?:{_NORMALISED})\.(?:depthwise|conv|norm)|{_PLAIN})\.\w+")


def translate(key: str, architecture: Architecture) -> str | None:
    """The key itself, if it is one of ours."""
    if key.startswith(_BACKBONE):
        found = ours.translate(key[len(_BACKBONE) :], architecture)
        return f"{_BACKBONE}{found}" if found else found
    if _KEY.fullmatch(key) is None:
        return None
    return "" if key.endswith(UNNEEDED) else key


def origin(spec: SegmenterSpec, said: str | None) -> SegmenterOrigin:
    """The conventions and the preprocessing of the encoder's authors."""
    return SegmenterOrigin("edgeeff", spec.conventions, spec.preprocess())
