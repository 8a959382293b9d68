"""What a predictor costs a frame beyond the runtime: ``predict(frame)`` against the session's own inference.

Both run in turn on one session's artifact, frame by frame, and the order changes with each round, so that the
clock and the neighbours meet both alike. The figure is the median over rounds of the ratio of their medians,
with its 95 % bootstrap interval.

    python -m benchmarks.predictor dist/lite0-cpu-int8 dist/lite0-mobile-int8
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import arguments, show, write_json
from edgeeff.bundle import Bundle
from edgeeff.metrics import bootstrap_ratio
from edgeeff.predictor import Predictor
from edgeeff.tasks import Naming


def _measured(bundle: Bundle, rounds: int, frames: int, threads: int) -> dict[str, Any]:
    session, manifest = bundle.session(threads), bundle.manifest
    preprocess, naming = manifest.preprocess, Naming(manifest.labels, manifest.absent)
    frame = np.random.default_rng(0).integers(0, 256, (*preprocess.size, preprocess.channels), np.uint8)

    def bare() -> object:
        return session.execute(session.prepare(frame[None]))

    # What bundle.open() makes, over the same session: two would drive each other's weights out of the caches.
    with Predictor(bundle.name, session, preprocess, manifest.meaning, naming, print) as predict:
        calls: tuple[Callable[[], object], ...] = (bare, lambda: predict(frame))
        for _ in range(frames):
            for call in calls:
                call()
        medians = np.empty((2, rounds))
        for turn in range(rounds):
            times: tuple[list[int], list[int]] = ([], [])
            for number in range(frames):
                for which in (0, 1) if (turn + number) % 2 else (1, 0):
                    start = time.perf_counter_ns()
                    calls[which]()
                    times[which].append(time.perf_counter_ns() - start)
            medians[:, turn] = [float(np.median(each)) for each in times]
    ratio = float(np.median(medians[1] / medians[0]))
    interval = bootstrap_ratio(list(medians[1]), list(medians[0]), seed=0)
    return {
        "bundle": bundle.name,
        "bare_us": float(np.median(medians[0])) / 1e3,
        "predict_us": float(np.median(medians[1])) / 1e3,
        "ratio": ratio,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
    }


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--frames", type=int, default=40, help="of each, in a round")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = [_measured(Bundle.load(path), asked.rounds, asked.frames, asked.threads) for path in asked.bundles]
    formats = dict.fromkeys(("bare_us", "predict_us"), ".0f") | dict.fromkeys(("ratio", "low", "high"), ".4f")
    show("a frame by a predictor, against the runtime alone", rows, formats)
    write_json(asked.json, rows, rounds=asked.rounds, frames=asked.frames, threads=asked.threads)


if __name__ == "__main__":
    main()
