"""``edgeeff bench`` on an Android device without Python: LiteRT's own program measures, and is named."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from edgeeff.cli import console, tables
from edgeeff.errors import OptionError

if TYPE_CHECKING:
    from rich.table import Table

    from edgeeff.bundle import Bundle
    from edgeeff.devices.benchmark_model import ToolTimes
    from edgeeff.devices.file import Named


def of(address: str | None) -> Named | None:
    """The device, if ``devices.toml`` names a ``benchmark_model`` for it.

    Raises:
        DeviceError: No device has that name, or the file cannot be understood.
    """
    if address is None or address == "local" or ":" in address:
        return None
    from edgeeff.devices.file import look_up

    named = look_up(address)
    return None if named.benchmark_model is None else named


def bench(
    bundles: Sequence[Bundle],
    device: Named,
    *,
    threads: Sequence[int],
    seconds: float,
    others: Sequence[str],
    json: bool,
) -> int:
    """Have the program measure each bundle, and print what it said.

    Args:
        bundles: Of TFLite.
        device: With a ``benchmark_model``.
        threads: Each number that is measured with.
        seconds: For each bundle.
        others: Options of the command line that the program has nothing for.
        json: For programs.

    Raises:
        OptionError: There are such options, or a bundle is of another runtime.
        DeviceError: The device cannot be reached, or the program does not run there.
    """
    from edgeeff.devices.benchmark_model import NAME, measure
    from edgeeff.devices.kinds import adb

    if others:
        raise OptionError(
            f"{' and '.join(others)} with {device.name}, which {NAME} measures",
            mend="leave them out, or take benchmark_model out of devices.toml and put Python there",
        )
    assert device.benchmark_model is not None
    serial = adb.reached(device.address.partition(":")[2])
    with closing(adb.Adb(serial)) as there:
        found = [
            measure(bundle, there, device.name, device.benchmark_model, threads=count, seconds=seconds)
            for count in threads
            for bundle in bundles
        ]
    if json:
        console.as_json([one.to_json() for one in found])
        return 0
    console.plain(f"{NAME} on {device.name}: its own figures, of random input; no latencies of edgeeff's")
    console.table(_table(found))
    return 0


def _table(found: Sequence[ToolTimes]) -> Table:
    made = tables.new("bundle", ">threads", ">mean", ">least", ">most", ">runs", ">init", ">first")
    for one in found:
        times = (f"{value:.2f} ms" for value in (one.mean_ms, one.least_ms, one.most_ms))
        last = (f"{value:.1f} ms" for value in (one.init_ms, one.first_ms))
        made.add_row(one.bundle, str(one.threads), *times, str(one.runs), *last)
    return made
