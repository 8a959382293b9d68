"""The naming of our own networks."""

from __future__ import annotations

import re

from edgeeff.zoo.architecture import Architecture
from edgeeff.zoo.conventions import EDGETPU, TENSORFLOW
from edgeeff.zoo.namings._places import HEAD, UNNEEDED, in_head
from edgeeff.zoo.origin import Origin
from edgeeff.zoo.spec import ModelSpec

_KEY = re.compile(
    r"(?:(?:stem|head|blocks\.\d+\.(?:expand|depthwise|project))\.(?:conv\.weight|norm\.\w+)"
    r"|blocks\.\d+\.squeeze\.(?:reduce|expand)\.(?:weight|bias)"
    r"|hidden\.\d+\.(?:weight|bias))"
    rf"|classifier{HEAD}"
)


def translate(key: str, architecture: Architecture) -> str | None:
    """The key itself, if it is one of ours."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    if match["head_part"]:
        return in_head(match["head"], match["head_part"])
    return "" if key.endswith(UNNEEDED) else key


def origin(spec: ModelSpec, said: str | None) -> Origin:
    """The conventions and the preprocessing of the network's authors."""
    conventions = EDGETPU if spec.name.startswith("edgetpu") else TENSORFLOW
    return Origin("edgeeff", conventions, spec.preprocess())
