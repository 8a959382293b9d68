"""What ``edgeeff eval`` costs beyond its parts: its throughput against Pillow and the bare runtime.

The peer is a loop that somebody would write for it: two threads decode and resize the same photos by Pillow,
a few ahead, and the runtime's own call runs each. It scores nothing. Both load the bundle, and run in turn in
one process; the order changes with each round. Figures: images each second by wall time, and processor time
an image, which neighbours on the machine disturb less; both as the median over rounds of the ratio to the
peer's, with its 95 % bootstrap interval. A ratio of 0.95 or more is the aim.

    python -m benchmarks.evaluation photos/ dist/lite0-cpu-int8 dist/lite0-mobile-int8
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.results import Measure, write
from benchmarks.table import arguments, show
from edgeeff.bundle import Bundle
from edgeeff.harness.accuracy import evaluate
from edgeeff.metrics import bootstrap_ratio
from edgeeff.recipes import open_source

MEASURES = (
    Measure("throughput", digits=3, title="throughput, ratio", low="low", high="high"),
    Measure("bare_per_s", "/s", 1, "a bare loop"),
    Measure("eval_per_s", "/s", 1, "eval"),
    Measure("by_cpu", digits=3, title="CPU time, ratio"),
)
ABOUT = """Images a second of `eval`, by wall time, against a loop of Pillow in two threads and the bare
runtime on the same photos, in turn: the median over {rounds} rounds, with its 95 % bootstrap
interval."""

Pixels = npt.NDArray[np.uint8]


def _bare(bundle: Bundle, paths: Sequence[Path]) -> Callable[[], None]:
    """Pillow and the runtime, as simple as it can be."""
    preprocess = bundle.manifest.preprocess
    height, width = preprocess.size
    method = getattr(Image.Resampling, preprocess.interpolation.upper())

    def decode(path: Path) -> Pixels:
        with Image.open(path) as image:
            image = image.convert("RGB")
            box = preprocess.place(image.size).box
            return np.asarray(image.resize((width, height), method, box))

    def decoded() -> Iterator[Pixels]:
        with ThreadPoolExecutor(2) as pool:
            waiting: deque[Future[Pixels]] = deque()
            for path in paths:
                waiting.append(pool.submit(decode, path))
                if len(waiting) > 16:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def loop() -> None:
        session = bundle.session()
        for pixels in decoded():
            session.execute(session.prepare(pixels[None]))

    return loop


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of a call, all threads of this process together."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _measured(bundle: Bundle, source: Path, rounds: int) -> dict[str, Any]:
    images = open_source(source)
    labels = np.zeros(len(images), np.int64)
    bare = _bare(bundle, [picture.path for picture in images.pictures])

    def whole() -> object:
        return evaluate(bundle, images, labels=labels, warn=lambda _: None)

    works: tuple[Callable[[], object], ...] = (bare, whole)
    for work in works:  # files into the system's cache, the artifact compiled
        work()
    times = np.empty((rounds, 2, 2))
    for turn in range(rounds):
        for which in (0, 1) if turn % 2 else (1, 0):
            times[turn, which] = _timed(works[which])
    wall, cpu = times[..., 0], times[..., 1]
    interval = bootstrap_ratio(list(wall[:, 0]), list(wall[:, 1]), seed=0)
    return {
        "bundle": bundle.name,
        "images": len(images),
        "bare_per_s": len(images) / float(np.median(wall[:, 0])),
        "eval_per_s": len(images) / float(np.median(wall[:, 1])),
        "throughput": float(np.median(wall[:, 0] / wall[:, 1])),
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "bare_cpu_ms": 1e3 * float(np.median(cpu[:, 0])) / len(images),
        "eval_cpu_ms": 1e3 * float(np.median(cpu[:, 1])) / len(images),
        "by_cpu": float(np.median(cpu[:, 0] / cpu[:, 1])),
    }


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument(
        "images", type=Path, help="photos, as eval takes them; their labels are not looked at"
    )
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = [_measured(Bundle.load(path), asked.images, asked.rounds) for path in asked.bundles]
    formats = dict.fromkeys(("bare_per_s", "eval_per_s"), ".1f") | dict.fromkeys(
        ("throughput", "low", "high", "by_cpu"), ".3f"
    )
    formats |= dict.fromkeys(("bare_cpu_ms", "eval_cpu_ms"), ".2f")
    show("eval against Pillow and the runtime alone", rows, formats)
    write(asked.json, "eval against a bare loop", ABOUT.format(rounds=asked.rounds), rows, MEASURES)


if __name__ == "__main__":
    main()
