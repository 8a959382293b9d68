"""The clock, the heat and the load that figures are taken under, as Linux shows them below ``/sys``.

What cannot be read is None or left out, never guessed: a virtual machine shows none of it. Read in the
process that measures, right before and right after it does: an idle processor lowers its clock at once.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeeff.backends.tensorrt.device.onboard import sensors as jetson

#: Cooling devices that take away speed; fans do not.
_SLOWING = re.compile(r"Processor|cpufreq|devfreq|powerclamp", re.IGNORECASE)
#: What the Raspberry Pi's firmware says of now (its documentation, get_throttled); 16 bits above, of ever.
_PI_FLAGS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}


@dataclass(frozen=True)
class Conditions:
    """A machine at one moment.

    Args:
        cpu_mhz: The clock of each processor that tells it.
        limit_mhz: The highest clock that the kernel now allows, of the fastest processor.
        gpu_mhz: Of a Jetson's GPU.
        temperatures_c: Of each thermal zone and processor sensor, by its name.
        throttled: How often each counter says that the processor was slowed; they only ever rise.
        limits: What slows it at this moment.
        measures_throttling: Whether anything here would say that it is slowed.
    """

    cpu_mhz: tuple[float, ...] | None = None
    limit_mhz: float | None = None
    gpu_mhz: float | None = None
    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    throttled: Mapping[str, int] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    measures_throttling: bool = False

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        clocks = None if self.cpu_mhz is None else list(self.cpu_mhz)
        return {**asdict(self), "cpu_mhz": clocks, "limits": list(self.limits)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Conditions:
        """From :meth:`to_json`."""
        clocks = data["cpu_mhz"]
        return cls(
            **{**data, "cpu_mhz": None if clocks is None else tuple(clocks), "limits": tuple(data["limits"])}
        )

    def unreadable(self) -> list[str]:
        """What cannot be read here, in words."""
        missing = {
            "CPU frequency": self.cpu_mhz is None,
            "temperature": not self.temperatures_c,
            "throttling": not self.measures_throttling,
        }
        return [name for name, absent in missing.items() if absent]


def read(root: Path = Path("/")) -> Conditions:
    """The conditions now.

    Args:
        root: Where ``sys`` lies.
    """
    cpus = root / "sys/devices/system/cpu"
    clocks = [value for path in _each(cpus, "cpu[0-9]*/cpufreq/scaling_cur_freq") if (value := number(path))]
    limits = [value for path in _each(cpus, "cpu[0-9]*/cpufreq/scaling_max_freq") if (value := number(path))]
    gpu = jetson.gpu_clock(root)
    throttled, states = _throttled(root), _cooling(root)
    pi = _pi(root)
    if pi is not None:
        states.update({f"firmware: {name}": float(pi >> bit & 1) for bit, name in _PI_FLAGS.items()})
        throttled.update({f"firmware: {name}": pi >> (bit + 16) & 1 for bit, name in _PI_FLAGS.items()})
    return Conditions(
        cpu_mhz=tuple(clock / 1e3 for clock in clocks) or None,
        limit_mhz=max(limits) / 1e3 if limits else None,
        gpu_mhz=None if gpu is None else gpu["cur"] / 1e6,
        temperatures_c={**jetson.temperatures(root), **_processor_sensors(root)},
        throttled=throttled,
        limits=tuple(f"{name} ({state:.0f})" for name, state in states.items() if state > 0),
        measures_throttling=bool(throttled or states),
    )


def _throttled(root: Path) -> dict[str, int]:
    """Counters of x86 (of a package each of its processors shows the same), and of a Jetson's rails."""
    found = {}
    for name, together in (("core_throttle_count", sum), ("package_throttle_count", max)):
        paths = _each(root / "sys/devices/system/cpu", f"cpu[0-9]*/thermal_throttle/{name}")
        counts = [int(value) for path in paths if (value := number(path)) is not None]
        if counts:
            found[name] = together(counts)
    for path in _each(root / "sys/class/hwmon", "hwmon*/oc*_event_cnt"):
        if (value := number(path)) is not None:
            found[path.name] = found.get(path.name, 0) + int(value)
    return found


def _cooling(root: Path) -> dict[str, float]:
    """The state of each cooling device that takes away speed; 0 does nothing."""
    found: dict[str, float] = {}
    for folder in _each(root / "sys/class/thermal", "cooling_device*"):
        kind, state = text(folder / "type"), number(folder / "cur_state")
        if kind and state is not None and _SLOWING.search(kind):
            found[kind] = max(state, found.get(kind, 0.0))
    return found


def _pi(root: Path) -> int | None:
    for path in _each(root / "sys/devices/platform", "*/*firmware*/get_throttled"):
        if re.fullmatch(r"(0x)?[0-9a-fA-F]{1,8}", shown := text(path) or ""):
            return int(shown, 16)
    return None


def _processor_sensors(root: Path) -> dict[str, float]:
    """The hottest reading of each processor's own sensors (Intel: coretemp, AMD: k10temp), °C."""
    found: dict[str, float] = {}
    for folder in _each(root / "sys/class/hwmon", "hwmon*"):
        name = text(folder / "name")
        if name not in ("coretemp", "k10temp", "zenpower"):
            continue
        values = [value for path in _each(folder, "temp*_input") if (value := number(path)) is not None]
        if values:
            found[name] = max(found.get(name, -273.0), max(values) / 1e3)
    return found


@dataclass(frozen=True)
class Busy:
    """How many processors' worth of time the whole machine has spent, and this process, by a moment."""

    wall: float
    own: float
    all: float | None

    @classmethod
    def now(cls, root: Path = Path("/")) -> Busy:
        """At this moment; time that a hypervisor gave to others is spent too."""
        first = (text(root / "proc/stat") or "").splitlines()[:1]
        fields = first[0].split() if first else []
        spent = None
        if len(fields) >= 9 and fields[0] == "cpu" and all(f.isdecimal() for f in fields[1:9]):
            ticks = [int(f) for f in fields[1:9]]
            spent = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # but idle and waiting
        return cls(time.perf_counter(), time.process_time(), spent)

    def others_since(self, begin: Busy) -> float | None:
        """How many processors other programs kept busy since then; None where the kernel does not say."""
        if self.all is None or begin.all is None or self.wall <= begin.wall:
            return None
        return max(0.0, (self.all - begin.all - (self.own - begin.own)) / (self.wall - begin.wall))


@dataclass(frozen=True)
class Around:
    """What a launch was measured under.

    Args:
        before: As it began to measure.
        after: As it ended.
        others: How many processors other programs kept busy meanwhile; None where the kernel does not say.
    """

    before: Conditions
    after: Conditions
    others: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"before": self.before.to_json(), "after": self.after.to_json(), "others": self.others}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Around:
        """From :meth:`to_json`."""
        before, after = (Conditions.from_json(data[key]) for key in ("before", "after"))
        return cls(before, after, data["others"])


def _each(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern)) if folder.is_dir() else []


def number(path: Path) -> float | None:
    """What a file below ``/sys`` holds; None where it is no number, or cannot be read."""
    try:
        return float(text(path) or "")
    except ValueError:
        return None


def text(path: Path) -> str | None:
    """What a file below ``/proc`` or ``/sys`` holds; None where that is nothing, or it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None
