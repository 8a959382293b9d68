"""Several runs of a bundle in flight: the core of a launch that counts images a second, here and on a board.

A sample is a window of many runs, and its times are those of the window for each of its runs.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeeff.onboard import launching, resident, sensors
from edgeeff.onboard.measuring import Loading, Samples, inference, order

#: Seconds of a window: short enough for several rounds, long enough that its ends do not count.
WINDOW = 0.15
#: Windows of each bundle at least.
MINIMUM_ROUNDS = 3


@dataclass(frozen=True)
class Flood:
    """A bundle with several runs in flight.

    Args:
        window: Runs it for so many seconds and more; gives the nanoseconds of a run in wall time, and in CPU
            time.
    """

    window: Callable[[float], tuple[float, float]]


def of_queue(flood: Callable[[Callable[[int], bool]], list[int]], requests: int) -> Flood:
    """Where the runtime keeps the requests busy.

    Args:
        flood: Starts runs while it is told to, and gives the time that each was started at.
        requests: In flight.
    """

    def window(seconds: float) -> tuple[float, float]:
        cpu, deadline = time.process_time_ns(), time.perf_counter() + seconds
        # From the first run that had to wait for another to end, the requests are all busy.
        starts = flood(lambda count: count < 2 * requests + 2 or time.perf_counter() < deadline)
        spent = time.process_time_ns() - cpu
        return (starts[-1] - starts[requests]) / (len(starts) - 1 - requests), spent / len(starts)

    return Flood(window)


@dataclass
class _Worker:
    """One thread's share of a window."""

    runs: int = 0
    elapsed_ns: int = 0
    failed: list[BaseException] = field(default_factory=list)

    def work(self, made: Callable[[], object], begin: threading.Barrier, seconds: float) -> None:
        """Run for so many seconds, and at least twice."""
        try:
            begin.wait()
            start = time.perf_counter_ns()
            while self.runs < 2 or time.perf_counter_ns() - start < seconds * 1e9:
                made()
                self.runs += 1
            self.elapsed_ns = time.perf_counter_ns() - start
        except BaseException as error:
            self.failed.append(error)


def of_threads(inferences: Sequence[Callable[[], object]]) -> Flood:
    """Where each run in flight has a thread and a session of its own."""

    def window(seconds: float) -> tuple[float, float]:
        begin = threading.Barrier(len(inferences))
        workers = [_Worker() for _ in inferences]
        threads = [
            threading.Thread(target=worker.work, args=(made, begin, seconds))
            for worker, made in zip(workers, inferences)  # noqa: B905 (Python 3.8)
        ]
        cpu = time.process_time_ns()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent = time.process_time_ns() - cpu
        for worker in workers:
            for error in worker.failed:
                raise error
        rate = sum(worker.runs / worker.elapsed_ns for worker in workers)
        return 1 / rate, spent / sum(worker.runs for worker in workers)

    return Flood(window)


def shared_runs(requests: int, threads: int) -> int:
    """How many runs share the threads, where each has one: more than there are threads would only wait."""
    return min(requests, threads)


def loaded(
    pixels: Any, threads: int, requests: int, queue: Callable[[], Any], session: Callable[[int], Any]
) -> tuple[Flood, Loading]:
    """Load a bundle for so many runs in flight, and run each once; what that cost is of all together.

    Args:
        pixels: Of one run, uint8 [N, H, W, C].
        threads: Of the runtime, all runs together.
        requests: Runs in flight.
        queue: Loads it where the runtime keeps several runs in flight itself; gives None where it does not.
        session: Loads it for a run of its own, with so many threads.
    """
    with resident.growth() as grown:
        begin = time.perf_counter_ns()
        many = queue()
        if many is not None:
            at = time.perf_counter_ns()
            prepared = many.session.prepare(pixels)
            made = of_queue(lambda runs: many.flood(prepared, runs), requests)
        else:
            busy = shared_runs(requests, threads)
            sessions = [session(threads // busy) for _ in range(busy)]
            at = time.perf_counter_ns()
            made = of_threads([inference(one, pixels) for one in sessions])
        ready = time.perf_counter_ns()
        made.window(0.0)
        end = time.perf_counter_ns()
    return made, Loading((at - begin) / 1e6, (end - ready) / 1e6, grown.peak_mb)


def measure(floods: Sequence[Flood], seconds: float) -> list[Samples]:
    """Windows of all in turn, for ``seconds`` and at least three rounds."""
    samples = [Samples() for _ in floods]
    gc.collect()
    gc.disable()
    try:
        deadline = time.perf_counter() + seconds
        round_ = 0
        while round_ < MINIMUM_ROUNDS or time.perf_counter() < deadline:
            for i in order(len(floods), round_):
                wall, cpu = floods[i].window(WINDOW)
                samples[i].wall_ns.append(round(wall))
                samples[i].cpu_ns.append(round(cpu))
            round_ += 1
    finally:
        gc.enable()
    return samples


def run(
    count: int,
    load: Callable[[int], tuple[Flood, Loading]],
    *,
    seconds: float,
    tell: Callable[..., None],
) -> int:
    """Load, warm up for a window, measure; as :func:`edgeeff.onboard.launching.run` otherwise."""
    floods: dict[int, Flood] = {}

    def loading(number: int) -> None:
        floods[number], cost = load(number)
        tell("loaded", bundle=number, **vars(cost))

    if not launching.each(count, loading, tell):
        return 2
    if floods:
        tell("measuring")
        ready = list(floods.values())
        for flood in ready:
            flood.window(min(seconds, 2 * WINDOW))
        before, begin = sensors.read(), sensors.Busy.now()
        samples = measure(ready, seconds * len(ready))
        others, after = sensors.Busy.now().others_since(begin), sensors.read()
        for number, sample in zip(floods, samples):  # noqa: B905 (Python 3.8)
            tell("samples", bundle=number, wall_ns=sample.wall_ns, cpu_ns=sample.cpu_ns, steady=True)
        tell("conditions", **sensors.Around(before, after, others).to_json())
    tell("done")
    return 0
