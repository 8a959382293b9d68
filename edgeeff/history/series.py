"""What makes one trend: the same board, processor and runtimes, set the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeeff.harness import device_class


def series(environment: Mapping[str, Any]) -> str:
    """SHA-256 of what of an environment may not differ within a trend: its device class, with all runtimes.

    Stored runs have the digest of the same facts by these names, and without ``gpu``.
    """
    facts = device_class.facts(environment)
    facts["versions"] = facts.pop("runtimes")
    del facts["gpu"]
    return device_class.digest(facts)


def device(environment: Mapping[str, Any]) -> str:
    """What a device is called: its board, else its processor."""
    return str(environment.get("board") or environment.get("cpu") or environment.get("architecture") or "")
