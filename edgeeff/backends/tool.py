"""What a runtime's own benchmark is asked, and what it answers: the contract of a runtime's ``tool`` part.

A runtime's ``tool.py`` has ``NAME``; ``command``, which gives the command line that measures an artifact as
``edgeeff bench`` does; and ``read``, which gives what it found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeeff.target import InputType


@dataclass(frozen=True)
class Asked:
    """One run of a tool.

    Args:
        folder: The bundle.
        properties: Of its runtime.
        input_type: Of its artifact.
        images: In a run.
        dynamic: Whether the artifact takes another number of images too.
        threads: Of the runtime.
        seconds: To measure.
        runs: That take about so long.
        into: An empty folder that the tool may write into.
    """

    folder: Path
    properties: Mapping[str, str]
    input_type: InputType
    images: int
    dynamic: bool
    threads: int
    seconds: float
    runs: int
    into: Path


@dataclass(frozen=True)
class Reading:
    """What a tool found: of a run, milliseconds of wall time."""

    median_ms: float
    least_ms: float
