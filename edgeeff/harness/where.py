"""Where bundles run: on this machine, or on a board that an address named, and what that place is.

What decides about a figure is the place that computed: its processor, clock and versions are the
environment of a record. The machine that asked for it decodes images and scores; it is the record's host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edgeeff.bundle import Bundle
from edgeeff.device import Device
from edgeeff.harness import machine

#: Classes of CPU that plans with weights of all 8 bits are made for, and the one where these saturate.
_EIGHT_BITS, _SATURATING = ("vnni", "bf16", "arm"), "avx2"


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
    """A sentence for each bundle whose weights are too large for the INT8 arithmetic of where it runs.

    OpenVINO adds two products of int8 weights and uint8 values in 16 bits where the CPU has no dot product
    of 8 bits: plans for ``avx2`` keep weights to seven bits, those for other classes do not.
    """
    found = []
    for bundle in bundles:
        of, device = bundle.manifest, bundle.device
        if (of.runtime, of.precision) != ("openvino", "int8") or of.cpu_class not in _EIGHT_BITS:
            continue
        here = machine.cpu_class() if device is None else machine.Machine.of(device.environment()).cpu_class
        if here == _SATURATING:
            found.append(
                f"{bundle.name} was planned for CPUs of the class {of.cpu_class}, and "
                f"{'this one' if device is None else device.name} is of the class {_SATURATING}, where INT8 "
                f"products of such weights saturate: it may decide otherwise; build it with --cpu-class "
                f"{_SATURATING}"
            )
    return found
