"""What a predictor costs a frame beyond the runtime: ``predict(frame)`` against the bare inference.

The frame has the network's size, uint8 [H, W, C]; the bare inference is given its input prepared. What is
said of a frame is computed when it is first read: ``label`` is the same with that. All run in turn on one
session's artifact, frame by frame, in an order that changes with each round, so that the clock and the
neighbours meet all alike. The figure is the median over rounds of the ratio of their medians, with its 95 %
bootstrap interval; in CPU time (of all threads), which other processes disturb less, and in wall time.

    python -m benchmarks.predictor dist/lite0-cpu-int8 dist/lite0-mobile-int8
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.results import Measure, write
from benchmarks.table import arguments, show
from edgeeff.bundle import Bundle
from edgeeff.metrics import bootstrap_ratio
from edgeeff.onboard.runs import filled
from edgeeff.predictor import Predictor
from edgeeff.tasks import Naming

MEASURES = (
    Measure("ratio", digits=4, title="to the runtime alone", low="low", high="high"),
    Measure("bare_us", "µs", 0, "the runtime alone"),
    Measure("call_us", "µs", 0, "the call"),
)
ABOUT = """`predict(frame)` of `bundle.open()`, and the same with `.label` read, against the bare
inference of prepared input, call by call in turn: the median over {rounds} rounds, with its 95 %
bootstrap interval."""

Times = npt.NDArray[np.float64]
#: A clock in ns, by what it counts.
_CLOCKS: dict[str, Callable[[], int]] = {"cpu": time.process_time_ns, "wall": time.perf_counter_ns}


def _measured(bundle: Bundle, rounds: int, frames: int, threads: int) -> list[dict[str, Any]]:
    session, manifest = bundle.session(threads), bundle.manifest
    preprocess, naming = manifest.preprocess, Naming(manifest.labels, manifest.absent)
    frame = np.random.default_rng(0).integers(0, 256, (*preprocess.size, preprocess.channels), np.uint8)
    prepared = session.prepare(filled(frame[None], manifest.batch.size))

    # What bundle.open() makes, over the same session: two would drive each other's weights out of the caches.
    with Predictor(
        bundle.name, session, preprocess, manifest.meaning, naming, print, manifest.batch.size
    ) as predict:
        calls: dict[str, Callable[[], object]] = {
            "bare": lambda: session.execute(prepared),
            "predict": lambda: predict(frame),
            "label": lambda: predict(frame).label,
        }
        for _ in range(frames):
            for call in calls.values():
                call()
        medians = np.empty((len(_CLOCKS), len(calls), rounds))
        for turn in range(rounds):
            times = np.empty((len(_CLOCKS), len(calls), frames))
            for number in range(frames):
                for which in np.roll(range(len(calls)), turn + number):
                    call = list(calls.values())[which]
                    start = [clock() for clock in _CLOCKS.values()]
                    call()
                    end = [clock() for clock in _CLOCKS.values()]
                    times[:, which, number] = np.subtract(end, start)
            medians[:, :, turn] = np.median(times, axis=2)
    return [
        _row(bundle.name, clock, call, bare, own)
        for clock, (bare, *others) in zip(_CLOCKS, medians, strict=True)
        for call, own in zip([*calls][1:], others, strict=True)
    ]


def _row(name: str, clock: str, call: str, bare: Times, own: Times) -> dict[str, Any]:
    interval = bootstrap_ratio(list(own), list(bare), seed=0)
    return {
        "bundle": name,
        "call": call,
        "time": clock,
        "bare_us": float(np.median(bare)) / 1e3,
        "call_us": float(np.median(own)) / 1e3,
        "ratio": float(np.median(own / bare)),
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
    measured = [
        _measured(Bundle.load(path), asked.rounds, asked.frames, asked.threads) for path in asked.bundles
    ]
    rows = [row for rows in measured for row in rows]
    formats = dict.fromkeys(("bare_us", "call_us"), ".0f") | dict.fromkeys(("ratio", "low", "high"), ".4f")
    show("a frame by a predictor, against the runtime alone", rows, formats)
    named = [{"name": f"{row['bundle']}, `{row['call']}`, {row['time']} time", **row} for row in rows]
    write(asked.json, "A frame by a predictor", ABOUT.format(rounds=asked.rounds), named, MEASURES)


if __name__ == "__main__":
    main()
