"""What a device chose among the variants of its bundle, as a tuning that later builds take."""

from __future__ import annotations

import json
from pathlib import Path

from edgeeff.backends.tensorrt.results import board, slug
from edgeeff.backends.tensorrt.tuned import Autotuned
from edgeeff.bundle import MEASURED
from edgeeff.errors import BundleError
from edgeeff.files import refuse_links, sweep_files, write_file
from edgeeff.manifest import Manifest
from edgeeff.pipeline.variants import Entry, Timed, TuningFile

FOLDER = "tunings"


def tuning_of(found: Autotuned, manifest: Manifest) -> bytes:
    """The text of a tuning's file.

    Args:
        found: What the device said, held against the bundle.
        manifest: The bundle's.

    Raises:
        BundleError: No variant was faithful, so that there is nothing to build.
    """
    assert manifest.carrying is not None, "the result was held against it"
    if not found.chosen:
        raise BundleError(
            f"no variant of {found.bundle} does on {board(found)} what its graph says: there is no tuning",
            mend="use its FP16: build jetson-fp16; or report the device's autotune.json"
            if found.control_wins
            else "FP16 does not either: report the device's autotune.json",
        )
    times, to_own = found.latency.times, found.latency.to_own or found.latency.to_control
    measured = [
        Timed(
            variant=name,
            gpu_ms=times[name].gpu_ms.p50,
            ratio=ratio.value,
            interval=[ratio.low, ratio.high],
        )
        for name, ratio in to_own.items()
    ]
    entry = Entry(chosen=found.chosen, measured=measured, doubts=doubts(found), remarks=remarks(found))
    content = TuningFile(
        schema_version=1,
        model=manifest.model,
        machine={
            "board": found.board,
            "tensorrt": found.tensorrt,
            "compute_capability": found.compute_capability,
            "l4t": found.l4t,
            "power_mode": found.clocks.power_mode,
        },
        targets={manifest.carrying.tuned: entry},
        batch=manifest.batch.to_json(),
    )
    return (json.dumps(content.model_dump(), indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def doubts(found: Autotuned) -> list[str]:
    """What makes the device's timings doubtful, a sentence each."""
    if found.clocks.pinned is False:
        return ["the GPU's clock was not pinned; run jetson_clocks"]
    return []


def remarks(found: Autotuned) -> list[str]:
    """What a build by this tuning says whatever was chosen, a sentence each."""
    if not found.control_wins:
        return []
    ratio = found.latency.to_control[found.chosen]
    return [
        f"on {board(found)} FP16 was faster than every INT8 variant: {found.chosen} took {ratio.value:g} of "
        f"its time [{ratio.low:g}, {ratio.high:g}]; build jetson-fp16 or gpu-fp16 instead"
    ]


def enter(content: bytes, found: Autotuned, folder: Path) -> Path:
    """Put a tuning into a bundle's ``measured/tunings/``, one a board; a newer one takes its place.

    Raises:
        OutputError: The folder cannot be written, or is a symbolic link.
    """
    refuse_links(folder, MEASURED, FOLDER)
    path = folder / MEASURED / FOLDER / f"{slug(found)}.json"
    write_file(path, content)
    sweep_files(path.parent)
    return path
