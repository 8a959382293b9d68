"""What an activation swap costs and gains: top-1 against the float network, latency against NNCF's of it.

    python -m benchmarks.activation_swap --photos TRAIN --validation LABELLED --checkpoint b0.pt
        [--activation hardswish] [--size 128] [--latency-size 224] [--epochs N | --minutes M] [--batch 32]
        [--launches 16] [--swapped FILE] [--json FILE]

The network is distilled from TRAIN without labels (--swapped takes a checkpoint of an earlier run). Both
networks, in float, as ``cpu-int8`` and ``mobile-int8``, are judged on LABELLED. Then, at --latency-size,
NNCF's PERFORMANCE preset of the network as it was, ours of it and ours of the swapped are timed interleaved,
and ours for TFLite likewise. Ratios of process CPU times, one thread.
"""

from __future__ import annotations

import shutil
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from benchmarks.peers.contenders import Task, nncf
from benchmarks.peers.latency import FORMATS, rows_of
from benchmarks.table import arguments, show, write_json
from edgeeff import build
from edgeeff.bundle import Bundle
from edgeeff.harness.accuracy import evaluate_all
from edgeeff.harness.golden import GOLDEN
from edgeeff.harness.latency import benchmark
from edgeeff.training.finetune import finetune
from edgeeff.zoo import checkpoints

FLOAT, TARGETS = "cpu-fp32", ("cpu-int8", "mobile-int8")


def bundles_of(
    options: Namespace, checkpoint: Path, folder: Path, size: int, *targets: str
) -> dict[str, Bundle]:
    """What ``edgeeff build`` writes of a checkpoint, by target."""
    found = build(
        checkpoint=checkpoint,
        targets=list(targets),
        calibration=options.photos,
        validation=options.validation,
        count=options.count,
        size=(size, size),
        crop=1.0,
        effort=options.effort,
        output=folder,
    )
    return {one.bundle.manifest.target: one.bundle for one in found}


def accuracies(options: Namespace, swapped: Path, folder: Path) -> list[dict[str, Any]]:
    """Top-1 of both networks, in float and as artifacts; agreement with and SQNR to the one as it was."""
    wanted = (FLOAT, *TARGETS)
    before = bundles_of(options, options.checkpoint, folder / "before", options.size, *wanted)
    after = bundles_of(options, swapped, folder / "after", options.size, *wanted)
    every = [*before.values(), *after.values()]
    rows = []
    for report in evaluate_all(every, options.validation, reference=before[FLOAT]):
        scores, against = report.scores.to_json() if report.scores else {}, report.reference
        rows.append(
            {
                "bundle": report.bundle,
                "photos": report.images,
                "top-1": scores.get("top_1", {}).get("value"),
                "agreement": against and against.agreement and against.agreement.value,
                "cdB": against and against.sqnr_centred,
            }
        )
    return rows


def latencies(options: Namespace, swapped: Path, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Times on OpenVINO, to NNCF's; and on TFLite, to ours of the network as it was."""
    size = options.latency_size
    before = bundles_of(options, options.checkpoint, folder / "before", size, *TARGETS)
    after = bundles_of(options, swapped, folder / "after", size, *TARGETS)
    model = checkpoints.read(options.checkpoint).spec.name
    peer = nncf(Task(model, options.checkpoint, options.photos, size, folder / "nncf"), "performance")
    shutil.copytree(before["cpu-int8"].folder / GOLDEN, peer.folder / GOLDEN)
    found = {}
    for target, first in (("cpu-int8", [peer]), ("mobile-int8", [])):
        both = [*first, before[target], after[target]]
        found[target] = rows_of(benchmark(both, launches=options.launches, seconds=options.seconds))
    return found


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--activation", default="hardswish")
    parser.add_argument("--size", type=int, default=128, help="height and width that is trained at, pixels")
    parser.add_argument("--latency-size", type=int, default=224, help="the same, that is timed at")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--count", type=int, default=256, help="photos that calibrate")
    parser.add_argument("--effort", default="fast")
    parser.add_argument("--launches", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.8, help="measuring time for each bundle")
    parser.add_argument("--swapped", type=Path, help="a checkpoint of an earlier run")
    parser.add_argument("--output", type=Path, help="where the swapped checkpoint goes")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as place:
        folder, told = Path(place), None
        swapped = options.swapped
        if swapped is None:
            swapped = options.output or folder / "swapped.pt"
            told = finetune(
                options.photos,
                validation=options.validation,
                checkpoint=str(options.checkpoint),
                activation=options.activation,
                compare=("none",),
                size=(options.size, options.size),
                crop=1.0,
                epochs=options.epochs,
                minutes=options.minutes,
                batch=options.batch,
                output=swapped,
                force=True,
            ).to_json()
        judged = accuracies(options, swapped, folder / "judged")
        show("accuracy", judged, {"top-1": ".4f", "agreement": ".4f", "cdB": ".1f"})
        timed = latencies(options, swapped, folder / "timed")
        for target, rows in timed.items():
            show(f"{target}, {options.latency_size} pixels, one thread, ratio to the first", rows, FORMATS)
    write_json(options.json, judged, timed=timed, training=told, options=vars(options))


if __name__ == "__main__":
    main()
