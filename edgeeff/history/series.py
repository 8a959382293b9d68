"""What makes one trend: the same board, processor and runtimes, set the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeeff import digests

#: What decides about figures; no load, no temperature, no clock that was read: these differ each time.
FACTS = ("board", "cpu", "architecture", "flags", "cores", "usable_cores", "governor", "turbo")
#: Of a GPU, where a report names it.
GPU = ("compute_capability",)
#: Installed beside the runtimes; a new version of these is what a trend is to show.
_NO_RUNTIMES = ("edgeeff", "numpy")


def series(environment: Mapping[str, Any]) -> str:
    """SHA-256 of what of an environment may not differ within a trend."""
    versions = environment.get("versions")
    runtimes = dict(versions) if isinstance(versions, Mapping) else {}
    kept = {name: environment.get(name) for name in FACTS}
    kept |= {name: environment[name] for name in GPU if name in environment}
    kept["versions"] = {name: text for name, text in runtimes.items() if name not in _NO_RUNTIMES}
    return digests.of_json(kept)


def device(environment: Mapping[str, Any]) -> str:
    """What a device is called: its board, else its processor."""
    return str(environment.get("board") or environment.get("cpu") or environment.get("architecture") or "")
