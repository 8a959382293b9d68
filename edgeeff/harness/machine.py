"""What a figure needs beside it: the processor, its clock's settings, and the versions that ran.

Nothing here imports a runtime. What cannot be read (no ``/proc``, no ``cpufreq`` in a virtual machine) is
None, never guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from edgeeff.backends import RUNTIMES, runtime, runtime_names
from edgeeff.onboard import describing
from edgeeff.target import CpuClass


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
    return Machine.of(describing.describe(root, runtime_versions()))


def cpu_class(flags: Collection[str] | None = None, architecture: str | None = None) -> CpuClass:
    """The class of processor that a hub graph is made for.

    ``vnni`` has INT8 dot products that do not saturate in 16 bits, so weights may use all 8 bits;
    ``bf16`` has these and bfloat16 arithmetic; ``avx2`` is every other x86; ``arm`` every other processor.

    Args:
        flags: Instruction sets, as ``/proc/cpuinfo`` names them; this machine's where None.
        architecture: As ``platform.machine`` names it; this machine's where None.
    """
    return cast(CpuClass, describing.cpu_class(flags, architecture))


def runtime_versions() -> dict[str, str]:
    """The version of each installed distribution that brings a runtime or adds one, of numpy and of edgeeff.

    A runtime's distributions are found by its modules: those that its record names, and those that bear its
    name (``tensorrt_lean`` of a device).
    """
    modules, names = telling()
    added = {plugin.distribution for name in names if (plugin := RUNTIMES.plugin(name))}
    return describing.installed(modules, names, {"edgeeff", "numpy", *added})


def telling() -> tuple[list[str], list[str]]:
    """The modules by which runtimes are known to be installed, and the runtimes' names."""
    names = runtime_names()
    return sorted(frozenset[str]().union(*(runtime(name).modules for name in names))), names
