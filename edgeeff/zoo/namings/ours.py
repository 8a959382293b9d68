"""The naming of our own networks."""

from __future__ import annotations

import re

from edgeeff.zoo.architecture import Architecture

_KEY = re.compile(
    r"(stem|head|blocks\.\d+\.(expand|depthwise|project))\.(conv\.weight|norm\.\w+)"
    r"|blocks\.\d+\.squeeze\.(reduce|expand)\.(weight|bias)"
    r"|classifier\.(weight|bias)"
)


def translate(key: str, architecture: Architecture) -> str | None:
    """The key itself, if it is one of ours."""
    return key if _KEY.fullmatch(key) else None
