"""What a build of every network of the zoo costs: time and memory against parameters and multiply-adds.

    python -m benchmarks.family --calibration PHOTOS [--model NAME …] [--target NAME …] [--count 20]
        [--size PIXELS] [--json FILE]

Each network runs through ``edgeeff build`` once, in a fresh process with an empty cache, from a checkpoint of
random weights whose batch statistics were fitted to a few images, as training would leave them: accuracy
means nothing here, and is not shown. Verification is part of every build. L2 is built for ``cpu-fp32`` alone.
The last lines fit cost ∝ multiply-adds^p; p of 1 is linear.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.build import TARGETS, build
from benchmarks.lively import save_lively
from benchmarks.table import arguments, show, write_json
from edgeeff.memory import give_back
from edgeeff.zoo import catalog

FORMATS = {"parameters_M": ".1f", "GMAC": ".2f", "wall_s": ".1f", "cpu_s": ".1f", "peak_MB": ".0f"}
FLOAT_ONLY = {"l2": ["cpu-fp32"]}


def measure(options: Namespace, name: str, work: Path) -> dict[str, Any]:
    """Build one network and say what it took."""
    spec = catalog.get(name)
    checkpoint = work / f"{name}.safetensors"
    save_lively(spec, options.calibration, (options.size or spec.size) // 2, checkpoint)
    give_back()
    chosen = FLOAT_ONLY.get(name) or options.target
    task = Namespace(
        model=name,
        checkpoint=checkpoint,
        target=chosen,
        size=options.size,
        validation=None,
        count=options.count,
    )
    done = build(task, options.calibration, work / name, work / f"{name}-cache")
    checkpoint.unlink()
    return {
        "model": name,
        "parameters_M": spec.parameters() / 1e6,
        "size": options.size or spec.size,
        "GMAC": spec.multiply_adds(options.size) / 1e9,
        "targets": len(chosen),
        "wall_s": done.wall,
        "cpu_s": done.cpu,
        "peak_MB": done.peak_rss / 1e6,
    }


def exponent(rows: list[dict[str, Any]], of: str) -> float:
    """p of the least-squares fit of ``of`` ∝ multiply-adds^p."""
    x, y = ([log(row[key]) for row in rows] for key in ("GMAC", of))
    return float(np.polyfit(x, y, 1)[0])


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", action="append", help="default: all")
    parser.add_argument("--target", action="append", help=f"default: {', '.join(TARGETS)}")
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20, help="of photos; a fifth are held out")
    parser.add_argument("--size", type=int, help="default: each network's own")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.target = options.target or TARGETS

    rows, failed = [], []
    for name in options.model or catalog.names():
        with tempfile.TemporaryDirectory() as folder:
            try:
                rows.append(measure(options, name, Path(folder)))
            except SystemExit as error:  # one network that fails is a finding, and the others are measured
                print(error)
                failed.append(name)
                continue
        show(f"edgeeff build, {options.count} photos", rows, FORMATS)
        write_json(options.json, rows, options=vars(options))
    alike = [row for row in rows if row["targets"] == len(options.target)]
    if len(alike) > 2:
        for of in ("wall_s", "cpu_s", "peak_MB"):
            print(f"{of} ∝ multiply-adds^{exponent(alike, of):.2f}")
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
