"""How long a detector's inference takes: cpu-int8 against NNCF's PERFORMANCE preset, both with raw heads.

    python -m benchmarks.peers.detector_latency --calibration PHOTOS --checkpoint FILE
        [--model efficientdet-d0] [--size PIXELS] [--launches 8] [--json FILE]

Both start from the same weights, images and preprocessing, and take raw pixels uint8. They are timed by
edgeeff's own harness, as ``peers/latency.py`` says: ratios of process CPU times, in turn, in fresh processes.
Boxes are made behind them (``--nms host``), because NNCF's model has none.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import edgeeff
from benchmarks.peers.detectors import nncf
from benchmarks.peers.latency import ABOUT, FORMATS, MEASURES, rows_of
from benchmarks.results import write
from benchmarks.table import arguments, show
from edgeeff.bundle import Bundle
from edgeeff.harness.latency import benchmark


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", default="efficientdet-d0")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--size", type=int, help="height and width, pixels; default: the checkpoint's own")
    parser.add_argument("--launches", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.5, help="measuring time for each bundle")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        edgeeff.build(
            model=options.model,
            checkpoint=options.checkpoint,
            targets=["cpu-int8"],
            calibration=options.calibration,
            size=options.size,
            nms="host",
            output=Path(folder),
        )
        own = Bundle.load(Path(folder) / f"{options.model}-cpu-int8")
        peer = nncf(own, options.checkpoint, options.model, options.calibration)
        report = benchmark(
            [peer, own], launches=options.launches, seconds=options.seconds, threads=options.threads
        )
    rows = rows_of(report)
    show(f"{options.model}, one image, {report.threads} thread(s), ratio to {report.baseline}", rows, FORMATS)
    about = ABOUT.format(first=report.baseline, launches=options.launches, threads=report.threads)
    write(options.json, f"Latency of {options.model}, raw heads", about, rows, MEASURES)


if __name__ == "__main__":
    main()
