"""How long an inference takes: cpu-int8 against NNCF's PERFORMANCE preset, with the f32 and bf16 controls.

    python -m benchmarks.peers.latency --calibration CALIBRATION [--model lite0] [--checkpoint FILE]
        [--size PIXELS] [--launches 16] [--json FILE]

All are OpenVINO bundles that take raw pixels, and are timed by edgeeff's own harness: fresh processes, in
each all of them in turn. The ratio is the geometric mean over launches of the median over rounds of the
ratio of process CPU times, with its 95 % interval of Student's t; one thread unless --threads says otherwise.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers.contenders import Task, nncf, ours
from benchmarks.table import arguments, show, write_json
from edgeeff.harness.golden import GOLDEN
from edgeeff.harness.latency import LatencyReport, benchmark

FORMATS = {"cpu_ms": ".3f", "p50_ms": ".3f", "p99_ms": ".3f", "ratio": ".3f"}


def rows_of(report: LatencyReport) -> list[dict[str, Any]]:
    """One row for each bundle; the ratio is to NNCF's."""
    rows = []
    for entry in report.entries:
        timing, ratio = entry.timing, report.ratio(entry.name)
        interval = ratio.interval if ratio else None
        rows.append(
            {
                "bundle": entry.name,
                "cpu_ms": timing and timing.cpu_ms,
                "p50_ms": timing and timing.wall_ms.p50,
                "p99_ms": timing and timing.wall_ms.p99,
                "ratio": ratio and ratio.value,
                "95 %": f"{interval.low:.3f} … {interval.high:.3f}" if interval else None,
                "inferences": timing.inferences if timing else entry.not_run,
            }
        )
    return rows


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--checkpoint", type=Path, help="default: the weights that a wheel carries")
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--size", type=int, help="height and width, pixels; default: the network's own")
    parser.add_argument("--launches", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.8, help="measuring time for each bundle")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        task = Task(options.model, options.checkpoint, options.calibration, options.size, Path(folder))
        peer = nncf(task, "performance")
        own = ours(task, "cpu-int8", "cpu-fp32", "cpu-bf16")
        # Bundles run on their golden images where they have some: the same for all, then.
        shutil.copytree(own["cpu-int8"].folder / GOLDEN, peer.folder / GOLDEN)
        bundles = [peer, *own.values()]
        report = benchmark(
            bundles, launches=options.launches, seconds=options.seconds, threads=options.threads
        )
    rows = rows_of(report)
    show(f"{options.model}, one image, {report.threads} thread(s), ratio to {report.baseline}", rows, FORMATS)
    write_json(options.json, rows, report=report.to_json(), options=vars(options))


if __name__ == "__main__":
    main()
