# tests/plugin/edgeeff_ortcpu/ourtrainer.py
"""The naming of ``ourtrainer``, which counts blocks by stage: ``stage2.1.dw.bn.weight``."""

from __future__ import annotations

import re

from edgeeff.zoo.architecture import Architecture
from edgeeff.zoo.conventions import TORCH
from edgeeff.zoo.namings._places import block_at, nowhere
from edgeeff.zoo.origin import Origin
from edgeeff.zoo.spec import ModelSpec

_LAYERS = {
    "entry.conv": "stem.conv",
    "entry.bn": "stem.norm",
    "pw.conv": "expand.conv",
    "pw.bn": "expand.norm",
    "dw.conv": "depthwise.conv",
    "dw.bn": "depthwise.norm",
    "se.down": "squeeze.reduce",
    "se.up": "squeeze.expand",
    "out.conv": "project.conv",
    "out.bn": "project.norm",
    "top.conv": "head.conv",
    "top.bn": "head.norm",
    "top.fc": "classifier",
}
_KEY = re.compile(r"(?:stage(?P<stage>\d+)\.(?P<block>\d+)\.)?(?P<layer>\w+(?:\.\w+)?)\.(?P<part>\w+)")


def translate(key: str, architecture: Architecture) -> str | None:
    """Our name of ``stage2.1.dw.bn.weight`` and the like."""
    match = _KEY.fullmatch(key)
    layer = _LAYERS.get(match["layer"]) if match else None
    if match is None or layer is None:
        return None
    if match["stage"] is None:
        return f"{layer}.{match['part']}"
    found = block_at(architecture, int(match["stage"]), int(match["block"]))
    return f"blocks.{found[0]}.{layer}.{match['part']}" if found else nowhere(key)


def origin(spec: ModelSpec, said: str | None) -> Origin:
    """Symmetric padding, torch's epsilon, the authors' preprocessing."""
    return Origin("ourtrainer", TORCH, spec.preprocess())
