"""One launch of a throughput benchmark: a fresh process that keeps several runs of a bundle in flight.

``python -m edgeeff.harness.throughput_launch`` is started by :func:`edgeeff.harness.throughput.throughput`
and tells events as :mod:`edgeeff.harness.launch` does. OpenVINO keeps requests in flight itself; of any other
runtime each run in flight has a thread and a session of its own, with its share of the threads, as long as
there are some. What is measured, and how, is :mod:`edgeeff.onboard.flooding`, which boards run too.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from edgeeff.bundle import Bundle
from edgeeff.harness.launch import Loading, Tell, benchmark_images, main, refusals
from edgeeff.onboard import flooding
from edgeeff.onboard.flooding import WINDOW as WINDOW
from edgeeff.onboard.flooding import Flood as Flood
from edgeeff.onboard.flooding import measure as measure
from edgeeff.onboard.flooding import of_queue as of_queue
from edgeeff.onboard.flooding import of_threads as of_threads
from edgeeff.onboard.flooding import shared_runs as shared_runs


def prepare(bundle: Bundle, images: int, threads: int, requests: int, seed: int) -> tuple[Flood, Loading]:
    """Load a bundle for so many runs in flight, and run each once; what that cost is of all together.

    Raises:
        MissingRuntimeError: The bundle's runtime cannot run here.
    """
    pixels = benchmark_images(bundle, images, seed)
    bundle.refuse_altered()
    bundle.runtime.part("run")
    return flooding.loaded(
        pixels,
        threads,
        requests,
        lambda: bundle.queue(threads, requests),
        lambda share: bundle.session(threads=share, checked=True),
    )


def run(
    folders: Sequence[Path],
    images: Sequence[int],
    *,
    threads: int,
    seconds: float,
    seed: int,
    tell: Tell,
    requests: int = 1,
) -> int:
    """Load, warm up for a window, measure; the exit status is 0, or 2 after an ``error`` event."""

    def load(number: int) -> tuple[Flood, Loading]:
        with refusals():
            return prepare(Bundle.load(folders[number]), images[number], threads, requests, seed)

    return flooding.run(len(folders), load, seconds=seconds, tell=tell)


if __name__ == "__main__":
    sys.exit(main(run))
