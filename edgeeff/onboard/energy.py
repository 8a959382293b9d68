"""Energy of an inference, where the machine has a meter that this process may read.

x86 counts the energy of each package (RAPL, ``/sys/class/powercap``; since Linux 5.10 for root alone), and
Jetsons measure the power of their supply (INA3221). Both hold everything that the package or board does
meanwhile, what it draws when idle included. Interleaved rounds are too short for either, so a bundle is run
alone for a while, after the times were taken.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeeff.backends.tensorrt.device.onboard import sensors as jetson
from edgeeff.onboard.sensors import number, text

#: Seconds between two readings of a monitor of power: its own average is as long.
_PAUSE = 0.05


@dataclass(frozen=True)
class Energy:
    """What an inference took.

    Args:
        millijoules: For one inference.
        watts: On average while the bundle ran.
        meter: What was read, such as ``RAPL package`` or ``INA VDD_IN``.
    """

    millijoules: float
    watts: float
    meter: str


class Meter(Protocol):
    """Something that adds up energy."""

    name: str

    def begin(self) -> bool:
        """Start at 0; whether it can be read."""

    def look(self) -> None:
        """Called between inferences."""

    def joules(self, seconds: float) -> float | None:
        """Since :meth:`begin`, so many seconds ago; None where a reading failed."""


def meter(root: Path = Path("/")) -> Meter | None:
    """The meter of this machine; None where there is none that can be read.

    Args:
        root: Where ``sys`` lies.
    """
    for found in (_Rapl(root), _Rail(root)):
        if found.begin():
            return found
    return None


def locked(root: Path = Path("/")) -> bool:
    """Whether there are counters of energy that this user may not read."""
    return _Rapl(root).locked()


def of_inference(meter: Meter, inference: Callable[[], object], seconds: float) -> Energy | None:
    """Run one bundle without a pause for so long, and at least twice; None where the meter failed."""
    if not meter.begin():
        return None
    runs, begin = 0, time.perf_counter()
    while runs < 2 or time.perf_counter() - begin < seconds:
        inference()
        meter.look()
        runs += 1
    elapsed = time.perf_counter() - begin
    joules = meter.joules(elapsed)
    if joules is None or joules <= 0:
        return None
    return Energy(joules / runs * 1e3, joules / elapsed, meter.name)


class _Rapl:
    """The counters of all packages; a counter begins again at 0 after ``max_energy_range_uj``."""

    name = "RAPL package"

    def __init__(self, root: Path) -> None:
        zones = sorted((root / "sys/class/powercap").glob("intel-rapl:*"))  # AMD's are called so too
        # The zones below a package are parts of it; intel-rapl-mmio counts the same package once more.
        named = [zone for zone in zones if re.fullmatch(r"intel-rapl:\d+", zone.name)]
        self._zones = [zone for zone in named if (text(zone / "name") or "").startswith("package")]
        self._last: list[float] = []
        self._total = 0.0

    def locked(self) -> bool:
        """Whether there are packages, and one cannot be read."""
        return bool(self._zones) and self._read() is None

    def begin(self) -> bool:
        found = self._read()
        self._last, self._total = found or [], 0.0
        return found is not None

    def look(self) -> None:
        """The counter adds up by itself; it takes longer than a measurement to come round twice."""

    def joules(self, seconds: float) -> float | None:
        now = self._read()
        if now is None:
            return None
        for zone, before, after in zip(self._zones, self._last, now):  # noqa: B905 (3.8)
            turn = 0.0 if after >= before else number(zone / "max_energy_range_uj")
            if turn is None:
                return None
            self._total += (after - before + turn) / 1e6
        self._last = now
        return self._total

    def _read(self) -> list[float] | None:
        found = [number(zone / "energy_uj") for zone in self._zones]
        whole = [value for value in found if value is not None]
        return whole if whole and len(whole) == len(found) else None


class _Rail:
    """The rail that a whole board draws through: its power, read again and again, times the time."""

    def __init__(self, root: Path) -> None:
        found = jetson.rails(root)
        total = jetson.total(found)
        self._rail = next((rail for rail in found if rail.label == total), None)
        self.name = f"INA {total}"
        self._watts: list[float] = []
        self._looked = 0.0

    def begin(self) -> bool:
        self._watts, self._looked = [], 0.0
        return self._rail is not None and self._rail.watts() is not None

    def look(self) -> None:
        now = time.perf_counter()
        if self._rail is not None and now - self._looked >= _PAUSE:
            self._looked = now
            watts = self._rail.watts()
            self._watts += [] if watts is None else [watts]

    def joules(self, seconds: float) -> float | None:
        return sum(self._watts) / len(self._watts) * seconds if self._watts else None
