"""What devices are at this moment: which can be reached, what each runs, what it lacks and how to get it.

They are looked at side by side, each within a time of its own: one that hangs delays no other. A place of a
lab is not claimed for that: the coordinator says who has it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeeff.devices.file import Named
from edgeeff.devices.kinds import Settings, kind
from edgeeff.errors import DeviceError, EdgeeffError

#: Seconds that one device may take.
TIMEOUT = 20.0
#: Devices that are looked at at once: each is a process or two here. And seconds between two looks at them.
_AT_ONCE, _PAUSE = 32, 0.02
#: Clocks that differ by more make times in reports and logs contradict each other, seconds.
_CLOCK = 2.0
#: Bytes that the store of bundles on a board may take, so that less is a disk that is soon full.
_DISK = 2_000_000_000
_HOT = 85.0
#: Distributions that bring a runtime, as ``versions`` names them, and how each comes to a board.
_RUNTIMES = {
    "tensorrt": ("tensorrt", "tensorrt-lean", "tensorrt-dispatch", "tensorrt_lean", "tensorrt_dispatch"),
    "openvino": ("openvino",),
    "tflite": ("ai-edge-litert", "ai_edge_litert", "tflite-runtime", "tflite_runtime"),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
}


@dataclass(frozen=True)
class Lack:
    """Something that is not as it should be.

    Args:
        what: A few words.
        mend: The line that changes it, to be run on the device.
        needed: Whether bundles cannot run without it; else figures are worse for it.
    """

    what: str
    mend: str
    needed: bool = False


@dataclass(frozen=True)
class Seen:
    """A device, looked at.

    Args:
        name: Its name, or its address where it has none.
        address: Where it is.
        summary: What the devices file says of it.
        tags: By which it may be chosen.
        reachable: Whether it can be used: commands run there, or its coordinator can hand it out.
        state: Where that is not all: why it cannot be reached, or who holds it.
        mend: What to do about that.
        seconds: That it took.
        facts: As :meth:`edgeeff.devices.connection.Connection.facts` has them; None: nothing was run there.
        lacks: What is missing there.
    """

    name: str
    address: str
    summary: str = ""
    tags: tuple[str, ...] = ()
    reachable: bool = False
    state: str = ""
    mend: str = ""
    seconds: float = 0.0
    facts: Mapping[str, Any] | None = None
    lacks: tuple[Lack, ...] = field(default=())

    @property
    def well(self) -> bool:
        """Whether it can be reached, and bundles can run there."""
        return self.reachable and not any(lack.needed for lack in self.lacks)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        data = dict(vars(self))
        data["tags"] = list(self.tags)
        data["lacks"] = [dict(vars(lack)) for lack in self.lacks]
        return data


def look(devices: Sequence[Named], timeout: float = TIMEOUT) -> list[Seen]:
    """Look at them side by side, and give them back in their order.

    Args:
        devices: Of a devices file, or by their addresses alone.
        timeout: Seconds that each may take.
    """
    found: dict[int, Seen] = {}
    waiting, running = list(enumerate(devices)), dict[int, float]()

    def work(place: int, device: Named) -> None:
        found.setdefault(place, _look(device))

    while waiting or running:
        while waiting and len(running) < _AT_ONCE:
            place, device = waiting.pop(0)
            running[place] = time.monotonic()
            # What hangs in a program is left behind: this process ends without it.
            threading.Thread(target=work, args=(place, device), daemon=True).start()
        for place, begun in list(running.items()):
            if place not in found and time.monotonic() - begun >= timeout:
                found.setdefault(place, _late(devices[place], timeout))
            if place in found:
                del running[place]
        time.sleep(_PAUSE)
    return [found[place] for place in range(len(devices))]


def _look(device: Named) -> Seen:
    said = {"name": device.name, "address": device.address, "summary": device.summary, "tags": device.tags}
    begin = time.monotonic()

    def seen(**more: Any) -> Seen:
        return Seen(**{**said, **more, "seconds": time.monotonic() - begin})

    try:
        facts, state = _facts(device)
    except EdgeeffError as error:
        return seen(state=error.what, mend=error.mend)
    except Exception as error:  # a plug-in's kind: the others are looked at all the same
        return seen(state=f"{type(error).__name__}: {error}", mend="report this")
    return seen(reachable=True, state=state, facts=facts, lacks=() if facts is None else tuple(lacks(facts)))


def _facts(device: Named) -> tuple[Mapping[str, Any] | None, str]:
    """What a device says of itself, or what is said of it where nothing is run there.

    Raises:
        EdgeeffError: It cannot be reached.
    """
    from edgeeff.devices import LOCAL, split
    from edgeeff.devices.connection import connect

    if device.address == LOCAL:
        return _this_machine(), ""
    name, rest = split(device.address)
    of_kind, settings = kind(name), Settings(device)
    glance: Callable[[str, Settings], str] | None = getattr(of_kind, "glance", None)
    if glance is not None:
        return None, glance(rest, settings)
    connection = connect(device.name, of_kind.connect(rest, settings), device.python)
    try:
        return connection.facts(), ""
    finally:
        connection.close()


def _this_machine() -> dict[str, Any]:
    from pathlib import Path

    from edgeeff.harness import machine
    from edgeeff.onboard import describing

    return {
        "machine": machine.describe().to_json(),
        "now": describing.now(Path.home()),
        "clock_offset_s": 0.0,
    }


def _late(device: Named, timeout: float) -> Seen:
    error = DeviceError(
        f"no answer within {timeout:g} s", mend="give it longer with --timeout, or see whether it is busy"
    )
    return Seen(
        device.name,
        device.address,
        device.summary,
        device.tags,
        state=error.what,
        mend=error.mend,
        seconds=timeout,
    )


def runtimes(facts: Mapping[str, Any]) -> dict[str, str]:
    """The runtimes that are installed there, and their versions."""
    versions = facts["machine"].get("versions") or {}
    found = {}
    for name, distributions in _RUNTIMES.items():
        version = next((versions[one] for one in distributions if one in versions), None)
        if version is not None:
            found[name] = str(version)
    return found


def hottest(facts: Mapping[str, Any]) -> tuple[str, float] | None:
    """The hottest zone, and its degrees Celsius; None where nothing tells one."""
    zones = facts["now"].get("temperatures_c") or {}
    return max(zones.items(), key=lambda zone: zone[1]) if zones else None


def lacks(facts: Mapping[str, Any]) -> list[Lack]:
    """What a device lacks, and the line that brings it; what bundles need to run comes first."""
    board, now, found = facts["machine"], facts["now"], list[Lack]()
    jetson, installed = now.get("l4t") is not None, runtimes(facts)
    python = "python3"
    if "numpy" not in (board.get("versions") or {}):
        found.append(Lack("numpy is not installed", f"{python} -m pip install numpy", needed=True))
    if not installed:
        line = {True: "sudo apt install nvidia-jetpack"}.get(jetson)
        wheel = "openvino" if board.get("architecture") in ("x86_64", "AMD64") else "ai-edge-litert"
        found.append(Lack("no runtime is installed", line or f"{python} -m pip install {wheel}", needed=True))
    free = now.get("disk_free_bytes")
    if free is not None and free < _DISK:
        found.append(
            Lack(
                f"{free / 1e6:.0f} MB of disk are free, and bundles may take {_DISK / 1e9:.0f} GB there",
                "rm -r ~/.cache/edgeeff/boards, or set EDGEEFF_STORE_LIMIT there",
            )
        )
    offset = float(facts.get("clock_offset_s") or 0.0)
    if abs(offset) > _CLOCK:
        found.append(Lack(f"its clock is {_ahead(offset)}", "sudo timedatectl set-ntp true"))
    governor = board.get("governor")
    if governor is not None and governor != "performance":
        line = "sudo jetson_clocks" if jetson else "sudo cpupower frequency-set -g performance"
        found.append(Lack(f"the governor {governor} changes the clock while it is measured", line))
    hot = hottest(facts)
    if hot is not None and hot[1] >= _HOT:
        found.append(Lack(f"{hot[0]} is at {hot[1]:.0f} °C", "cool it, or measure with --cool 60C"))
    return found


def _ahead(offset: float) -> str:
    return f"{abs(offset):.1f} s {'ahead' if offset > 0 else 'behind'}"
