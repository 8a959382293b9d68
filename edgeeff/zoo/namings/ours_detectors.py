"""The naming of our own detectors."""

from __future__ import annotations

import re

from edgeeff.zoo.detection.architecture import BOX_HEAD, CLASS_HEAD, DetectorArchitecture
from edgeeff.zoo.detection.origin import DetectorOrigin
from edgeeff.zoo.detection.spec import DetectorSpec
from edgeeff.zoo.namings import ours
from edgeeff.zoo.namings._places import UNNEEDED

DETECTOR = True
_BACKBONE = "backbone."
_PYRAMID = (
    r"pyramid\.(?:coarser\.\w+\.project\.(?:conv|norm)|cells\.\d+\.\w+\."
    r"(?:inputs\.\d+\.project\.(?:conv|norm)|depthwise|pointwise|norm))\.\w+"
    r"|pyramid\.cells\.\d+\.\w+\.weights"
)
_HEADS = (
    rf"(?:{CLASS_HEAD}|{BOX_HEAD})\."
    r"(?:(?:convs\.\d+|predict)\.(?:depthwise|pointwise)|norms\.\d+\.\w+)\.\w+"
)
_KEY = re.compile(f"{_PYRAMID}|{_HEADS}")


def translate(key: str, architecture: DetectorArchitecture) -> str | None:
    """The key itself, if it is one of ours."""
    if key.startswith(_BACKBONE):
        found = ours.translate(key[len(_BACKBONE) :], architecture.backbone)
        return f"{_BACKBONE}{found}" if found else found
    if _KEY.fullmatch(key) is None:
        return None
    return "" if key.endswith(UNNEEDED) else key


def origin(spec: DetectorSpec, said: str | None) -> DetectorOrigin:
    """The conventions and the preprocessing of the network's authors."""
    return DetectorOrigin(
        source="edgeeff",
        conventions=spec.conventions,
        preprocess=spec.preprocess(),
        geometry=spec.geometry(),
    )
