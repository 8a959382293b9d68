"""What a figure needs beside it: the processor, its clock's settings, and the versions that ran.

Nothing here imports a runtime. What cannot be read (no ``/proc``, no ``cpufreq`` in a virtual machine) is
None, never guessed. ``edgeeff.harness.machine`` describes this machine by it, and the agent its board.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import time
from collections.abc import Collection
from importlib import metadata
from pathlib import Path
from typing import Any

from edgeeff.backends.tensorrt.device.onboard import hardware
from edgeeff.backends.tensorrt.device.onboard import sensors as jetson
from edgeeff.onboard.sensors import number, read, text

# Flags of /proc/cpuinfo that decide which kernels a runtime picks, x86 ("flags") and ARM ("Features").
_TELLING_FLAGS = (
    *("sse4_1", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl"),
    *("avx_vnni", "avx512_vnni", "avx_vnni_int8", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme"),
)


def describe(root: Path, versions: dict[str, str]) -> dict[str, Any]:
    """A machine now, by the fields of ``edgeeff.harness.machine.Machine``.

    Args:
        root: Where ``proc`` and ``sys`` lie.
        versions: Of what is installed, as :func:`installed` has them.
    """
    cpuinfo = _cpuinfo(root)
    present = _flags(cpuinfo)
    load = text(root / "proc/loadavg")
    return {
        "cpu": cpuinfo.get("model name") or cpuinfo.get("Model") or platform.processor() or None,
        "board": text(root / "proc/device-tree/model"),
        "architecture": platform.machine(),
        "cpu_class": cpu_class(present),
        "flags": [flag for flag in _TELLING_FLAGS if flag in present],
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "governor": text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "turbo": _turbo(root),
        "load_average": [float(field) for field in load.split()[:3]] if load else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def cpu_class(flags: Collection[str] | None = None, architecture: str | None = None) -> str:
    """The class of processor that a hub graph is made for: ``vnni``, ``bf16``, ``avx2`` or ``arm``.

    Args:
        flags: Instruction sets, as ``/proc/cpuinfo`` names them; this machine's where None.
        architecture: As ``platform.machine`` names it; this machine's where None.
    """
    architecture = (architecture or platform.machine()).lower()
    if architecture not in ("x86_64", "amd64", "i386", "i686"):
        return "arm"
    present = set(_flags(_cpuinfo(Path("/"))) if flags is None else flags)
    if not present & {"avx_vnni", "avx512_vnni"}:
        return "avx2"
    return "bf16" if present & {"avx512_bf16", "amx_bf16"} else "vnni"


def installed(modules: Collection[str], runtimes: Collection[str], more: Collection[str]) -> dict[str, str]:
    """The version of each installed distribution that brings one of these modules, and of those named.

    They are found by their modules: those that a distribution's record names, and those that bear a runtime's
    name (``tensorrt_lean`` of a device).

    Args:
        modules: That runtimes need.
        runtimes: Their names.
        more: Distributions whose version is wanted anyway.
    """
    wanted = set(more)
    these, names = ("|".join(map(re.escape, sorted(found))) for found in (modules, runtimes))
    telling = re.compile(rf"^(?:{these}|(?:{names})_\w+)(?:[/.]|$)", re.MULTILINE)
    # metadata.packages_distributions parses all that every distribution says of itself: most of a second.
    for distribution in metadata.distributions():
        listed = distribution.read_text("top_level.txt") or distribution.read_text("RECORD") or ""
        if telling.search(listed):
            wanted.add(distribution.metadata["Name"])
    versions = {}
    for name in sorted(filter(None, wanted)):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # edgeeff run from a checkout that is not installed
    return versions


def now(folder: Path, root: Path = Path("/")) -> dict[str, Any]:
    """What of a board changes from hour to hour, or says what it is without deciding about figures.

    Args:
        folder: Whose disk is asked for its free space.
        root: Where ``proc``, ``sys`` and ``etc`` lie.
    """
    memory = dict(_kilobytes(line) for line in (text(root / "proc/meminfo") or "").splitlines())
    nearest = next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))
    disk = shutil.disk_usage(str(nearest))
    uptime = (text(root / "proc/uptime") or "").split()[:1]
    return {
        "utc": time.time(),
        "l4t": hardware.l4t_release(root / "etc/nv_tegra_release") or None,
        "power_mode": jetson.power_mode() if root == Path("/") else None,
        "temperatures_c": dict(read(root).temperatures_c),
        "memory_bytes": memory.get("MemTotal"),
        "memory_free_bytes": memory.get("MemAvailable"),
        "disk_bytes": disk.total,
        "disk_free_bytes": disk.free,
        "uptime_s": float(uptime[0]) if uptime else None,
        "limit_mhz": _megahertz(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq"),
    }


def _kilobytes(line: str) -> tuple[str, int | None]:
    """A line of /proc/meminfo: its name, and bytes."""
    name, _, value = line.partition(":")
    digits = value.split()[:1]
    return name, int(digits[0]) * 1024 if digits and digits[0].isdigit() else None


def _megahertz(path: Path) -> float | None:
    found = number(path)
    return None if found is None else found / 1e3


def _cpuinfo(root: Path) -> dict[str, str]:
    """The fields of /proc/cpuinfo; the first of each name, since the processors of one machine agree."""
    fields: dict[str, str] = {}
    for line in (text(root / "proc/cpuinfo") or "").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), value.strip())
    return fields


def _flags(cpuinfo: dict[str, str]) -> frozenset[str]:
    return frozenset((cpuinfo.get("flags") or cpuinfo.get("Features") or "").split())


def _turbo(root: Path) -> bool | None:
    no_turbo = text(root / "sys/devices/system/cpu/intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == "0"
    boost = text(root / "sys/devices/system/cpu/cpufreq/boost")
    return None if boost is None else boost == "1"
