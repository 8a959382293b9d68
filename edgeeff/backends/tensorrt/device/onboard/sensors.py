"""What a Jetson's kernel tells of power, clocks and temperatures; what it does not tell is None.

Every function takes the root that ``sys``, ``proc`` and the rest lie below, so that a test can lay one out.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path("/")

#: Rails that a whole board or module draws through (VDD_IN: Orin Nano, Orin NX, Xavier NX; POM_5V_IN: Nano;
#: VIN: Thor). AGX Orin and AGX Xavier have none: their VIN_SYS_5V0, VDD_GPU_SOC and the like are parts, some
#: of them parts of each other, and a sum would count twice or leave something out.
TOTALS = ("VDD_IN", "POM_5V_IN", "VIN")


_OFF = -60e3  # millidegrees; Tegra's zones that are switched off say -256 degrees


class Rail(NamedTuple):
    """One channel of an INA monitor: its label, and the files of its millivolts and milliamperes."""

    label: str
    millivolts: Path
    milliamperes: Path

    def watts(self) -> float | None:
        """Now; None where the sensor does not answer."""
        volts, amperes = _number(self.millivolts), _number(self.milliamperes)
        # A rail that carries nothing reads as noise on both sides of it.
        return None if volts is None or amperes is None else max(0.0, volts * amperes / 1e6)


def rails(root: Path = ROOT) -> list[Rail]:
    """The labelled channels of the INA3221 (Thor: and INA238) monitors, as hwmon shows them."""
    found = []
    for chip in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        if not (_text(chip / "name") or "").startswith("ina"):
            continue
        for label in sorted(chip.glob("in*_label")):
            name, number = _text(label), label.name[len("in") : -len("_label")]
            rail = Rail(name or "", chip / f"in{number}_input", chip / f"curr{number}_input")
            # The INA3221's further channels are sums and shunt voltages; an unconnected one is NC.
            if rail.label not in ("", "NC") and rail.milliamperes.is_file() and rail.millivolts.is_file():
                found.append(rail)
    return found


def total(found: list[Rail]) -> str | None:
    """The label of the one rail that everything is drawn through."""
    return next((name for name in TOTALS if any(rail.label == name for rail in found)), None)


def conditions(root: Path = ROOT) -> dict[str, Any]:
    """What a figure of latency or power depends on, at this moment."""
    return {
        "gpu_hz": gpu_clock(root),
        "emc_hz": _number(root / "sys/kernel/debug/bpmp/debug/clk/emc/rate"),
        "temperatures_c": temperatures(root),
    }


def gpu_clock(root: Path = ROOT) -> dict[str, float] | None:
    """Current, least and greatest frequency of the GPU, Hz; least equals greatest after jetson_clocks."""
    for folder in sorted((root / "sys/class/devfreq").glob("*")):
        # 17000000.gpu on Orin, 17000000.gv11b and .ga10b on older kernels, gpu-gpc-0 on Thor.
        if re.search(r"\.(gpu|g[vap]1\db)$|^gpu-gpc", folder.name):
            found = {name: _number(folder / f"{name}_freq") for name in ("cur", "min", "max")}
            if None not in found.values():
                return {name: float(value or 0) for name, value in found.items()}
    return None


def pinned(clock: dict[str, float] | None) -> bool | None:
    """Whether jetson_clocks holds the GPU at one frequency."""
    return None if clock is None else clock["min"] == clock["max"]


def temperatures(root: Path = ROOT) -> dict[str, float]:
    """Of each thermal zone that answers, degrees Celsius."""
    found = {}
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        name, value = _text(zone / "type"), _number(zone / "temp")
        if name and value is not None and value > _OFF:
            found[name] = value / 1e3
    return found


def power_mode(command: str = "nvpmodel") -> str | None:
    """What ``nvpmodel -q`` calls the power mode: MAXN, 15W …"""
    try:
        done = subprocess.run(
            [command, "-q"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"NV Power Mode:\s*(\S+)", done.stdout.decode("utf-8", "replace"))
    return found.group(1) if found else None


def board(root: Path = ROOT) -> str | None:
    """The board's name, from the device tree, else its graphics card's, from the driver."""
    name = _text(root / "proc/device-tree/model")
    if name:
        return name
    for card in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        found = re.search(r"^Model:\s*(.+)$", _text(card) or "", re.MULTILINE)
        if found:
            return found.group(1).strip()
    return None


def _number(path: Path) -> float | None:
    try:
        return float(_text(path) or "")
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:  # a zone or rail that is switched off answers with an error
        return None
