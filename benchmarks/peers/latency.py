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
from benchmarks.results import Measure, write
from benchmarks.table import arguments, show
from edgeeff.harness.golden import GOLDEN
from edgeeff.harness.latency import LatencyReport, benchmark

FORMATS = {"cpu_ms": ".3f", "p50_ms": ".3f", "p99_ms": ".3f", "ratio": ".3f", "low": ".3f", "high": ".3f"}
MEASURES = (
    Measure("ratio", digits=3, title="CPU time, ratio", low="low", high="high"),
    Measure("cpu_ms", "ms", 2, "CPU time"),
    Measure("p50_ms", "ms", 2, "median wall"),
)
ABOUT = """One image, process CPU time of an inference as a ratio to {first} (under 1 is faster), with
its 95 % interval over {launches} launches, each a fresh process in which all take turns; {threads}
thread(s)."""


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
                "low": interval and interval.low,
                "high": interval and interval.high,
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
    parser.add_argument("--title", help="the network's name on the page; default: the model's")
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
    about = ABOUT.format(first=report.baseline, launches=options.launches, threads=report.threads)
    write(options.json, f"Latency of {options.title or options.model}", about, rows, MEASURES)


if __name__ == "__main__":
    main()
