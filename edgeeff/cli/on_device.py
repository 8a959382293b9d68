"""What verbs share that take ``--device``: the board, opened, locked, and let go of at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeeff.cli import console
from edgeeff.errors import OptionError

if TYPE_CHECKING:
    from edgeeff.bundle import Bundle
    from edgeeff.device import Device
    from edgeeff.harness.cooling import Cooling

Address = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="ADDRESS",
        help="Where it runs: ssh://user@board, labgrid:PLACE, adb:SERIAL, a name of devices.toml, or local. "
        "Default: this machine.",
    ),
]
Wait = Annotated[
    float,
    typer.Option("--wait", help="With --device: seconds to wait until nobody else measures on the board."),
]


DeviceName = Annotated[
    str | None,
    typer.Option(
        "--device-name",
        metavar="NAME",
        help="What OpenVINO computes on: CPU, GPU, GPU.1, NPU, or HETERO:GPU,CPU. Default: CPU.",
    ),
]
ModelCache = Annotated[
    bool,
    typer.Option(
        "--model-cache",
        help="Keep what OpenVINO compiles in edgeeff's cache folder, 1 GB at most: it loads faster again.",
    ),
]


@dataclass(frozen=True)
class Computing:
    """What computes."""

    threads: Annotated[int, typer.Option(min=1, help="Threads of the runtime.")] = 1
    device_name: DeviceName = None
    model_cache: ModelCache = False

    def loaded(self, folder: Path) -> Bundle:
        """A bundle that is run so, if it is OpenVINO's, in this process and those that it starts."""
        from edgeeff import inference_device
        from edgeeff.bundle import Bundle

        inference_device.choose(self.device_name, keep_models=self.model_cache)
        return Bundle.load(folder)


_COOL = "Wait before each launch until the hottest zone is below this, such as 50C."
_COOL_LIMIT = "Seconds that one such wait may take; then it is measured, and said. Default: 300."


def cool(panel: str) -> Any:
    """The option ``--cool``, in a verb's group."""
    return typer.Option("--cool", metavar="DEGREES", help=_COOL, rich_help_panel=panel)


def cool_limit(panel: str) -> Any:
    """The option ``--cool-limit``."""
    return typer.Option("--cool-limit", metavar="SECONDS", help=_COOL_LIMIT, rich_help_panel=panel)


def cooling(address: str | None, to: str | None, limit: float | None) -> Cooling | None:
    """What is waited for before a launch: as the command line says, else as devices.toml does of the board.

    Raises:
        OptionError: An option makes no sense.
        DeviceError: No device has that name, or the file cannot be understood.
    """
    from edgeeff.harness.cooling import Cooling

    said = Cooling.of(to, limit)
    if said is None and address is not None and address != "local" and ":" not in address:
        from edgeeff.devices.file import look_up

        return look_up(address).cool
    return said


@contextmanager
def opened(address: str | None, wait: float = 0.0) -> Iterator[Device | None]:
    """The board of an address, which nobody else measures on meanwhile; None: it is this machine.

    Args:
        address: What ``--device`` says.
        wait: Seconds to wait for whoever measures there.

    Raises:
        OptionError: ``wait`` is no time, or there is no board to wait for.
        DeviceError: The board cannot be reached.
        BusyError: Somebody still measures there.
    """
    if not 0 <= wait < float("inf"):
        raise OptionError(f"--wait {wait:g}", mend="give seconds, 0 for not at all")
    device = None
    if wait and address is None:
        raise OptionError("--wait without --device", mend="name a board with --device, or leave --wait out")
    if address is not None:
        from edgeeff.devices import open_device

        device = open_device(address, wait=wait, tell=console.note)
    if device is None:
        yield None
        return
    with closing(device), device.lock(wait):
        console.note(f"on {device.name}")
        yield device
