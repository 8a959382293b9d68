"""A diagnosed network on a board: its artifact, built and run there on golden inputs.

What each tensor and layer loses is worked out in simulation, on this machine. Whether the board computes what
the simulation says is what is measured there.
"""

from __future__ import annotations

from tempfile import TemporaryDirectory

from edgeeff.device import Device
from edgeeff.diagnosis.findings import OnBoard
from edgeeff.files import TEMPORARY
from edgeeff.harness import where
from edgeeff.harness.golden import MOST_GOLDEN, check_golden
from edgeeff.pipeline.build import build
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.request import BuildRequest
from edgeeff.progress import Silent
from edgeeff.target import Target


def cpu_class(device: Device) -> str:
    """The class of CPU that a network for this board is planned for.

    Raises:
        DeviceError: It cannot be reached.
    """
    return where.of(device).machine.cpu_class


def run(target: Target, asked: BuildRequest, images: int, device: Device, context: Context) -> OnBoard:
    """Build the artifact in a temporary folder, and run it there.

    Args:
        target: What it is built for.
        asked: The build.
        images: Golden inputs, at most.
        device: The board.
        context: Hears what the build warns of, and where the board does not compute what the hub graph says.

    Raises:
        DeviceError: It cannot be reached, or was lost.
    """
    context.progress.stage(f"building it, to run it on {device.name}")
    with TemporaryDirectory(prefix=TEMPORARY) as folder:
        golden = min(images, MOST_GOLDEN)
        (built,) = build(
            asked, targets=[target], output=folder, golden=golden, cache=context.cache, progress=Silent()
        )
        context.warn_all(built.warnings)
        found = check_golden(built.bundle.on(device))
    if found.status == "failed":
        context.warn(f"on {device.name} the artifact is not what the hub graph says: {found.summary}")
    return OnBoard(device.name, where.of(device).environment, found)
