"""What frames cost in an artifact: latency of bundles that take a camera's frames against the plain one.

    python -m benchmarks.frames --calibration PHOTOS [--model lite0] [--launches 10]

For each target one benchmark, all bundles interleaved; ratios are of CPU time of one thread. What a host pays
instead (Pillow's resize of such a frame, and its colours) is timed beside it, in one process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

import edgeeff
from edgeeff.bundle import Bundle
from edgeeff.onboard.camera import nv12_of_rgb, rgb_of_nv12

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bgr": {"io": "bgr"},
    "nv12": {"io": "nv12"},
    "rgb-640x480": {"resize_in_model": "640x480"},
    "nv12-640x480": {"io": "nv12", "resize_in_model": "640x480"},
    "rgb-1280x720": {"resize_in_model": "1280x720"},
    "nv12-1280x720": {"io": "nv12", "resize_in_model": "1280x720"},
}
TARGETS = ("cpu-int8", "mobile-int8")


def main() -> None:
    """Build all bundles, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calibration", required=True)
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--launches", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundles: dict[str, list[Bundle]] = {target: [] for target in TARGETS}
        for way, more in WAYS.items():
            said: dict[str, Any] = {
                "model": asked.model,
                "calibration": asked.calibration,
                "name": way,
                **more,
            }
            for one in edgeeff.build(**said, targets=TARGETS, output=Path(folder)):
                bundles[one.bundle.manifest.target].append(one.bundle)
        for target, each in bundles.items():
            report = edgeeff.benchmark(each, launches=asked.launches)
            print(f"\n{target}: CPU time against plain")
            for bundle in each[1:]:
                ratio = report.ratio(bundle.name)
                print(f"  {bundle.name:<28} {ratio.value if ratio else float('nan'):.3f}")
        preprocess = bundles[TARGETS[0]][0].manifest.preprocess
    for width, height in ((640, 480), (1280, 720)):
        frame = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
        planes = nv12_of_rgb(frame)
        print(f"\n{width}x{height} on the host, in Python: ms of CPU time")
        print(
            f"  Pillow's resize  {_milliseconds(lambda f=frame: preprocess.fit(Image.fromarray(f[0]))):.2f}"
        )
        print(f"  NV12 to RGB      {_milliseconds(lambda p=planes: rgb_of_nv12(p)):.2f}")


def _milliseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(30):
        begin = time.process_time_ns()
        work()
        times.append((time.process_time_ns() - begin) / 1e6)
    return median(times)


if __name__ == "__main__":
    main()
