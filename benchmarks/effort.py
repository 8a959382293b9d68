"""What `--effort max` costs an inference on each target that runs here, against balanced.

    python -m benchmarks.effort --calibration PHOTOS [--model lite0] [--checkpoint FILE] [--launches 16]
        [--target cpu-int8 …] [--json FILE]

max leaves a layer more in float where Swish is whole: the classifier, with ReLU6 the first depthwise
convolution. For each target one benchmark, its bundles interleaved in fresh processes; ratios are of CPU time
of one thread, with their 95 % interval. What max costs a build is its time, which is printed as well.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import edgeeff
from benchmarks.results import Measure, write
from benchmarks.table import arguments, show
from edgeeff.bundle import Bundle

FORMATS = dict.fromkeys(("ratio", "low", "high"), ".3f")
EFFORTS = ("balanced", "max")
TARGETS = ("cpu-int8", "mobile-int8")
MEASURES = (
    Measure("ratio", digits=3, title="CPU time of an inference, ratio", low="low", high="high"),
    Measure("build_cpu_s", "s", 0, "CPU time of the build"),
)
ABOUT = """Process CPU time of an inference, one thread, as a ratio to `balanced` of the same target,
with its 95 % interval over {launches} launches; and what the build of that target alone costs."""


def main() -> None:
    """Build each target by each effort, time them, and print a table."""
    parser = arguments(__doc__)
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--checkpoint", type=Path, help="default: the weights that a wheel carries")
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--target", action="append", help=f"repeatable; default: {', '.join(TARGETS)}")
    parser.add_argument("--launches", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.8, help="measuring time for each bundle")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for target in options.target or TARGETS:
            rows += _rows(options, target, Path(folder))
    show(f"{options.model}, one image, one thread, CPU time against balanced", rows, FORMATS)
    about = ABOUT.format(launches=options.launches)
    write(options.json, f"What --effort max costs {options.model}", about, rows, MEASURES)


def _rows(options: Any, target: str, folder: Path) -> list[dict[str, Any]]:
    bundles: list[Bundle] = []
    took: list[float] = []
    for effort in EFFORTS:
        began = time.process_time()
        (built,) = edgeeff.build(
            options.model,
            checkpoint=options.checkpoint,
            calibration=options.calibration,
            targets=(target,),
            effort=effort,
            name=effort,
            output=folder,
        )
        took.append(time.process_time() - began)
        bundles.append(built.bundle)
    report = edgeeff.benchmark(bundles, launches=options.launches, seconds=options.seconds, threads=1)
    rows = []
    for bundle, effort, seconds in zip(bundles, EFFORTS, took, strict=True):
        ratio = report.ratio(bundle.name)
        interval = ratio.interval if ratio else None
        rows.append(
            {
                "bundle": f"{target} by {effort}",
                "ratio": ratio and ratio.value,
                "low": interval and interval.low,
                "high": interval and interval.high,
                "build_cpu_s": round(seconds),
            }
        )
    return rows


if __name__ == "__main__":
    main()
