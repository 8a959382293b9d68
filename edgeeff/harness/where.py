"""Where bundles run: on this machine, or on a board that an address named, and what that place is.

What decides about a figure is the place that computed: its processor, clock and versions are the
environment of a record. The machine that asked for it decodes images and scores; it is the record's host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import PIL

from edgeeff.bundle import Bundle
from edgeeff.device import Device
from edgeeff.harness import machine

#: Classes of CPU that plans with weights of all 8 bits are made for, and the one where these saturate.
_EIGHT_BITS, _SATURATING = ("vnni", "bf16", "arm"), "avx2"
#: From which version of OpenVINO to before which INT8 on ARM is wrong, or not known to be right.
_WRONG_ON_ARM = (2025, 2), (2026, 2, 1)
#: The version of Pillow whose resize takes rows before columns where that is less work.
_REORDERED = 13


@dataclass(frozen=True)
class Place:
    """Where figures come from.

    Args:
        device: The board; None: this machine.
        machine: Its processor, clock and versions.
        environment: The same as plain data, with what else a board says of itself; no load, no free memory.
    """

    device: Device | None
    machine: machine.Machine
    environment: Mapping[str, Any]

    @property
    def name(self) -> str | None:
        """The board, as the user wrote it; None: this machine."""
        return None if self.device is None else self.device.name


def this() -> Place:
    """This machine."""
    found = machine.describe()
    return Place(None, found, lasting(found.to_json()))


def of(device: Device | None) -> Place:
    """A board as it says that it is, or this machine.

    Raises:
        DeviceError: It cannot be reached.
    """
    if device is None:
        return this()
    facts = dict(device.environment())
    return Place(device, machine.Machine.of(facts), lasting(facts))


def lasting(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What of a machine stays from run to run."""
    return {name: fact for name, fact in facts.items() if name != "load_average"}


def doubts(device: Device | None) -> list[str]:
    """What speaks against figures that were taken on a board, now that they are; nothing of this machine."""
    return [] if device is None else list(device.doubts())


def class_warnings(bundles: Iterable[Bundle]) -> list[str]:
    """What may harm a bundle's answers where it runs: the processor its INT8 network, Pillow its pixels."""
    found = []
    for bundle in bundles:
        found += _other_pillow(bundle)
        of, device = bundle.manifest, bundle.device
        if (of.runtime, of.precision) != ("openvino", "int8"):
            continue
        there = machine.describe() if device is None else machine.Machine.of(device.environment())
        name = "this one" if device is None else device.name
        found += [text for why in (_saturates, _wrong_on_arm) if (text := why(bundle, there, name))]
    return found


def _other_pillow(bundle: Bundle) -> list[str]:
    """Pillow 13 resizes photos that lose many more rows than columns in another order than older versions.

    Of 40 photos of 480×800 pixels resized to 224×224 a sixth of the values then differ: docs/images.md.
    Images are prepared by this machine, also where a board computes.
    """
    built, here = bundle.manifest.tools.get("pillow", ""), PIL.__version__
    older = [_major(version) < _REORDERED for version in (built, here) if _major(version)]
    if len(set(older)) < 2:
        return []
    return [
        f"{bundle.name} was built with Pillow {built}, and Pillow {here} prepares images here: tall photos "
        f"get other pixels (docs/images.md); pip install 'pillow{'<' if older[0] else '>='}{_REORDERED}'"
    ]


def _major(version: str) -> int:
    """Of a version; 0 where it has none."""
    first = version.partition(".")[0]
    return int(first) if first.isdecimal() else 0


def _saturates(bundle: Bundle, there: machine.Machine, name: str) -> str | None:
    """Weights that are too large for the INT8 arithmetic of the processor.

    OpenVINO adds two products of int8 weights and uint8 values in 16 bits where the CPU has no dot product
    of 8 bits: plans for ``avx2`` keep weights to seven bits, those for other classes do not.
    """
    planned = bundle.manifest.cpu_class
    if planned not in _EIGHT_BITS or there.cpu_class != _SATURATING:
        return None
    return (
        f"{bundle.name} was planned for CPUs of the class {planned}, and {name} is of the class "
        f"{_SATURATING}, where INT8 products of such weights saturate: it may decide otherwise; "
        f"build it with --cpu-class {_SATURATING}"
    )


def _wrong_on_arm(bundle: Bundle, there: machine.Machine, name: str) -> str | None:
    """Versions of OpenVINO that compute quantised convolutions wrongly on ARM, or are not known to be right.

    Seen of 2025.4.1 and 2026.0.0 under emulation: docs/devices.md, "Emulation".
    """
    version = there.versions.get("openvino", "")
    numbers = tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())
    if there.cpu_class != "arm" or not _WRONG_ON_ARM[0] <= numbers < _WRONG_ON_ARM[1]:
        return None
    return (
        f"{bundle.name} runs by OpenVINO {version} on {name}, an ARM processor: 2025.4.1 and 2026.0.0 "
        f"compute quantised convolutions wrongly there, and only 2025.1 and 2026.2.1 or newer are known "
        f"to be right; pip install 'openvino>=2026.2.1' there"
    )
