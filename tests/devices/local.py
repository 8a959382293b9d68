"""A board that is this machine: commands run as local processes, in an environment of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeeff.errors import DeviceError, EdgeeffError


@dataclass
class Local:
    """A transport without a network.

    Args:
        home: Of the store.
        environment: Variables beside those of this process.
    """

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    closed: int = 0

    def command(self, argv: Sequence[str]) -> list[str]:
        lock = str(self.home.parent / "measuring.lock")
        own = {"EDGEEFF_HOME": str(self.home), "EDGEEFF_LOCK": lock, **self.environment}
        return ["env", *(f"{name}={value}" for name, value in own.items()), *argv]

    def explain(self, returncode: int, stderr: str) -> EdgeeffError:
        return DeviceError(f"ended with {returncode}: {stderr.strip()[-500:]}", mend="look at the test")

    def close(self) -> None:
        self.closed += 1


PYTHON = os.environ.get("EDGEEFF_TEST_PYTHON", sys.executable)
