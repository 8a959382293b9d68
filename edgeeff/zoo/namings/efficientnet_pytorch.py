"""The naming of ``efficientnet_pytorch``, which is also that of ``efficientnet_lite_pytorch``."""

from __future__ import annotations

import re

from edgeeff.zoo.architecture import Architecture

_NETWORK = {
    "_conv_stem": "stem.conv",
    "_bn0": "stem.norm",
    "_conv_head": "head.conv",
    "_bn1": "head.norm",
    "_fc": "classifier",
}
_BLOCK = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_se_reduce": "squeeze.reduce",
    "_se_expand": "squeeze.expand",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}
_KEY = re.compile(r"(?:_blocks\.(?P<block>\d+)\.)?(?P<layer>_\w+)\.(?P<part>\w+)")


def translate(key: str, architecture: Architecture) -> str | None:
    """Our name of ``_blocks.3._bn1.weight`` and the like."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    block, part = match["block"], match["part"]
    layer = (_NETWORK if block is None else _BLOCK).get(match["layer"])
    if layer is None:
        return None
    return f"{layer}.{part}" if block is None else f"blocks.{block}.{layer}.{part}"
