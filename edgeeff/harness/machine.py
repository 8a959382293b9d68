"""What a figure needs beside it: the processor, its clock's settings, and the versions that ran.

Nothing here imports a runtime. What cannot be read (no ``/proc``, no ``cpufreq`` in a virtual machine) is
None, never guessed.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from edgeeff.backends import RUNTIMES, runtime, runtime_names
from edgeeff.target import CpuClass

# Flags of /proc/cpuinfo that decide which kernels a runtime picks, x86 ("flags") and ARM ("Features").
_TELLING_FLAGS = (
    *("sse4_1", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl"),
    *("avx_vnni", "avx512_vnni", "avx_vnni_int8", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme"),
)


@dataclass(frozen=True)
class Machine:
    """A machine at one moment.

    Args:
        cpu: The processor's name.
        board: The board's name, from the device tree (Jetson, Raspberry Pi).
        architecture: Such as ``x86_64`` or ``aarch64``.
        cpu_class: See :func:`cpu_class`.
        flags: Those of its instruction sets that decide about kernels.
        cores: Logical processors of the machine.
        usable_cores: Those that this process may run on.
        governor: What sets the clock: ``performance`` measures best.
        turbo: Whether the clock may rise above its nominal figure.
        load_average: Over the last 1, 5 and 15 minutes.
        system: Operating system and kernel.
        python: Python's version.
        versions: Version of each installed distribution that brings a runtime, of numpy and of edgeeff.
    """

    cpu: str | None
    board: str | None
    architecture: str
    cpu_class: CpuClass
    flags: tuple[str, ...]
    cores: int | None
    usable_cores: int | None
    governor: str | None
    turbo: bool | None
    load_average: tuple[float, float, float] | None
    system: str
    python: str
    versions: dict[str, str]

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Machine:
        """From :meth:`to_json`, or from what a board says of itself; what it does not say is not known."""
        flags = tuple(map(str, facts.get("flags") or ()))
        architecture, load = str(facts.get("architecture") or ""), facts.get("load_average")
        return cls(
            cpu=facts.get("cpu"),
            board=facts.get("board"),
            architecture=architecture,
            cpu_class=facts.get("cpu_class") or cpu_class(flags, architecture),
            flags=flags,
            cores=facts.get("cores"),
            usable_cores=facts.get("usable_cores"),
            governor=facts.get("governor"),
            turbo=facts.get("turbo"),
            load_average=None if load is None else tuple(load),
            system=str(facts.get("system") or ""),
            python=str(facts.get("python") or ""),
            versions=dict(facts.get("versions") or {}),
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        data = asdict(self)
        data["flags"] = list(self.flags)
        data["load_average"] = list(self.load_average) if self.load_average else None
        return data


def describe(root: Path = Path("/")) -> Machine:
    """This machine, now.

    Args:
        root: Where ``proc`` and ``sys`` lie.
    """
    cpuinfo = _cpuinfo(root)
    flags = _flags(cpuinfo)
    load = _read(root / "proc/loadavg")
    return Machine(
        cpu=cpuinfo.get("model name") or cpuinfo.get("Model") or platform.processor() or None,
        board=_read(root / "proc/device-tree/model"),
        architecture=platform.machine(),
        cpu_class=cpu_class(flags),
        flags=tuple(flag for flag in _TELLING_FLAGS if flag in flags),
        cores=os.cpu_count(),
        usable_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        governor=_read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        turbo=_turbo(root),
        load_average=_load(load) if load else None,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=runtime_versions(),
    )


def cpu_class(flags: Collection[str] | None = None, architecture: str | None = None) -> CpuClass:
    """The class of processor that a hub graph is made for.

    ``vnni`` has INT8 dot products that do not saturate in 16 bits, so weights may use all 8 bits;
    ``bf16`` has these and bfloat16 arithmetic; ``avx2`` is every other x86; ``arm`` every other processor.

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


def runtime_versions() -> dict[str, str]:
    """The version of each installed distribution that brings a runtime or adds one, of numpy and of edgeeff.

    A runtime's distributions are found by its modules: those that its record names, and those that bear its
    name (``tensorrt_lean`` of a device).
    """
    names = runtime_names()
    required = frozenset[str]().union(*(runtime(name).modules for name in names))
    wanted = {"edgeeff", "numpy", *(p.distribution for name in names if (p := RUNTIMES.plugin(name)))}
    modules, runtimes = ("|".join(map(re.escape, sorted(found))) for found in (required, names))
    telling = re.compile(rf"^(?:{modules}|(?:{runtimes})_\w+)(?:[/.]|$)", re.MULTILINE)
    # metadata.packages_distributions parses all that every distribution says of itself: most of a second.
    for distribution in metadata.distributions():
        listed = distribution.read_text("top_level.txt") or distribution.read_text("RECORD") or ""
        if telling.search(listed):
            wanted.add(distribution.metadata["Name"])
    versions = {}
    for name in sorted(wanted):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # edgeeff run from a checkout that is not installed
    return versions


def _cpuinfo(root: Path) -> dict[str, str]:
    """The fields of /proc/cpuinfo; the first of each name, since the processors of one machine agree."""
    fields: dict[str, str] = {}
    for line in (_read(root / "proc/cpuinfo") or "").splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), value.strip())
    return fields


def _flags(cpuinfo: dict[str, str]) -> frozenset[str]:
    return frozenset((cpuinfo.get("flags") or cpuinfo.get("Features") or "").split())


def _turbo(root: Path) -> bool | None:
    no_turbo = _read(root / "sys/devices/system/cpu/intel_pstate/no_turbo")
    if no_turbo is not None:
        return no_turbo == "0"
    boost = _read(root / "sys/devices/system/cpu/cpufreq/boost")
    return None if boost is None else boost == "1"


def _load(text: str) -> tuple[float, float, float]:
    one, five, fifteen = (float(field) for field in text.split()[:3])
    return one, five, fifteen


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None
